package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicegateway/sluice/control/translate"
)

// serveOptions are the flags that all commands have which serve.
type serveOptions struct {
	translate            translate.Options
	admin                string
	health               string // empty for no listener of its own
	engine, accessLog    *choice
	drainMin, drainLimit time.Duration
	trusted              []string
	pprof                bool

	stdout, stderr  io.Writer
	trustedPrefixes []netip.Prefix
}

func (o *serveOptions) addFlags(c *cobra.Command) {
	o.engine, o.accessLog = oneOf("auto", "epoll", "portable"), oneOf("json", "text", "off")
	if isTerminal(os.Stdout) {
		o.accessLog.value = "text"
	}
	addTranslateFlags(c, &o.translate)
	addAdminFlag(c, &o.admin)
	f := c.Flags()
	f.Var(o.engine, "engine", "data plane: epoll (Linux), portable, or auto for the faster one")
	f.Var(o.accessLog, "access-log", "access log on standard output: json, text (the default on a terminal) or off")
	f.DurationVar(&o.drainMin, "drain-min", 10*time.Second, "how long connections are still accepted after SIGTERM, so that load balancers notice")
	f.DurationVar(&o.drainLimit, "drain-limit", 60*time.Second, "how long after the signal requests in flight may take to end")
	f.StringSliceVar(&o.trusted, "trusted-proxy", nil, "`addresses` (CIDR) of proxies in front whose X-Forwarded fields are believed; may be repeated")
	f.BoolVar(&o.pprof, "pprof", false, "serve profiles at /debug/pprof on the admin listener")
}

// complete takes over where the command writes to, and refuses values that no
// flag type refuses.
func (o *serveOptions) complete(c *cobra.Command) error {
	o.stdout, o.stderr = c.OutOrStdout(), c.ErrOrStderr()
	if o.engine.value == "epoll" && runtime.GOOS != "linux" {
		return errors.New("--engine=epoll needs Linux; use auto or portable")
	}
	if _, _, err := net.SplitHostPort(o.admin); err != nil {
		return adminError(o.admin)
	}
	if o.drainMin < 0 || o.drainLimit < o.drainMin {
		return fmt.Errorf("--drain-limit %v counts from the signal, so it cannot be shorter than --drain-min %v", o.drainLimit, o.drainMin)
	}
	for _, s := range o.trusted {
		prefix, err := parsePrefix(s)
		if err != nil {
			return fmt.Errorf("--trusted-proxy %s: write an address such as 10.0.0.1 or a network such as 10.0.0.0/8", s)
		}
		o.trustedPrefixes = append(o.trustedPrefixes, prefix)
	}
	return nil
}

func (o *serveOptions) newLog() *slog.Logger { return slog.New(slog.NewTextHandler(o.stderr, nil)) }

func parsePrefix(s string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(s); err == nil {
		return address.Prefix(address.BitLen())
	}
	return netip.ParsePrefix(s)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
