package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicegateway/sluice/control/translate"
)

// runOptions are the flags of run.
type runOptions struct {
	translate            translate.Options
	admin                string
	engine, accessLog    *choice
	drainMin, drainLimit time.Duration
	trusted              []string
	pprof, summary       bool
	stdin                io.Reader
	stdout, stderr       io.Writer
	paths                []string
	trustedPrefixes      []netip.Prefix
}

func runCommand() *cobra.Command {
	o := runOptions{engine: oneOf("auto", "epoll", "portable"), accessLog: oneOf("json", "text", "off")}
	if isTerminal(os.Stdout) {
		o.accessLog.value = "text"
	}
	c := &cobra.Command{
		Use:   "run PATH…",
		Short: "Serve what the objects describe",
		Long: `Run reads Gateway API objects from files and folders, serves the traffic that
they describe, and follows the files as they change. A document that is not valid
is refused and named; the last version that was accepted stays in force.

SIGTERM drains: /readyz fails at once, connections are accepted for the minimum
of the drain, then requests in flight may end until its limit. SIGINT skips the
minimum, and a second signal ends at once. SIGHUP reads all files again.`,
		Example: `  sluice run examples/quickstart
  kustomize build . | sluice run -`,
		Args: arguments(somePaths),
		RunE: func(c *cobra.Command, paths []string) error {
			o.paths, o.stdin, o.stdout, o.stderr = paths, c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
			if err := o.check(); err != nil {
				return usageError{err}
			}
			return run(c.Context(), &o)
		},
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
	f.BoolVar(&o.summary, "summary", isTerminal(os.Stderr), "print what listens where, the routes and curl lines to try (the default on a terminal)")
	return c
}

// check refuses values that no flag type refuses.
func (o *runOptions) check() error {
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

func parsePrefix(s string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(s); err == nil {
		return address.Prefix(address.BitLen())
	}
	return netip.ParsePrefix(s)
}

// run serves until a signal or a failure ends it.
func run(ctx context.Context, o *runOptions) error {
	g, err := newGateway(o)
	if err != nil {
		return err
	}
	return g.serve(ctx)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
