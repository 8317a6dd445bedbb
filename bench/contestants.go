package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// contestant is a proxy in front of the origin.
type contestant struct {
	name  string
	start func(ps *processes, name string, port int, origin string) (*process, error)
}

// reference is the contestant that the others are compared with.
const reference = "nginx"

// contestants returns all proxies; the reference is first.
func contestants(sluice string) []contestant {
	return []contestant{
		{reference, startNginx},
		{"sluice epoll", startSluice(sluice, "epoll")},
		{"sluice portable", startSluice(sluice, "portable")},
		{"net/http", startReverseProxy},
	}
}

// launch starts the contestant on a free port and waits until it serves.
func (c contestant) launch(ctx context.Context, ps *processes, origin string) (*process, string, error) {
	port, err := freePort()
	if err != nil {
		return nil, "", err
	}
	p, err := c.start(ps, strings.NewReplacer(" ", "-", "/", "-").Replace(c.name), port, origin)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", c.name, err)
	}
	address := fmt.Sprintf("http://127.0.0.1:%d/", port)
	return p, address, p.waitReady(ctx, address)
}

// nginxConfig is what origin and proxy have in common: two workers, a socket
// for each, no access log, and connections that are never closed for their age.
const nginxConfig = `
daemon off;
worker_processes 2;
pid %[1]s/pid;
error_log %[1]s/error.log warn;
worker_rlimit_nofile 65536;
events { worker_connections 10240; }
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 75s;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
    %[2]s
}
`

// startOrigin starts the server behind the proxies: 128 bytes for each request.
func startOrigin(ps *processes) (string, error) {
	port, err := freePort()
	if err != nil {
		return "", err
	}
	_, err = runNginx(ps, "origin", fmt.Sprintf(`
    server {
        listen 127.0.0.1:%d reuseport backlog=4096;
        location / { default_type text/plain; return 200 "%s"; }
    }`, port, strings.Repeat("x", 128)))
	return fmt.Sprintf("127.0.0.1:%d", port), err
}

// startNginx starts nginx as a plain reverse proxy. It adds fewer fields to a
// request than Sluice does, which is in its favour.
func startNginx(ps *processes, name string, port int, origin string) (*process, error) {
	return runNginx(ps, name, fmt.Sprintf(`
    upstream origin {
        server %s;
        keepalive 128;
        keepalive_requests 1000000000;
    }
    server {
        listen 127.0.0.1:%d reuseport backlog=4096;
        location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }
    }`, origin, port))
}

func runNginx(ps *processes, name, servers string) (*process, error) {
	dir := filepath.Join(ps.dir, name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxConfig, dir, servers), 0o644); err != nil {
		return nil, err
	}
	return ps.start(name, nil, "nginx", "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", file)
}

// startSluice starts Sluice with one route and without an access log.
func startSluice(binary, engine string) func(*processes, string, int, string) (*process, error) {
	return func(ps *processes, name string, port int, origin string) (*process, error) {
		dir := filepath.Join(ps.dir, name)
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
		if err := writeGateway(dir, port, origin); err != nil {
			return nil, err
		}
		if err := writeRoute(dir, 0, "/", 1); err != nil {
			return nil, err
		}
		return runSluice(ps, name, binary, engine, dir)
	}
}

func runSluice(ps *processes, name, binary, engine, dir string) (*process, error) {
	return ps.start(name, nil, binary, "run", "--engine="+engine, "--access-log=off", "--summary=false", "--admin=127.0.0.1:0", dir)
}

// reverseProxyCommand makes this program the net/http contestant.
const reverseProxyCommand = "reverse-proxy"

func startReverseProxy(ps *processes, name string, port int, origin string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return ps.start(name, []string{"GOMAXPROCS=2"}, self, reverseProxyCommand, fmt.Sprintf("127.0.0.1:%d", port), origin)
}

// serveReverseProxy is what most Go programs that proxy do.
func serveReverseProxy(listen, origin string) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 1024
	transport.MaxIdleConns = 0
	transport.DisableCompression = true
	target := &url.URL{Scheme: "http", Host: origin}
	server := &http.Server{Addr: listen, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: 10 * time.Second, Handler: &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() },
	}}
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
}
