package mux_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// goServer is Go's own, without TLS.
func goServer(t *testing.T, handle http.HandlerFunc) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handle, Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return netip.MustParseAddrPort(l.Addr().String())
}

// connect makes a session to a backend. Handlers only.
func (w *world) connect(addr netip.AddrPort) (*mux.Session, error) {
	c, err := w.loop.Dial("tcp", addr.String(), w.loop.Now().Add(time.Minute))
	if err != nil {
		return nil, err
	}
	return mux.NewClient(c, &mux.ClientOptions{Closed: w.closed}), nil
}

// exchange is a request and what came back.
type exchange struct {
	request  message.Request
	body     []byte
	trailer  *message.Header
	interims []int
	response message.Response
	answer   []byte
	after    *message.Header
}

// run sends the request while it reads the response. Handlers only.
func (x *exchange) run(s *mux.Session) error {
	st, err := s.Open()
	if err != nil {
		return err
	}
	defer st.Close()
	if err := st.WriteRequest(&x.request, len(x.body) == 0 && x.trailer == nil); err != nil {
		return err
	}
	if len(x.body) > 0 || x.trailer != nil {
		st.Loop().Go(func() {
			if _, err := st.Write(x.body); err == nil {
				st.End(x.trailer)
			}
		})
	}
	for {
		if err := st.ReadResponse(&x.response); err != nil {
			return err
		}
		if x.response.Status >= 200 {
			break
		}
		x.interims = append(x.interims, x.response.Status)
	}
	for {
		p, err := st.Next()
		if err == io.EOF {
			x.after = st.Trailer()
			return nil
		}
		if err != nil {
			return err
		}
		x.answer = append(x.answer, p...)
	}
}

func request(method, path string) message.Request {
	return message.Request{Method: method, Scheme: "http", Authority: "a.example", Path: path}
}

func TestGoServer(t *testing.T) {
	addr := goServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-After")
		if r.URL.Path == "/early" {
			w.WriteHeader(http.StatusEarlyHints)
		}
		if r.URL.Path == "/none" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("X-After", fmt.Sprint(n))
	})
	onSockets(t, func(t *testing.T, w *world) {
		var session *mux.Session
		w.do(func() {
			var err error
			if session, err = w.connect(addr); err != nil {
				t.Error(err)
			}
		})
		for _, size := range []int{0, 1, 100_000, 3 << 20} {
			x := exchange{request: request("POST", "/"), body: bytes.Repeat([]byte("x"), size)}
			x.request.BodyLength = message.LengthUnknown
			x.trailer = &message.Header{Fields: []message.Field{{Name: "X-Sum", Value: "7"}}}
			w.do(func() {
				if err := x.run(session); err != nil {
					t.Errorf("%d bytes: %v", size, err)
				}
			})
			if !bytes.Equal(x.answer, x.body) || x.response.Status != 200 {
				t.Errorf("%d bytes: status %d, %d came back", size, x.response.Status, len(x.answer))
			}
			if x.after == nil || x.after.Get("x-after") != fmt.Sprint(size) {
				t.Errorf("%d bytes: trailers %v", size, x.after)
			}
		}
		early := exchange{request: request("GET", "/early")}
		none := exchange{request: request("GET", "/none")}
		head := exchange{request: request("HEAD", "/")}
		w.do(func() {
			for _, x := range []*exchange{&early, &none, &head} {
				if err := x.run(session); err != nil {
					t.Errorf("%s: %v", x.request.Path, err)
				}
			}
		})
		if len(early.interims) != 1 || early.interims[0] != 103 || early.response.Status != 200 {
			t.Errorf("after 103: %v and %d", early.interims, early.response.Status)
		}
		if none.response.Status != 204 || len(none.answer) > 0 {
			t.Errorf("204: status %d, %d bytes", none.response.Status, len(none.answer))
		}
		if head.response.Status != 200 || len(head.answer) > 0 {
			t.Errorf("HEAD: status %d, %d bytes", head.response.Status, len(head.answer))
		}
		w.do(session.Close)
		if e := <-w.ended; e != (ending{}) {
			t.Errorf("the session ended with %+v", e)
		}
	})
}

// Each session has as many streams as the server allows, and no more.
func TestStreamsOfTheServer(t *testing.T) {
	inBubble(t, func(w *world) {
		limits := mux.DefaultLimits
		limits.Streams = 3
		addr := w.listen(&limits, echo)
		w.do(func() {
			s, err := w.connect(addr)
			if err != nil {
				w.Error(err)
				return
			}
			first := exchange{request: request("GET", "/")}
			if err := first.run(s); err != nil {
				w.Error(err)
			}
			if s.Room() != 3 || s.Streams() != 0 {
				w.Errorf("%d of %d streams are free", s.Room(), s.Streams())
			}
			var open []*mux.Stream
			for range 3 {
				st, err := s.Open()
				if err != nil {
					w.Error(err)
					return
				}
				open = append(open, st)
			}
			if _, err := s.Open(); err != mux.ErrFull {
				w.Errorf("a fourth stream: %v", err)
			}
			open[0].Close()
			if s.Room() != 1 {
				w.Errorf("room for %d after one was closed", s.Room())
			}
			s.Drain()
			if _, err := s.Open(); err != mux.ErrGoingAway {
				w.Errorf("a stream of a session that drains: %v", err)
			}
			open[1].Close()
			open[2].Close()
			if !errors.Is(open[2].WriteRequest(&message.Request{}, true), net.ErrClosed) {
				w.Error("a request was written to a closed stream")
			}
		})
		for range 2 {
			if e := <-w.ended; e != (ending{}) {
				w.Errorf("ended with %+v", e)
			}
		}
	})
}

// WebSocket is HTTP/1.1's for those who use a stream.
func TestWebSocket(t *testing.T) {
	inBubble(t, func(w *world) {
		addr := w.listen(nil, func(st *mux.Stream) {
			var r message.Request
			st.Request(&r)
			if r.Method != "GET" || r.Upgrade != "websocket" {
				w.Errorf("the request is %+v", r)
			}
			if err := st.WriteResponse(&message.Response{Status: 101, Upgrade: "websocket", BodyLength: message.LengthUnknown}, false); err != nil {
				w.Error(err)
			}
			io.Copy(struct{ io.Writer }{st}, struct{ io.Reader }{st})
			st.CloseWrite()
		})
		w.do(func() {
			s, err := w.connect(addr)
			if err != nil {
				w.Error(err)
				return
			}
			st, err := s.Open()
			if err != nil {
				w.Error(err)
				return
			}
			defer s.Close()
			defer st.Close()
			r := request("GET", "/chat")
			r.Upgrade = "websocket"
			if err := st.WriteRequest(&r, false); err != mux.ErrNoUpgrade {
				w.Errorf("before the settings are there: %v", err)
			}
			if ok, err := s.Upgrades(w.loop.Now().Add(time.Minute)); !ok || err != nil {
				w.Errorf("Upgrades: %v, %v", ok, err)
			}
			var answer message.Response
			if err := errors.Join(st.WriteRequest(&r, false), st.ReadResponse(&answer)); err != nil {
				w.Error(err)
			}
			if answer.Status != 101 || answer.Upgrade != "websocket" {
				w.Errorf("the response is %+v", answer)
			}
			st.Write([]byte("hello"))
			got := make([]byte, 5)
			if _, err := io.ReadFull(st, got); string(got) != "hello" || err != nil {
				w.Errorf("read %q, %v", got, err)
			}
			st.CloseWrite()
			if _, err := st.Read(got); err != io.EOF {
				w.Errorf("at the end: %v", err)
			}
		})
	})
}
