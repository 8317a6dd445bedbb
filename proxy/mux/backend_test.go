package mux_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/net/http2"

	ours "github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// rawServer connects a session to a backend of frames, whose settings it has.
func (w *world) rawServer(settings ...http2.Setting) (*mux.Session, *rawPeer) {
	w.Helper()
	l, err := w.network.Listen(anyPort)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { l.Close() })
	accepted := make(chan *rawPeer, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			w.Error(err)
			return
		}
		p := w.raw(c)
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			w.Error(err)
		}
		p.framer.WriteSettings(settings...)
		p.framer.WriteSettingsAck()
		accepted <- p
	}()
	var s *mux.Session
	w.do(func() {
		var c, err = w.loop.Dial("tcp", l.Addr().String(), time.Time{})
		if err != nil {
			w.Error(err)
			return
		}
		s = mux.NewClient(c, &mux.ClientOptions{Closed: w.closed})
	})
	p := <-accepted
	w.Cleanup(func() { p.Close() })
	return s, p
}

// open sends a request and returns its stream.
func (w *world) open(s *mux.Session, r message.Request, end bool) (st *mux.Stream) {
	w.do(func() {
		var err error
		if st, err = s.Open(); err == nil {
			err = st.WriteRequest(&r, end)
		}
		if err != nil {
			w.Error(err)
		}
	})
	return st
}

// answer is a response's head.
func (p *rawPeer) answer(status string, more ...string) []byte {
	return p.head(append([]string{":status", status}, more...)...)
}

// A backend is held to the same rules as a client.
func TestWrongBackends(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(p *rawPeer)
		want string // of the backend
		code ours.ErrCode
	}{
		"6.6 PUSH_PROMISE": {func(p *rawPeer) {
			p.framer.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: p.get(), EndHeaders: true})
		}, "GOAWAY PROTOCOL_ERROR", ours.ProtocolError},
		"5.1.1 a stream of its own":    {func(p *rawPeer) { p.headers(2, true, p.answer("200")) }, "GOAWAY PROTOCOL_ERROR", ours.ProtocolError},
		"5.1 a response to no request": {func(p *rawPeer) { p.headers(3, true, p.answer("200")) }, "GOAWAY PROTOCOL_ERROR", ours.ProtocolError},
		"8.1 DATA before the head": {func(p *rawPeer) {
			p.framer.WriteData(1, true, []byte("x"))
		}, "RST 1 PROTOCOL_ERROR", ours.ProtocolError},
		"8.1 an interim response that ends the stream": {func(p *rawPeer) { p.headers(1, true, p.answer("103")) }, "RST 1 PROTOCOL_ERROR", ours.ProtocolError},
		"8.1 a second head that does not end the stream": {func(p *rawPeer) {
			p.headers(1, false, p.answer("200"))
			p.headers(1, false, p.head("x-a", "b"))
		}, "RST 1 PROTOCOL_ERROR", ours.ProtocolError},
		"8.1.1 more than Content-Length": {func(p *rawPeer) {
			p.headers(1, false, p.answer("200", "content-length", "1"))
			p.framer.WriteData(1, true, []byte("xy"))
		}, "RST 1 PROTOCOL_ERROR", ours.ProtocolError},
		"8.3.2 no status": {func(p *rawPeer) { p.headers(1, true, p.head("x-a", "b")) }, "RST 1 PROTOCOL_ERROR", ours.ProtocolError},
		"a flood of interim heads": {func(p *rawPeer) {
			for range 100 {
				p.headers(1, false, p.answer("103"))
			}
		}, "RST 1 PROTOCOL_ERROR", ours.ProtocolError},
		"a head that is too large": {func(p *rawPeer) { p.headers(1, true, p.answer("200", manyFields(200)...)) }, "RST 1 ENHANCE_YOUR_CALM", ours.EnhanceYourCalm},
		"an endless head": {func(p *rawPeer) {
			p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.answer("200")})
			for range 20 {
				p.framer.WriteContinuation(1, false, make([]byte, 16<<10))
			}
		}, "GOAWAY ENHANCE_YOUR_CALM", ours.EnhanceYourCalm},
		"PING flood": {func(p *rawPeer) {
			for range 2000 {
				p.framer.WritePing(false, [8]byte{})
			}
		}, "GOAWAY ENHANCE_YOUR_CALM", ours.EnhanceYourCalm},
		"6.8 GOAWAY that leaves it out": {func(p *rawPeer) { p.framer.WriteGoAway(0, http2.ErrCodeNo, nil) }, "", ours.RefusedStream},
		"8.7 REFUSED_STREAM":            {func(p *rawPeer) { p.framer.WriteRSTStream(1, http2.ErrCodeRefusedStream) }, "", ours.RefusedStream},
		"5.4.2 RST_STREAM":              {func(p *rawPeer) { p.framer.WriteRSTStream(1, http2.ErrCodeInternal) }, "", ours.InternalError},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				s, p := w.rawServer()
				st := w.open(s, request("GET", "/"), true)
				go test.do(p)
				if test.want != "" {
					p.until(test.want)
				}
				p.discard()
				w.do(func() {
					var r message.Response
					var err error
					for err == nil {
						if err = st.ReadResponse(&r); err == nil && r.Status >= 200 {
							_, err = io.Copy(io.Discard, struct{ io.Reader }{st})
						}
					}
					var wrong *ours.Error
					var cut *mux.StreamError
					switch {
					case errors.As(err, &wrong) && wrong.Code == test.code:
					case errors.As(err, &cut) && cut.Code == test.code:
					default:
						w.Errorf("the stream ended with %v", err)
					}
					if refused := test.code == ours.RefusedStream; st.Refused() != refused {
						w.Errorf("Refused: %v", st.Refused())
					}
					st.Close()
				})
			})
		})
	}
}

// GOAWAY lets those streams end that the backend has taken, and no others begin.
func TestBackendGoesAway(t *testing.T) {
	inBubble(t, func(w *world) {
		s, p := w.rawServer()
		first, second := w.open(s, request("GET", "/1"), true), w.open(s, request("GET", "/2"), true)
		p.framer.WriteGoAway(1, http2.ErrCodeNo, nil)
		w.settle()
		w.do(func() {
			if _, err := s.Open(); err != mux.ErrGoingAway || s.Room() != 0 {
				w.Errorf("Open: %v, Room: %d", err, s.Room())
			}
			if err := second.ReadResponse(new(message.Response)); err == nil || !second.Refused() {
				w.Errorf("the second: %v, refused: %v", err, second.Refused())
			}
			second.Close()
		})
		p.headers(1, true, p.answer("204"))
		w.do(func() {
			var r message.Response
			if err := first.ReadResponse(&r); err != nil || r.Status != 204 || first.Refused() {
				w.Errorf("the first: %d, %v", r.Status, err)
			}
			first.Close()
		})
		p.until("EOF")
	})
}

// A response that comes before the request has ended can be read, and what is
// left of the request is not sent.
func TestResponseBeforeTheRequestsEnd(t *testing.T) {
	inBubble(t, func(w *world) {
		s, p := w.rawServer()
		r := request("POST", "/")
		r.BodyLength = message.LengthUnknown
		st := w.open(s, r, false)
		p.headers(1, false, p.answer("413", "content-length", "4"))
		p.framer.WriteData(1, true, []byte("much"))
		p.framer.WriteRSTStream(1, http2.ErrCodeNo)
		w.settle()
		w.do(func() {
			if _, err := st.Write([]byte("more")); err == nil {
				w.Error("written after the reset")
			}
			var r message.Response
			if err := st.ReadResponse(&r); err != nil || r.Status != 413 {
				w.Errorf("the response: %d, %v", r.Status, err)
			}
			if got, err := io.ReadAll(st); string(got) != "much" || err != nil {
				w.Errorf("its body: %q, %v", got, err)
			}
			st.Close()
		})
	})
}

// A client leaves with CANCEL; what the backend still sends is dropped, and its
// window given back.
func TestCancel(t *testing.T) {
	inBubble(t, func(w *world) {
		s, p := w.rawServer()
		for i := range 200 { // more than is remembered
			st := w.open(s, request("GET", "/"), true)
			w.do(func() { st.Close() })
			p.until("RST")
			p.headers(odd(i), false, p.answer("200"))
			p.framer.WriteData(odd(i), true, make([]byte, 8<<10))
		}
		st := w.open(s, request("GET", "/"), true)
		p.headers(odd(200), true, p.answer("200", "x-last", "1"))
		w.do(func() {
			var r message.Response
			if err := st.ReadResponse(&r); err != nil || r.Header.Get("x-last") != "1" {
				w.Errorf("after all: %v", err)
			}
			st.Close()
		})
	})
}

// The backend's limit of streams counts, from its SETTINGS on.
func TestMaxConcurrentStreams(t *testing.T) {
	inBubble(t, func(w *world) {
		s, p := w.rawServer(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		w.settle()
		st := w.open(s, request("GET", "/"), true)
		w.do(func() {
			if _, err := s.Open(); err != mux.ErrFull {
				w.Errorf("a second stream: %v", err)
			}
		})
		p.framer.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000})
		w.settle()
		w.do(func() {
			if s.Room() != 99 {
				w.Errorf("room for %d with our limit of 100", s.Room())
			}
			st.Close()
		})
	})
}

// An upload waits for the backend's windows and leaves whole.
func TestUploadWaits(t *testing.T) {
	inBubble(t, func(w *world) {
		s, p := w.rawServer(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
		w.settle()
		r := request("POST", "/")
		r.BodyLength = 10
		st := w.open(s, r, false)
		sent := make(chan error, 1)
		w.post(func() {
			w.loop.Go(func() {
				_, err := st.Write(bytes.Repeat([]byte("x"), 10))
				sent <- errors.Join(err, st.End(nil))
			})
		})
		p.until("DATA 1 3")
		p.framer.WriteWindowUpdate(1, 100)
		if got := p.until("DATA"); got != "DATA 1 7 END" { // or, on its own,
			p.until("DATA 1 0 END")
		}
		if err := <-sent; err != nil {
			w.Error(err)
		}
		w.do(func() { st.Close() })
	})
}
