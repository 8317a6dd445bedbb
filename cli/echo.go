package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sluicegateway/sluice/cli/echo"
)

func echoCommand() *cobra.Command {
	var listen []string
	var name string
	c := &cobra.Command{
		Use:   "echo --listen [NAME=]ADDRESS…",
		Short: "Run small servers that answer with what they got",
		Long: `Echo runs HTTP servers for demos and tests. They answer every request with JSON
that names the server and tells the method, path and headers that it got. The
query parameters status=503 and delay=250ms change the answer, and the path /ws
speaks WebSocket and sends back what it gets. They speak HTTP/2 to who begins with
it (h2c).`,
		Example: `  sluice echo --listen 127.0.0.1:9001
  sluice echo --listen web-v1=127.0.0.1:9001 --listen web-v2=127.0.0.1:9002`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return serveEchoes(ctx, c, listen, name)
		},
	}
	c.Flags().StringArrayVar(&listen, "listen", []string{"127.0.0.1:9001"}, "`address` to listen on, and the server's name before a =; may be repeated")
	c.Flags().StringVar(&name, "name", "", "name of the servers without one of their own (default: their address)")
	return c
}

func serveEchoes(ctx context.Context, c *cobra.Command, listen []string, name string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range listen {
		own, address, named := strings.Cut(l, "=")
		if !named {
			own, address = name, l
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("echo: %w", err)
		}
		own = cmp.Or(own, listener.Addr().String())
		fmt.Fprintf(c.ErrOrStderr(), "echo %s listens on %s\n", own, listener.Addr())
		group.Go(func() error { return serveEcho(ctx, listener, echo.Handler(own)) })
	}
	return group.Wait()
}

func serveEcho(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: 10 * time.Second,
		// Longer than gateways keep idle connections, so that these close them.
		IdleTimeout: 5 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
