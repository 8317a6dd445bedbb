package mux_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// hold serves sessions whose streams the test handles itself.
func (w *world) hold(limits *mux.Limits) (dial func() *rawPeer, sessions chan *mux.Session, streams chan *mux.Stream) {
	sessions, streams = make(chan *mux.Session, 10), make(chan *mux.Stream, 1000)
	addr := w.accept(func(c loop.Conn) {
		sessions <- mux.Serve(c, nil, &mux.ServerOptions{Limits: limits, Serve: func(st *mux.Stream) { streams <- st }, Closed: w.closed})
	})
	return func() *rawPeer { return w.rawClient(addr) }, sessions, streams
}

// A server announces its end, takes what was on its way, tells the last stream,
// and ends when that has.
func TestDrain(t *testing.T) {
	for name, answers := range map[string]bool{"PING is answered": true, "PING is not answered": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				dial, sessions, streams := w.hold(nil)
				p := dial()
				p.headers(1, true, p.get())
				first, s := <-streams, <-sessions
				w.post(s.Drain)
				if f := p.goAway(); f.LastStreamID != 1<<31-1 || f.ErrCode != http2.ErrCodeNo {
					w.Errorf("first %v", f)
				}
				p.headers(3, true, p.get())
				second := <-streams
				if answers {
					p.framer.WritePing(true, [8]byte{'d', 'r', 'a', 'i', 'n', 'i', 'n', 'g'})
				}
				if f := p.goAway(); f.LastStreamID != 3 || f.ErrCode != http2.ErrCodeNo {
					w.Errorf("second %v", f)
				}
				p.headers(5, true, p.get())
				w.do(func() { answerOK(first); first.Close() })
				p.until("DATA 1 2 END")
				w.do(func() { answerOK(second); second.Close() })
				p.until("DATA 3 2 END")
				p.until("EOF")
				if len(streams) > 0 {
					w.Error("a stream above the last was served")
				}
				p.Close()
				if e := <-w.ended; e != (ending{}) {
					w.Errorf("ended with %+v", e)
				}
			})
		})
	}
}

func (p *rawPeer) goAway() *http2.GoAwayFrame {
	p.Helper()
	for {
		f, err := p.framer.ReadFrame()
		if err != nil {
			p.Fatal(err)
		}
		if f, ok := f.(*http2.GoAwayFrame); ok {
			return f
		}
	}
}

// What takes too long ends the connection, after its time and not before.
func TestTimeouts(t *testing.T) {
	for name, test := range map[string]struct {
		send   func(p *rawPeer)
		after  time.Duration
		reason string
	}{
		"no preface":        {func(*rawPeer) {}, 10 * time.Second, "settings_timeout"},
		"part of a preface": {func(p *rawPeer) { io.WriteString(p, http2.ClientPreface[:10]) }, 10 * time.Second, "settings_timeout"},
		"no SETTINGS":       {func(p *rawPeer) { io.WriteString(p, http2.ClientPreface) }, 10 * time.Second, "settings_timeout"},
		"SETTINGS without answer to ours": {func(p *rawPeer) {
			io.WriteString(p, http2.ClientPreface)
			p.framer.WriteSettings()
		}, 10 * time.Second, "settings_timeout"},
		"a head that does not end": {func(p *rawPeer) {
			p.begin()
			p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.get()})
			for range 9 {
				time.Sleep(time.Second)
				p.framer.WriteContinuation(1, false, []byte{0x82})
			}
		}, 10 * time.Second, "enhance_your_calm"},
		"a frame of a head that does not end": {func(p *rawPeer) {
			p.begin()
			p.Write([]byte{0, 1, 0, 1, 4, 0, 0, 0, 1})
			for range 9 {
				time.Sleep(time.Second)
				p.Write([]byte{0})
			}
		}, 10 * time.Second, "enhance_your_calm"},
		"a frame of DATA that stops": {func(p *rawPeer) {
			p.begin()
			p.headers(1, false, p.post())
			p.Write([]byte{0, 1, 0, 0, 0, 0, 0, 0, 1})
			time.Sleep(30 * time.Second)
			p.Write([]byte{0})
		}, 90 * time.Second, "enhance_your_calm"},
		"no request": {func(p *rawPeer) { p.begin() }, 75 * time.Second, ""},
		"no further request": {func(p *rawPeer) {
			p.begin()
			time.Sleep(10 * time.Second)
			p.headers(1, true, p.get())
		}, 85 * time.Second, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				addr := w.listen(nil, func(st *mux.Stream) {
					if _, err := st.Next(); err == io.EOF {
						answerOK(st)
					}
				})
				began := time.Now()
				p := w.raw(w.dial(addr))
				p.discard()
				test.send(p)
				e := <-w.ended
				took := time.Since(began)
				if took < test.after || took > test.after+2*time.Second || e.reason != test.reason {
					w.Errorf("ended after %v with %+v; want %v and %q", took, e, test.after, test.reason)
				}
			})
		})
	}
}

// begin sends what a connection begins with.
func (p *rawPeer) begin() {
	io.WriteString(p, http2.ClientPreface)
	p.framer.WriteSettings()
	p.framer.WriteSettingsAck()
}

// A client's reset reaches the handler at once; the stream counts until the
// handler has let go.
func TestReset(t *testing.T) {
	inBubble(t, func(w *world) {
		limits := mux.DefaultLimits
		limits.Streams = 1
		dial, sessions, streams := w.hold(&limits)
		p := dial()
		p.headers(1, false, p.post())
		st, s := <-streams, <-sessions
		aborted := make(chan bool, 1)
		w.post(func() { st.OnAbort(func() { aborted <- true }) })
		p.framer.WriteRSTStream(1, http2.ErrCodeCancel)
		<-aborted
		p.headers(3, true, p.get())
		p.until("RST 3 REFUSED_STREAM")
		w.do(func() {
			var reset *mux.StreamError
			if _, err := st.Read(make([]byte, 1)); !errors.As(err, &reset) || reset.Code != 8 {
				w.Errorf("Read: %v", err)
			}
			if err := st.WriteResponse(&message.Response{Status: 200}, true); !errors.As(err, &reset) {
				w.Errorf("WriteResponse: %v", err)
			}
			if s.Streams() != 1 {
				w.Errorf("%d streams", s.Streams())
			}
			st.Close()
			if s.Streams() != 0 {
				w.Errorf("%d streams after Close", s.Streams())
			}
		})
		p.headers(5, true, p.get())
		<-streams
	})
}

// A handler that leaves early says how: the response is complete and no more is
// wanted of the request, or something went wrong.
func TestLeavingEarly(t *testing.T) {
	inBubble(t, func(w *world) {
		dial, _, streams := w.hold(nil)
		p := dial()
		for id, leave := range map[uint32]func(st *mux.Stream){
			1: func(st *mux.Stream) { answerOK(st); st.Close() },
			3: func(st *mux.Stream) { st.WriteResponse(&message.Response{Status: 200}, false); st.Close() },
			5: func(st *mux.Stream) { st.Abort() },
			7: func(st *mux.Stream) { st.Reset(11); st.Close() },
		} {
			p := dial()
			p.headers(id, false, p.post())
			st := <-streams
			w.do(func() { leave(st) })
			want := map[uint32]string{1: "NO_ERROR", 3: "INTERNAL_ERROR", 5: "INTERNAL_ERROR", 7: "ENHANCE_YOUR_CALM"}[id]
			if got := p.until("RST"); got != "RST "+string('0'+byte(id))+" "+want {
				w.Errorf("%s, want %s", got, want)
			}
			p.framer.WriteData(id, false, []byte("was on its way"))
			p.framer.WritePing(false, [8]byte{})
			if got := p.until("RST", "GOAWAY", "PING"); got != "PING ACK" {
				w.Errorf("%s for what was on its way", got)
			}
		}
		p.Close()
	})
}

// Streams end with their loop, and with their connection.
func TestConnectionLost(t *testing.T) {
	inBubble(t, func(w *world) {
		dial, sessions, streams := w.hold(nil)
		p := dial()
		p.headers(1, false, p.post())
		st, s := <-streams, <-sessions
		aborted := make(chan bool, 1)
		w.post(func() { st.OnAbort(func() { aborted <- true }) })
		p.Conn.(interface{ SetLinger(int) error }).SetLinger(0)
		p.Close()
		<-aborted
		if e := <-w.ended; e.reason != "reset" {
			w.Errorf("ended with %+v", e)
		}
		w.do(func() {
			if _, err := st.Next(); err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
				w.Errorf("Next: %v", err)
			}
			st.Close()
			s.Close()
			s.Drain()
		})
	})
}
