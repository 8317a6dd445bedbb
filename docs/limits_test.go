package docs

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// TestLimits holds that limits.md says what the program does.
func TestLimits(t *testing.T) {
	page, err := os.ReadFile("limits.md")
	if err != nil {
		t.Fatal(err)
	}
	client, pool := proxy.DefaultLimits, upstream.DefaultLimits
	for _, limit := range []struct{ name, value string }{
		{"TLS handshake, to its first byte and again from there", duration(client.HandshakeTime)},
		{"TLS handshake, bytes from the client", kibibytes(tlsconn.MaxHandshake)},
		{"TLS handshakes at once, of each worker", count(client.Handshakes)},
		{"TLS record that an idle connection has begun", duration(tlsconn.RecordTime)},
		{"request line", kibibytes(client.Head.RequestLine)},
		{"header fields, in bytes", kibibytes(client.Head.HeaderBytes)},
		{"header fields", count(client.Head.HeaderFields)},
		{"time for the head, from its first byte", duration(client.HeadTimeout)},
		{"body without progress, sent or received", duration(client.BodyIdle)},
		{"idle connection", duration(client.KeepAlive)},
		{"rest of a body that nobody wants, in bytes", kibibytes(int(client.LingerBytes))},
		{"rest of a body that nobody wants, in time", duration(client.LingerTime)},
		{"connections to one address and port", count(int(client.Connections))},
		{"silent tunnel, both ways", duration(client.TunnelIdle)},
		{"connect", duration(pool.ConnectTimeout)},
		{"silence before and within a response", duration(client.UpstreamIdle)},
		{"interim responses to a request", count(client.InterimResponses)},
		{"wait for an answer to `Expect: 100-continue`", duration(client.ContinueWait)},
		{"body kept for a retry or a mirror", kibibytes(client.ReplayBytes)},
		{"idle connections to an endpoint, of each worker", count(pool.IdlePerEndpoint)},
		{"idle connections in all, of each worker", count(pool.Idle)},
		{"idle connection to an endpoint", duration(pool.IdleTimeout)},
	} {
		if row := fmt.Sprintf("| %s | %s |", limit.name, limit.value); !strings.Contains(string(page), "\n"+row) {
			t.Errorf("limits.md has no row that begins with %s", row)
		}
	}
}

func kibibytes(n int) string { return fmt.Sprintf("%d KiB", n>>10) }

func count(n int) string {
	if n >= 1000 {
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	return fmt.Sprint(n)
}

func duration(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%v h", d.Hours())
	case d > 2*time.Minute:
		return fmt.Sprintf("%v min", d.Minutes())
	}
	return fmt.Sprintf("%v s", d.Seconds())
}
