package mux_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// Requests of many clients share a connection to a backend: responses that some
// of them do not read hold up no other.
func TestUnreadResponsesHoldUpNoOther(t *testing.T) {
	inBubble(t, func(w *world) {
		s, p := w.rawServer()
		var unread []*mux.Stream
		for i := range 40 { // more than two times the connection's window
			unread = append(unread, w.open(s, request("GET", "/"), true))
			p.headers(odd(i), false, p.answer("200"))
			for range 4 {
				p.framer.WriteData(odd(i), false, make([]byte, windowSize/4))
			}
		}
		p.framer.WritePing(false, [8]byte{})
		if got := p.until("PING ACK", "GOAWAY", "EOF"); got != "PING ACK" {
			w.Fatal(got)
		}
		st := w.open(s, request("GET", "/"), true)
		p.headers(81, false, p.answer("200"))
		p.framer.WriteData(81, true, []byte("hello"))
		w.do(func() {
			var r message.Response
			err := st.ReadResponse(&r)
			if body, bodyErr := st.Next(); err != nil || bodyErr != nil || string(body) != "hello" {
				w.Errorf("%v, %q, %v", err, body, bodyErr)
			}
			st.Close()
			for _, st := range unread {
				st.Close()
			}
		})
	})
}

// What is left unread of a response is given back once, not twice: windows stay
// as they are.
func TestClientsWindowStays(t *testing.T) {
	inBubble(t, func(w *world) {
		s, p := w.rawServer()
		free, sent := int64(65535), int64(0)
		for i := range 100 {
			st := w.open(s, request("GET", "/"), true)
			p.headers(odd(i), false, p.answer("200"))
			p.framer.WriteDataPadded(odd(i), false, make([]byte, windowSize/4-256), make([]byte, 255))
			sent += windowSize / 4
			w.settle()
			w.do(func() {
				if i%2 == 0 {
					st.Next()
				}
				st.Close()
			})
		}
		p.framer.WritePing(false, [8]byte{})
		for {
			got := p.until("PING ACK", "WINDOW_UPDATE 0", "GOAWAY")
			if !strings.HasPrefix(got, "WINDOW_UPDATE") {
				break
			}
			var more int64
			mustScan(t, got, "WINDOW_UPDATE 0 %d", &more)
			free += more
		}
		if free -= sent; free > 1<<20 || free < 512<<10 {
			w.Errorf("the backend may send %d", free)
		}
	})
}

// Windows grow with what handlers take, and by a bounded sum: what backends may
// send and nobody reads takes memory.
func TestWindowsGrowByABoundedSum(t *testing.T) {
	inBubble(t, func(w *world) {
		const streams, rounds = 20, 20
		s, p := w.rawServer()
		for i := range streams {
			st := w.open(s, request("GET", "/"), true)
			p.headers(odd(i), false, p.answer("200"))
			w.post(func() {
				w.loop.Go(func() {
					io.Copy(io.Discard, struct{ io.Reader }{st})
					st.Close()
				})
			})
		}
		for range rounds {
			for i := range streams {
				w.settle() // the handlers wait
				for range 2 {
					p.framer.WriteData(odd(i), false, make([]byte, 16<<10))
				}
			}
		}
		w.settle()
		p.framer.WritePing(false, [8]byte{})
		grown := int64(-streams * rounds * 32 << 10) // less what was taken and not returned yet
		for {
			got := p.until("PING ACK", "WINDOW_UPDATE", "GOAWAY")
			if !strings.HasPrefix(got, "WINDOW_UPDATE") {
				break
			}
			var id, more int64
			mustScan(t, got, "WINDOW_UPDATE %d %d", &id, &more)
			if id != 0 {
				grown += more
			}
		}
		if most := int64(mux.DefaultLimits.Window); grown <= 0 || grown > most {
			w.Errorf("windows have grown by %d", grown)
		}
		for i := range streams {
			p.framer.WriteData(odd(i), true, nil)
		}
	})
}

// Clients and backends of gRPC measure the way with a PING for all that came at
// once, thousands a second. That costs them nothing.
func TestPingForEachData(t *testing.T) {
	inBubble(t, func(w *world) {
		addr := w.listen(nil, func(st *mux.Stream) {
			answerHead(st)
			for range 5000 {
				if _, err := st.Write([]byte("data")); err != nil {
					w.Error(err)
					return
				}
			}
			st.End(nil)
		})
		p := w.rawClient(addr)
		p.headers(1, true, p.get())
		for n := 0; n < 5000; n++ {
			if got := p.until("DATA", "GOAWAY"); !strings.HasPrefix(got, "DATA") {
				w.Fatalf("%s after %d DATA", got, n)
			}
			p.framer.WritePing(false, [8]byte{1})
		}
	})
}

func answerHead(st *mux.Stream) {
	st.WriteResponse(&message.Response{Status: 200, BodyLength: message.LengthUnknown}, false)
}

// A request that has not left gets no response: nobody waits for one.
func TestNoResponseToWhatWasNotSent(t *testing.T) {
	inBubble(t, func(w *world) {
		s, p := w.rawServer()
		var st *mux.Stream
		w.do(func() { st, _ = s.Open() })
		other := w.open(s, request("GET", "/"), true) // the session stays
		p.framer.WriteGoAway(1, http2.ErrCodeNo, nil)
		w.settle()
		w.do(func() {
			r := request("GET", "/")
			if err := st.WriteRequest(&r, true); err != mux.ErrGoingAway || !st.Refused() {
				w.Errorf("%v, refused: %v", err, st.Refused())
			}
			began := w.loop.Now()
			st.SetReadDeadline(began.Add(time.Minute))
			var resp message.Response
			if err := st.ReadResponse(&resp); err == nil || w.loop.Now() != began {
				w.Errorf("%v after %v", err, w.loop.Now().Sub(began))
			}
			st.Close()
			other.Close()
		})
	})
}
