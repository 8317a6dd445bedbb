package engine_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// sayEvery writes a message again and again.
func sayEvery(pause time.Duration, times int, w io.Writer) {
	for range times {
		time.Sleep(pause)
		io.WriteString(w, grpcMessage("news"))
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
}

// A call goes on while one of its sides says something, however long the other
// one is silent: watchers ask once, and answer when there is news.
func TestSilentSideOfACall(t *testing.T) {
	const pause, times = 2 * time.Minute, 10
	for name, test := range map[string]struct {
		serve func(w http.ResponseWriter, r *http.Request)
		ask   func(w io.Writer)
	}{
		"the client is silent": {
			func(w http.ResponseWriter, r *http.Request) { sayEvery(pause, times, w) },
			func(io.Writer) { time.Sleep(pause*times + time.Second) },
		},
		"the backend is silent": {
			func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() },
			func(w io.Writer) { sayEvery(pause, times, w) },
		},
		"the backend has not begun": {
			func(w http.ResponseWriter, r *http.Request) {},
			func(w io.Writer) { sayEvery(pause, times, w) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				g.serveGRPC(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "application/grpc")
					w.Header().Set("Trailer", "Grpc-Status")
					test.serve(w, r)
					body, err := io.ReadAll(r.Body)
					if n := len(body); err != nil || string(body[n-len(grpcMessage("last")):]) != grpcMessage("last") {
						t.Errorf("the backend got %q, %v", body, err)
					}
					w.Header().Set("Grpc-Status", "0")
				})
				body, asks := io.Pipe()
				r := call("application/grpc", "")
				r.Body, r.ContentLength = body, -1
				go func() {
					io.WriteString(asks, grpcMessage("first"))
					test.ask(asks)
					io.WriteString(asks, grpcMessage("last"))
					asks.Close()
				}()
				resp, _ := answer(t, g, 2, r)
				if resp.Header.Get("Grpc-Status") != "0" && resp.Trailer.Get("Grpc-Status") != "0" {
					t.Errorf("got %v, %v", resp, resp.Trailer)
				}
			})
		})
	}
}

// A backend may end a call whose client has not: nobody waits for the client then.
func TestBackendEndsACall(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serveGRPC(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.(http.Flusher).Flush()
			io.WriteString(w, grpcMessage("enough"))
		})
		f := g.frames()
		f.head(1, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/a.B/C", "content-type", "application/grpc", "te", "trailers")
		f.WriteData(1, false, []byte(grpcMessage("first")))
		began := time.Now()
		f.want(1, 200, grpcMessage("enough"))
		f.until(func() bool { _, reset := f.resets[1]; return reset })
		if took := time.Since(began); took > time.Second || f.resets[1] != http2.ErrCodeNo {
			t.Errorf("%v after %v", f.resets[1], took)
		}
	})
}

// A call of which nothing comes any more ends.
func TestSilentCallEnds(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serveGRPC(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		body, asks := io.Pipe()
		defer asks.Close()
		r := call("application/grpc", "")
		r.Body, r.ContentLength = body, -1
		began := time.Now()
		resp, _ := answer(t, g, 2, r)
		if took := time.Since(began); took < time.Minute || took > 10*time.Minute {
			t.Errorf("got %v, %v after %v", resp, resp.Trailer, took)
		}
	})
}
