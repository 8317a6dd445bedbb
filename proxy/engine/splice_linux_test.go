package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/engine"
)

// pipes counts those that the process has open.
func pipes(t *testing.T) (n int) {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}

// Large bodies move through a pipe in the kernel, in both directions.
func TestLargeBodiesAreSpliced(t *testing.T) {
	const size = 1 << 30 // more than any buffers take
	head := fmt.Sprintf("Content-Length: %d\r\n\r\n", size)
	for name, request := range map[string]string{"response": "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "request": "POST / HTTP/1.1\r\nHost: a\r\n" + head} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, engine.Options{Workers: 1})
			g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
				if readHead(r); name == "response" {
					io.WriteString(c, "HTTP/1.1 200 OK\r\n"+head)
					c.Write(make([]byte, 1<<24))
				}
				io.Copy(io.Discard, c)
			}), config.Rule{})
			before := pipes(t)
			c := g.dial()
			io.WriteString(c.Conn, request)
			if name == "request" {
				go c.Conn.Write(make([]byte, 1<<24))
			} else {
				go io.Copy(io.Discard, c.Conn)
			}
			for limit := time.Now().Add(10 * time.Second); pipes(t) <= before; time.Sleep(time.Millisecond) {
				if time.Now().After(limit) {
					t.Fatal("no pipe was made")
				}
			}
		})
	}
}
