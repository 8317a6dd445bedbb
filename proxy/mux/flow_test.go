package mux_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/mux"
)

const windowSize = 64 << 10 // of a stream, by default

// A handler that takes nothing gives nothing back: the client may send as much
// as the window has, and not a byte more. Padding takes room as data does, and is
// given back at once.
func TestWindowHoldsBack(t *testing.T) {
	inBubble(t, func(w *world) {
		taken := make(chan *mux.Stream, 1)
		addr := w.accept(func(c loop.Conn) {
			mux.Serve(c, nil, &mux.ServerOptions{Serve: func(st *mux.Stream) { taken <- st }, Closed: w.closed})
		})
		p := w.rawClient(addr)
		p.headers(1, false, p.post())
		for range 4 {
			p.framer.WriteDataPadded(1, false, make([]byte, 16<<10-256), make([]byte, 255))
		}
		p.framer.WritePing(false, [8]byte{})
		st := <-taken
		if got := p.until("PING ACK", "WINDOW_UPDATE 1"); got != "PING ACK" {
			w.Errorf("%s, though nobody has read", got)
		}
		w.do(func() {
			var n int
			for n < 4*(16<<10-256) {
				p, err := st.Next()
				if err != nil {
					w.Error(err)
					break
				}
				n += len(p)
			}
			if st.Buffered() {
				w.Error("there are more bytes than were sent")
			}
		})
		p.until("WINDOW_UPDATE 1")
		w.do(func() { st.Close() })
		p.until("RST 1 INTERNAL_ERROR")
	})
}

// Padding is nothing that a handler takes.
func TestPaddingIsGivenBack(t *testing.T) {
	inBubble(t, func(w *world) {
		p := w.rawClient(w.listen(nil, func(st *mux.Stream) { w.loop.Sleep(time.Hour) }))
		p.headers(1, false, p.post())
		for range windowSize/256/2 + 1 {
			p.framer.WriteDataPadded(1, false, []byte("x"), make([]byte, 254))
		}
		p.until("WINDOW_UPDATE 1 32")
	})
}

func TestMoreThanTheWindow(t *testing.T) {
	inBubble(t, func(w *world) {
		limits := mux.DefaultLimits
		limits.Window = 128 << 10
		addr := w.listen(&limits, func(st *mux.Stream) { w.loop.Sleep(time.Minute) })
		p := w.rawClient(addr)
		send := func(id uint32, n int) {
			for ; n > 0; n -= 16 << 10 {
				p.framer.WriteData(id, false, make([]byte, min(n, 16<<10)))
			}
		}
		p.headers(1, false, p.post())
		p.headers(3, false, p.post())
		send(1, windowSize)
		send(3, windowSize)
		p.framer.WriteData(3, false, []byte("x"))
		p.until("GOAWAY FLOW_CONTROL_ERROR")

		p = w.rawClient(addr)
		p.headers(1, false, p.post())
		send(1, windowSize+1)
		p.until("RST 1 FLOW_CONTROL_ERROR")
	})
}

// What a stream may send follows its window, SETTINGS that take the window below
// zero, and the connection's window.
func TestPeersWindow(t *testing.T) {
	inBubble(t, func(w *world) {
		addr := w.listen(nil, func(st *mux.Stream) {
			if err := st.WriteResponse(&message.Response{Status: 200, BodyLength: message.LengthUnknown}, false); err != nil {
				w.Error(err)
			}
			if n, err := st.Write(bytes.Repeat([]byte("x"), 100_000)); n != 100_000 || err != nil {
				w.Errorf("Write: %d, %v", n, err)
			}
			st.CloseWrite()
		})
		p := w.rawClient(addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
		p.headers(1, true, p.get())
		p.until("DATA 1 10")
		p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		p.framer.WriteWindowUpdate(1, 10) // to zero
		p.framer.WritePing(false, [8]byte{})
		if got := p.until("PING ACK", "DATA"); got != "PING ACK" {
			w.Errorf("%s while the window is closed", got)
		}
		p.framer.WriteWindowUpdate(1, 5)
		p.until("DATA 1 5")
		p.framer.WriteWindowUpdate(1, 200_000)
		for sent := 15; sent < 65535; { // what the connection's window has
			p.until("DATA 1")
			sent += 16 << 10
		}
		p.framer.WritePing(false, [8]byte{})
		if got := p.until("PING ACK", "DATA"); got != "PING ACK" {
			w.Errorf("%s while the connection's window is closed", got)
		}
		p.framer.WriteWindowUpdate(0, 200_000)
		for {
			if got := p.until("DATA 1"); got[len(got)-3:] == "END" {
				return
			}
		}
	})
}

// Nothing is sent on a stream that was reset, even if it has waited for the window.
func TestNoDataAfterReset(t *testing.T) {
	inBubble(t, func(w *world) {
		addr := w.listen(nil, func(st *mux.Stream) {
			st.WriteResponse(&message.Response{Status: 200, BodyLength: message.LengthUnknown}, false)
			st.Write(make([]byte, 100_000))
		})
		p := w.rawClient(addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		p.headers(1, true, p.get())
		for range 4 {
			p.until("DATA 1")
		}
		w.settle()
		p.Write([]byte("\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08" + // RST_STREAM and WINDOW_UPDATE at once
			"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x01\x00\x00"))
		w.settle()
		p.framer.WritePing(false, [8]byte{})
		if got := p.until("PING ACK", "DATA"); got != "PING ACK" {
			w.Errorf("%s after the reset", got)
		}
	})
}

// What a handler leaves unread is given back to the connection, and what was on
// its way costs the client nothing.
func TestUnreadBody(t *testing.T) {
	inBubble(t, func(w *world) {
		limits := mux.DefaultLimits
		limits.Window = 128 << 10
		dial, _, streams := w.hold(&limits)
		p := dial()
		for i := range 10 {
			p.headers(odd(i), false, p.post())
			for range 2 {
				p.framer.WriteData(odd(i), false, make([]byte, 16<<10))
			}
			st := <-streams
			w.settle()
			w.do(func() { answerOK(st); st.Close() })
			p.until("RST")
			for range 300 {
				p.framer.WriteData(odd(i), false, make([]byte, 10))
			}
			w.settle()
		}
		p.framer.WritePing(false, [8]byte{})
		if got := p.until("PING ACK", "GOAWAY"); got != "PING ACK" {
			w.Error(got)
		}
	})
}

// Streams that have much to send take turns.
func TestStreamsTakeTurns(t *testing.T) {
	inBubble(t, func(w *world) {
		const size = 1 << 20
		addr := w.listen(nil, func(st *mux.Stream) {
			st.WriteResponse(&message.Response{Status: 200, BodyLength: size}, false)
			st.Write(make([]byte, size))
			st.CloseWrite()
		})
		p := w.rawClient(addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: size})
		p.framer.WriteWindowUpdate(0, 1<<30)
		const streams = 5
		for i := range streams {
			p.headers(uint32(2*i+1), true, p.get())
		}
		w.settle()
		last := map[byte]int{}
		for i := range streams * size / (16 << 10) {
			got := p.until("DATA")
			if strings.HasSuffix(got, " 0 END") { // which waits for the handler's turn
				continue
			}
			stream := got[len("DATA ")]
			if before, ok := last[stream]; ok && i-before > 2*streams {
				w.Fatalf("stream %c sent nothing for %d frames", stream, i-before)
			}
			last[stream] = i
		}
	})
}

// A client that lets a response wait loses its stream, and one that does so
// again and again its connection.
func TestZeroWindowStall(t *testing.T) {
	inBubble(t, func(w *world) {
		failed := make(chan error, 10)
		addr := w.listen(nil, func(st *mux.Stream) {
			st.WriteResponse(&message.Response{Status: 200, BodyLength: 1}, false)
			_, err := st.Write([]byte("x"))
			failed <- err
		})
		p := w.rawClient(addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		began := time.Now()
		for id := uint32(1); id <= 7; id += 2 {
			p.headers(id, true, p.get())
		}
		for range 3 {
			p.until("RST")
		}
		if waited := time.Since(began); waited < time.Minute || waited > time.Minute+time.Second {
			w.Errorf("the streams ended after %v", waited)
		}
		p.until("GOAWAY ENHANCE_YOUR_CALM")
		p.until("RST")
		p.until("EOF")
		for range 4 {
			if err := <-failed; err != os.ErrDeadlineExceeded {
				w.Errorf("Write: %v", err)
			}
		}
	})
}

// A client that does not read at all loses its connection, whatever its windows are.
func TestClientThatDoesNotRead(t *testing.T) {
	inBubble(t, func(w *world) {
		addr := w.listen(nil, func(st *mux.Stream) {
			st.WriteResponse(&message.Response{Status: 200, BodyLength: message.LengthUnknown}, false)
			io.Copy(struct{ io.Writer }{st}, zeros{})
		})
		p := w.rawClient(addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
		p.framer.WriteWindowUpdate(0, 1<<30)
		p.headers(1, true, p.get())
		if e := <-w.ended; e.reason != "write_timeout" {
			w.Errorf("ended with %+v", e)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// The window of an upload that its handler keeps up with grows; what is buffered
// for one that waits stays within the connection's window.
func TestWindowGrows(t *testing.T) {
	inBubble(t, func(w *world) {
		addr := w.listen(nil, whole)
		p := w.rawClient(addr)
		p.headers(1, false, p.post())
		window, free := windowSize-1, windowSize-1
		for window < 300<<10 {
			for ; free >= 16<<10; free -= 16 << 10 {
				p.framer.WriteData(1, false, make([]byte, 16<<10))
			}
			var n int
			mustScan(t, p.until("WINDOW_UPDATE 1"), "WINDOW_UPDATE 1 %d", &n)
			free += n
			window = max(window, free)
			if free > 512<<10+16<<10 {
				w.Fatalf("the window has grown to %d", free)
			}
		}
	})
}
