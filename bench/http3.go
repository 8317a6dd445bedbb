package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/http3"
	"golang.org/x/sync/errgroup"
)

// measureHTTP3 compares Sluice with Caddy: Debian's nginx and HAProxy do not
// speak HTTP/3.
func measureHTTP3(ctx context.Context, w io.Writer, set settings, ps *processes, origin string) error {
	id, err := newIdentity(ps.dir)
	if err != nil {
		return err
	}
	v := version{name: "h3", tls: true, h3: true}
	all, err := launchThose(ctx, ps, []contestant{{"caddy", startCaddy(id)}, {"sluice", startSluiceVersion(set.sluice, v, id)}}, v, origin)
	if err != nil {
		return err
	}
	defer ps.stopAll(all)
	if err := interleave(set, all, func(r *running) (int, error) { return h3Requests(ctx, r.port, set.duration) }); err != nil {
		return err
	}
	writeCost(w, all, "HTTP/3, GET, 8 connections with 16 streams each", "request")
	return nil
}

// caddyfile has no automatic certificates and no administration.
const caddyfile = `{
	admin off
	auto_https off
}
https://localhost:%d {
	bind 127.0.0.1
	tls %s %s
	reverse_proxy %s
}
`

func startCaddy(id *identity) func(*processes, string, int, string) (*process, error) {
	return func(ps *processes, name string, port int, origin string) (*process, error) {
		file := filepath.Join(ps.dir, name+".caddyfile")
		if err := os.WriteFile(file, fmt.Appendf(nil, caddyfile, port, id.chain, id.key, origin), 0o600); err != nil {
			return nil, err
		}
		return ps.start(name, []string{"GOMAXPROCS=2", "HOME=" + ps.dir}, "caddy", "run", "--config", file, "--adapter", "caddyfile")
	}
}

// h3Requests asks on 8 connections with 16 requests under way on each.
func h3Requests(ctx context.Context, port int, duration time.Duration) (int, error) {
	var count atomic.Int64
	end := time.Now().Add(duration)
	url := fmt.Sprintf("https://localhost:%d/", port)
	var streams errgroup.Group
	for range 8 {
		transport := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}}
		defer transport.Close()
		for range 16 {
			streams.Go(func() error {
				for time.Now().Before(end) && ctx.Err() == nil {
					if err := askHTTP3(ctx, transport, url); err != nil {
						return err
					}
					count.Add(1)
				}
				return nil
			})
		}
	}
	err := streams.Wait()
	return int(count.Load()), err
}

func askHTTP3(ctx context.Context, transport *http3.Transport, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer was %s, %w", response.Status, err)
	}
	return nil
}
