package mux_test

import (
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluicegateway/sluice/proxy/mux"
)

// attacks are what ends a connection before it costs the others: with GOAWAY,
// which lets the streams that are open end. most is how often the attacker may act.
var attacks = map[string]struct {
	most  int
	begin func(p *rawPeer)
	next  func(p *rawPeer, i int) error
}{
	"rapid reset": {400, nil, func(p *rawPeer, i int) error {
		p.headers(odd(i), true, p.get())
		return p.framer.WriteRSTStream(odd(i), http2.ErrCodeCancel)
	}},
	"MadeYouReset by WINDOW_UPDATE of nothing": {400, nil, func(p *rawPeer, i int) error {
		p.headers(odd(i), true, p.get())
		return p.framer.WriteWindowUpdate(odd(i), 0)
	}},
	"MadeYouReset by a window beyond its bound": {400, nil, func(p *rawPeer, i int) error {
		p.headers(odd(i), true, p.get())
		return p.framer.WriteWindowUpdate(odd(i), 1<<31-1)
	}},
	"MadeYouReset by PRIORITY of the wrong size": {400, nil, func(p *rawPeer, i int) error {
		p.headers(odd(i), true, p.get())
		return p.framer.WriteRawFrame(http2.FramePriority, 0, odd(i), []byte("1"))
	}},
	"MadeYouReset by PRIORITY on itself": {400, nil, func(p *rawPeer, i int) error {
		p.headers(odd(i), true, p.get())
		return p.framer.WritePriority(odd(i), http2.PriorityParam{StreamDep: odd(i)})
	}},
	"MadeYouReset by HEADERS after the end": {400, nil, func(p *rawPeer, i int) error {
		p.headers(odd(i), true, p.get())
		p.headers(odd(i), true, p.get())
		return p.framer.WritePing(false, [8]byte{})
	}},
	"MadeYouReset by DATA after the end": {400, nil, func(p *rawPeer, i int) error {
		p.headers(odd(i), true, p.get())
		return p.framer.WriteData(odd(i), true, []byte("x"))
	}},
	"streams above the limit": {600, nil, func(p *rawPeer, i int) error {
		p.headers(odd(i), false, p.post())
		return nil
	}},
	"malformed requests": {300, nil, func(p *rawPeer, i int) error {
		p.headers(odd(i), true, p.get("Upper", "x"))
		return p.framer.WritePing(false, [8]byte{})
	}},
	"PING flood":     {1100, nil, func(p *rawPeer, i int) error { return p.framer.WritePing(false, [8]byte{}) }},
	"SETTINGS flood": {300, nil, func(p *rawPeer, i int) error { return p.framer.WriteSettings() }},
	"SETTINGS over many streams": {100, func(p *rawPeer) {
		for i := range 100 {
			p.headers(odd(i), false, p.post())
		}
	}, func(p *rawPeer, i int) error {
		return p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i)})
	}},
	"empty DATA": {200, func(p *rawPeer) { p.headers(1, false, p.post()) }, func(p *rawPeer, i int) error {
		return p.framer.WriteData(1, false, nil)
	}},
	"padding alone": {200, func(p *rawPeer) { p.headers(1, false, p.post()) }, func(p *rawPeer, i int) error {
		return p.framer.WriteDataPadded(1, false, nil, make([]byte, 10))
	}},
	"empty CONTINUATION": {200, func(p *rawPeer) {
		p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.get()})
	}, func(p *rawPeer, i int) error { return p.framer.WriteContinuation(1, false, nil) }},
	"CONTINUATION without end": {513, func(p *rawPeer) {
		p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.get()})
	}, func(p *rawPeer, i int) error { return p.framer.WriteContinuation(1, false, []byte{0x82}) }},
	"CONTINUATION without measure": {20, func(p *rawPeer) {
		p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.get()})
	}, func(p *rawPeer, i int) error { return p.framer.WriteContinuation(1, false, make([]byte, 16<<10)) }},
	"GOAWAY flood": {1100, func(p *rawPeer) { p.headers(1, false, p.post()) }, func(p *rawPeer, i int) error {
		return p.framer.WriteGoAway(0, http2.ErrCodeNo, nil)
	}},
	"WINDOW_UPDATE flood": {2500, nil, func(p *rawPeer, i int) error { return p.framer.WriteWindowUpdate(0, 1) }},
	"PRIORITY flood": {1100, nil, func(p *rawPeer, i int) error {
		return p.framer.WritePriority(odd(i), http2.PriorityParam{StreamDep: odd(i + 1)})
	}},
	"PRIORITY_UPDATE flood": {1100, nil, func(p *rawPeer, i int) error {
		return p.framer.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x01u=1"))
	}},
	"unknown frames": {1100, nil, func(p *rawPeer, i int) error {
		return p.framer.WriteRawFrame(0xfe, 0, 0, []byte("x"))
	}},
	"RST_STREAM flood": {1100, func(p *rawPeer) { p.headers(1, true, p.get()) }, func(p *rawPeer, i int) error {
		return p.framer.WriteRSTStream(1, http2.ErrCodeCancel)
	}},
	"DATA for a stream that we reset": {1300, func(p *rawPeer) {
		p.headers(1, false, p.post("content-length", "1"))
		p.framer.WriteData(1, false, []byte("xy"))
	}, func(p *rawPeer, i int) error { return p.framer.WriteData(1, false, make([]byte, 1000)) }},
	"trailers for a stream that we reset": {1100, func(p *rawPeer) {
		p.headers(1, false, p.post("content-length", "1"))
		p.framer.WriteData(1, false, []byte("xy"))
	}, func(p *rawPeer, i int) error {
		p.headers(1, true, p.head("x-a", "b"))
		return p.framer.WriteRawFrame(0xfe, 0, 0, nil)
	}},
}

func odd(i int) uint32 { return uint32(2*i + 1) }

func TestAttacks(t *testing.T) {
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				working, most := 0, 0
				addr := w.listen(nil, func(st *mux.Stream) { // the backend takes its time, whatever the client does
					working++
					most = max(most, working)
					w.loop.Sleep(time.Millisecond)
					working--
					whole(st)
				})
				p := w.rawClient(addr)
				p.until("SETTINGS ACK")
				told, gone := make(chan string, 1), make(chan string, 1)
				go func() {
					told <- p.until("GOAWAY ENHANCE_YOUR_CALM")
					gone <- p.until("EOF", "reset")
				}()
				if attack.begin != nil {
					attack.begin(p)
				}
				for i := 0; len(told) == 0; i++ {
					if i > attack.most {
						w.Fatalf("%d were let in", i)
					}
					attack.next(p, i) // an error is the end, of which told tells
					time.Sleep(2 * time.Millisecond)
					w.settle()
				}
				<-gone
				if most > mux.DefaultLimits.Streams {
					w.Errorf("%d requests were worked on at once", most)
				}
			})
		})
	}
}

// What is sent to a client that does not read is bounded.
func TestAnswersToClientThatDoesNotRead(t *testing.T) {
	inBubble(t, func(w *world) {
		limits := mux.DefaultLimits
		limits.Rudeness = 1 << 30
		p := w.rawClient(w.listen(&limits, whole))
		var err error
		for i := 0; err == nil && i < 100_000; i++ {
			err = p.framer.WritePing(false, [8]byte{})
		}
		if err == nil {
			w.Error("100,000 PINGs were taken and nobody reads the answers")
		}
		if e := <-w.ended; e.reason != "enhance_your_calm" {
			w.Errorf("ended with %+v", e)
		}
	})
}

// Who earns by honest work what it spends is let be: a request that is reset now
// and then, PINGs, a WINDOW_UPDATE or two for each DATA.
func TestHonestWork(t *testing.T) {
	inBubble(t, func(w *world) {
		p := w.rawClient(w.listen(nil, whole))
		for i := range 5_000 {
			if i%5 == 0 {
				p.headers(odd(i), false, p.post())
				p.framer.WriteRSTStream(odd(i), http2.ErrCodeCancel)
				continue
			}
			p.headers(odd(i), true, p.get())
			if got := p.until("DATA", "GOAWAY"); got[0] == 'G' {
				w.Fatalf("%s after %d requests", got, i)
			}
			p.framer.WriteWindowUpdate(0, 2)
			p.framer.WriteWindowUpdate(odd(i), 2)
		}
	})
}
