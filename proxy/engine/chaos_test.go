package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sluicegateway/sluice/config"
)

// moody is a backend that does what the request's path says to it, and names
// the path in each answer.
func moody(c net.Conn, r *bufio.Reader) {
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, mood, _ := strings.Cut(req.URL.Path[1:], "/")
		answer := "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(req.URL.Path)) + "\r\n\r\n" + req.URL.Path
		switch mood {
		case "early":
			io.WriteString(c, answer)
			if io.Copy(io.Discard, req.Body); req.ContentLength > 100_000 {
				return
			}
		case "deaf": // leaves the body
			io.WriteString(c, answer)
			return
		case "reset":
			c.(*net.TCPConn).SetLinger(0)
			return
		case "half":
			io.Copy(io.Discard, req.Body)
			io.WriteString(c, answer[:len(answer)-3])
			return
		case "chunks":
			io.Copy(io.Discard, req.Body)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\nX: y\r\n\r\n", len(req.URL.Path), req.URL.Path)
		case "busy":
			io.Copy(io.Discard, req.Body)
			io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
		default:
			io.Copy(io.Discard, req.Body)
			io.WriteString(c, answer)
		}
	}
}

// Whatever clients and backends do, no response reaches another request.
func TestResponsesBelongToTheirRequests(t *testing.T) {
	moods := []string{"calm", "calm", "calm", "early", "deaf", "reset", "half", "chunks", "busy"}
	onBoth(t, func(g *gateway) {
		g.serve(g.rawOrigin(moody), config.Rule{Retry: &config.Retry{Codes: []int{503}, Attempts: 1, Backoff: 1}})
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(i)))
				for n := 0; n < 200; {
					n += g.session(random, i*1000+n, moods)
				}
			})
		}
		clients.Wait()
	})
}

// session sends requests on one connection until that ends, and checks the
// answers. It returns how many it sent.
func (g *gateway) session(random *rand.Rand, id int, moods []string) (n int) {
	c, err := net.Dial("tcp", g.addr.String())
	if err != nil {
		g.Error(err)
		return 1 << 20
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for n < 10 {
		path := fmt.Sprintf("/%d/%s", id+n, moods[random.IntN(len(moods))])
		n++
		sizes := []int{0, 0, 10, 5_000, 70_000, 300_000}
		body := strings.Repeat("x", sizes[random.IntN(len(sizes))])
		head := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", path, len(body))
		if random.IntN(3) == 0 {
			head = fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", path, len(body))
			if body != "" {
				body += "\r\n0\r\n"
			}
			body += "\r\n"
		}
		if random.IntN(20) == 0 { // goes away in the middle
			io.WriteString(c, head+body[:len(body)/2])
			c.(*net.TCPConn).SetLinger(random.IntN(2))
			return n
		}
		sent := make(chan bool)
		go func() {
			io.WriteString(c, head+body)
			close(sent)
		}()
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			return n
		}
		answer, err := io.ReadAll(r.Body)
		if err == nil && r.StatusCode == 200 && string(answer) != path {
			g.Errorf("the request for %s got the answer %q", path, answer)
		}
		if err != nil || r.Close {
			return n
		}
		<-sent
	}
	return n
}
