package engine_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/sluicegateway/sluice/config"
)

// speaking3 makes the gateway's own listener one that speaks HTTP/3 too.
func (g *gateway) speaking3(settings config.ClientSettings) *gateway {
	settings.HTTP3 = true
	g.secured().client = &settings
	return g
}

// user3 is a client that speaks HTTP/3 and asks for web.example, unless the
// settings, which may be nil, say otherwise.
func (g *gateway) user3(settings *tls.Config) *http.Client {
	if settings == nil {
		settings = &tls.Config{ServerName: "web.example"}
	}
	settings.InsecureSkipVerify = true
	transport := &http3.Transport{
		TLSClientConfig: settings,
		Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, g.addr.String(), t, q)
		},
		DisableCompression: true,
	}
	g.Cleanup(func() { transport.Close() })
	return &http.Client{Transport: secure{transport}, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// secure sends all requests as those of https.
type secure struct{ http.RoundTripper }

func (s secure) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "https"
	return s.RoundTripper.RoundTrip(r)
}

// answer is what a response says, and what came with it.
func (g *gateway) answer(resp *http.Response, err error) (*http.Response, string) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.Fatalf("reading the body: %v", err)
	}
	return resp, string(body)
}

func TestHTTP3Request(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.speaking3(config.ClientSettings{}).serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s te=%v %q %q %q", r.Method, r.URL, r.TransferEncoding, r.Header.Get("Via"), r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"))
		}), config.Rule{})
		resp, body := g.answer(g.user3(nil).Get("https://web.example/a?b"))
		if want := `GET /a?b te=[] "3 sluice" "127.0.0.1" "https"`; body != want || resp.StatusCode != 200 || resp.Proto != "HTTP/3.0" {
			t.Errorf("got %s %s %q, want %q", resp.Proto, resp.Status, body, want)
		}
		if got := resp.Header.Get("Alt-Svc"); got != "" {
			t.Errorf("HTTP/3 is told of HTTP/3: %s", got)
		}
	})
}
