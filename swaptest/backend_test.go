package swaptest

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path"
	"strconv"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// backend is a server that requests are for. Its responses name it.
type backend struct {
	name   string
	port   int
	server *http.Server
}

// startBackend serves until the test ends.
func startBackend(t *testing.T, name string) *backend {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{name: name, port: listener.Addr().(*net.TCPAddr).Port}
	b.server = &http.Server{Handler: http.HandlerFunc(b.serve)}
	var serving sync.WaitGroup
	serving.Go(func() { b.server.Serve(listener) })
	t.Cleanup(func() {
		b.server.Close()
		serving.Wait()
	})
	return b
}

// retire ends the backend as a Pod ends: it accepts nothing more, and closes
// each connection once its request is answered.
func (b *backend) retire(t *testing.T) {
	go b.server.Shutdown(t.Context())
}

// serve answers by the last element of the path.
func (b *backend) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Backend", b.name)
	if mark := r.Header.Get("Marked"); mark != "" {
		w.Header().Set("Marked", mark)
	}
	switch path.Base(r.URL.Path) {
	case "bytes":
		n, _ := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		io.CopyN(w, newPattern(), n)
	case "upload":
		io.WriteString(w, describe(r.Body))
	case "ws":
		echoMessages(w, r)
	default:
		io.WriteString(w, greeting)
	}
}

const greeting = "here I am"

// newPattern is an endless body, the same each time.
func newPattern() io.Reader { return rand.NewChaCha8([32]byte{}) }

// describe is what a backend says of an upload.
func describe(body io.Reader) string {
	sum := crc32.NewIEEE()
	n, err := io.Copy(sum, body)
	return fmt.Sprintf("%d bytes, sum %08x, error %v", n, sum.Sum32(), err)
}

// describePattern is what it says of n bytes of the pattern.
func describePattern(n int64) string { return describe(io.LimitReader(newPattern(), n)) }

func echoMessages(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, message, err := c.Read(context.Background())
		if err != nil || c.Write(context.Background(), kind, message) != nil {
			return
		}
	}
}
