package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy"
)

// mirrored serves a rule with one mirror. The function sends a request, waits
// for its response and returns the heads that the mirror got.
func (g *gateway) mirrored(rule config.Rule) func(string) []string {
	heads := make(chan string, 16)
	mirror := g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
		head := readHead(r)
		rest, _ := io.ReadAll(io.LimitReader(r, int64(r.Buffered())))
		heads <- head + string(rest)
	})
	g.apply(config.Delta{Backends: []*config.Backend{backend("service/default/mirror:80", mirror)}})
	rule.Filters.Mirrors = []config.Mirror{{Backend: "service/default/mirror:80", Numerator: 1, Denominator: 1}}
	handler, _ := flaky(2)
	g.serve(g.origin(handler), rule)
	return func(request string) (got []string) {
		c := g.dial()
		c.send(request)
		for {
			if r, _ := c.response("GET"); r.StatusCode >= 200 {
				break
			}
		}
		synctest.Wait()
		for len(heads) > 0 {
			got = append(got, <-heads)
		}
		return got
	}
}

// HTTPRequestMirrorFilter: a copy is a request of its own, with its own framing
// and connection, and is sent once.
func TestGatewayAPI_MirroredRequests(t *testing.T) {
	post := "POST /m HTTP/1.1\nHost: a\n"
	large := strings.Repeat("x", proxy.DefaultLimits.ReplayBytes+1)
	tests := []struct {
		name, request   string
		copies          int
		present, absent []string
	}{
		{"counted", post + "Content-Length: 4\n\nbody", 1, []string{"POST /m HTTP/1.1", "Connection: close", "Content-Length: 4"}, nil},
		{"chunked", post + "Transfer-Encoding: chunked\n\n4\nbody\n0\nX: trailer\n\n", 1, []string{"Content-Length: 4"}, []string{"Transfer-Encoding", "trailer"}},
		{"retried", "GET / HTTP/1.1\nHost: a\n\n", 1, nil, nil},
		{"too large to keep", fmt.Sprintf("%sContent-Length: %d\n\n%s", post, len(large), large), 0, nil, nil},
		{"with its body held back", post + "Content-Length: 4\nExpect: 100-continue\n\n", 0, nil, nil},
		{"expecting, with its body", post + "Content-Length: 4\nExpect: 100-continue\n\nbody", 1, nil, []string{"Expect"}},
		{"upgrade", handshake, 0, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				ask := g.mirrored(config.Rule{Retry: &config.Retry{Codes: []int{503}, Attempts: 1}})
				got := ask(tt.request)
				if len(got) != tt.copies {
					g.Fatalf("the mirror got %q", got)
				}
				for _, head := range got {
					wantLines(g, head, tt.present, tt.absent)
				}
			})
		})
	}
}
