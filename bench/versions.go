package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A version is a way to speak HTTP on both sides of a proxy.
type version struct {
	name string
	tls  bool // of the client
	h2   bool // of the client
	h3   bool // of the client, beside the others
	grpc bool // the backend speaks HTTP/2 in clear text
}

// scenario is a kind of load.
type scenario struct {
	title   string
	unit    string // what is counted
	version version
	load    func(ctx context.Context, port int, duration time.Duration) (int, error)
}

// scenarios are what measureVersions compares. Each has its own instances of the
// contestants, so that none works with what another one left.
var scenarios = []scenario{
	{"Full TLS handshakes over X25519, with one request each", "connection", version{name: "tls", tls: true}, handshakes(tls.X25519)},
	{"Full TLS handshakes over what the client prefers: X25519MLKEM768 where the proxy knows it (OpenSSL from 3.5 on), else X25519", "connection", version{name: "tls", tls: true}, handshakes()},
	{"HTTPS, HTTP/1.1, 64 keep-alive connections, 128-byte bodies", "request", version{name: "tls", tls: true}, wrkTLS},
	{"HTTP/2 in clear text, GET, 8 connections with 16 streams each", "request", version{name: "h2c", h2: true}, h2Requests},
	{"HTTP/2 in TLS, GET, 8 connections with 16 streams each", "request", version{name: "h2", tls: true, h2: true}, h2Requests},
	{"gRPC in clear text, unary, 8 connections with 16 streams each", "call", version{name: "grpc-h2c", h2: true, grpc: true}, unaryCalls},
	{"gRPC in TLS to clear text, unary, 8 connections with 16 streams each", "call", version{name: "grpc", tls: true, h2: true, grpc: true}, unaryCalls},
	{"gRPC in clear text, streams of 100 messages each way, 8 connections with 4 streams each", "call", version{name: "grpc-h2c", h2: true, grpc: true}, streamingCalls},
}

// measureVersions compares the processor time of nginx, HAProxy and Sluice with
// TLS, HTTP/2 and gRPC.
func measureVersions(ctx context.Context, w io.Writer, set settings, ps *processes, origin string) error {
	identity, err := newIdentity(ps.dir)
	if err != nil {
		return err
	}
	calls, err := startCallServer(ps)
	if err != nil {
		return err
	}
	for _, s := range scenarios {
		backend := origin
		if s.version.grpc {
			backend = calls
		}
		all, err := launchVersion(ctx, set, ps, s.version, identity, backend)
		if err != nil {
			return err
		}
		if err := interleave(set, all, func(r *running) (int, error) { return s.load(ctx, r.port, set.duration) }); err != nil {
			return err
		}
		writeCost(w, all, s.title, s.unit)
		ps.stopAll(all)
	}
	return measureIdle(ctx, w, set, ps, identity, origin)
}

// interleave loads the contestants in rounds, in changing order.
func interleave(set settings, all []*running, load func(*running) (int, error)) error {
	for round := -1; round < set.rounds; round++ { // the first only warms up
		for i := range all {
			r := all[(i+round+len(all))%len(all)]
			if err := r.measureWith(func() (int, error) { return load(r) }); err != nil {
				return err
			}
		}
	}
	for _, r := range all {
		r.cost, r.rate = r.cost[1:], r.rate[1:]
	}
	return nil
}

// versioned returns the contestants that speak the version, the reference first.
func versioned(set settings, v version, id *identity) []contestant {
	return []contestant{
		{reference, startNginxVersion(v, id)},
		{"haproxy", startHAProxy(v, id)},
		{"sluice", startSluiceVersion(set.sluice, v, id)},
	}
}

func launchVersion(ctx context.Context, set settings, ps *processes, v version, id *identity, origin string) ([]*running, error) {
	return launchThose(ctx, ps, versioned(set, v, id), v, origin)
}

func launchThose(ctx context.Context, ps *processes, contestants []contestant, v version, origin string) ([]*running, error) {
	var all []*running
	for _, c := range contestants {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		p, err := c.start(ps, c.name+"-"+v.name, port, origin)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		if err := p.waitListening(ctx, port); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		all = append(all, &running{contestant: c, process: p, port: port})
	}
	return all, nil
}

func startNginxVersion(v version, id *identity) func(*processes, string, int, string) (*process, error) {
	return func(ps *processes, name string, port int, origin string) (*process, error) {
		flags, certificate := "", ""
		if v.tls {
			flags += " ssl"
			certificate = fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off;", id.chain, id.key)
		}
		if v.h2 {
			flags += " http2"
		}
		pass := `proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;`
		forwarded := "proxy_set_header"
		if v.grpc {
			pass, forwarded = "grpc_pass grpc://origin;", "grpc_set_header"
		}
		return runNginx(ps, name, fmt.Sprintf(`
    upstream origin { server %s; keepalive 128; keepalive_requests 1000000000; }
    server {
        listen 127.0.0.1:%d reuseport backlog=4096%s;
        %s
        http2_max_concurrent_streams 256;
        client_max_body_size 0;
        location / {
            %s
            %[6]s X-Forwarded-For $proxy_add_x_forwarded_for;
            %[6]s X-Forwarded-Proto $scheme;
        }
    }`, origin, port, flags, certificate, pass, forwarded))
	}
}

// haproxyConfig has two threads, like nginx its two workers.
const haproxyConfig = `
global
    nbthread 2
    maxconn 4000
    tune.ssl.default-dh-param 2048
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 75s
    option forwardfor
    http-reuse always
frontend in
    bind 127.0.0.1:%d %s
    http-request set-header X-Forwarded-Proto %%[ssl_fc,iif(https,http)]
    default_backend origin
backend origin
    server origin %s %s
`

func startHAProxy(v version, id *identity) func(*processes, string, int, string) (*process, error) {
	return func(ps *processes, name string, port int, origin string) (*process, error) {
		bind, server := "", ""
		switch {
		case v.tls && v.h2:
			bind = "ssl crt " + id.both + " alpn h2"
		case v.tls:
			bind = "ssl crt " + id.both + " alpn http/1.1"
		case v.h2:
			bind = "proto h2"
		}
		if v.grpc {
			server = "proto h2"
		}
		file := filepath.Join(ps.dir, name+".cfg")
		if err := os.WriteFile(file, fmt.Appendf(nil, haproxyConfig, port, bind, origin, server), 0o600); err != nil {
			return nil, err
		}
		return ps.start(name, nil, "haproxy", "-db", "-f", file)
	}
}

func startSluiceVersion(binary string, v version, id *identity) func(*processes, string, int, string) (*process, error) {
	return func(ps *processes, name string, port int, origin string) (*process, error) {
		dir := filepath.Join(ps.dir, name)
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
		if err := writeVersion(dir, v, id, port, origin); err != nil {
			return nil, err
		}
		return runSluice(ps, name, binary, "auto", dir)
	}
}
