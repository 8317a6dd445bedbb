package engine_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"sync"
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
	return &http.Client{Transport: transport, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
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

func TestHTTP3Bodies(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.speaking3(config.ClientSettings{}).serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).EnableFullDuplex()
			w.Header().Set("Trailer", "X-Sum")
			n, err := io.Copy(w, r.Body)
			w.Header().Set("X-Sum", fmt.Sprint(n, err, r.Trailer.Get("X-Up")))
		}), config.Rule{})
		user := g.user3(nil)
		for _, size := range []int{0, 1, 4 << 10, 100 << 10, 4 << 20} {
			sent := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
			for _, known := range []bool{true, false} {
				var body io.Reader = bytes.NewReader(sent)
				if !known {
					body = io.MultiReader(body)
				}
				req, err := http.NewRequest("POST", "https://web.example/", body)
				if err != nil {
					t.Fatal(err)
				}
				up := ""
				if !known && size > 0 {
					req.Trailer, up = http.Header{"X-Up": {"there"}}, "there"
				}
				resp, got := g.answer(user.Do(req))
				if got != string(sent) {
					t.Errorf("%d bytes, length known: %v: got %d others back", size, known, len(got))
				}
				if want := fmt.Sprint(size, nil, up); resp.Trailer.Get("X-Sum") != want {
					t.Errorf("%d bytes, length known: %v: trailer %q, want %q", size, known, resp.Trailer.Get("X-Sum"), want)
				}
			}
		}
	})
}

var _ = slices.Sort[[]int]
var _ = errors.Is
var _ net.Addr
var _ httptrace.ClientTrace
var _ netip.Addr
var _ textproto.MIMEHeader
var _ strings.Builder
var _ sync.Mutex
