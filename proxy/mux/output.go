package mux

import (
	"errors"
	"os"
	"slices"
	"time"

	"github.com/sluicegateway/sluice/proxy/http2"
)

// outbound is what a session sends, and what the peer allows it.
type outbound struct {
	bytes    []byte // what waits to be sent
	flight   uint64 // number of the next piece that leaves: bytes of an earlier one are gone
	last     int    // the size of the piece that has left last
	controls int    // frames in bytes that only the peer's have caused
	planned  bool   // turnEnd is to be called
	flushing bool   // a handler sends
	turnEnd  func() // atTurnEnd, and flush, made once
	flush    func()

	heads []*Stream // wait for room for a head, in their order
	queue []*Stream // have data that may be sent, in their order

	encoder      *http2.Encoder
	window       int       // what all streams may send
	shut         time.Time // when it was used up last
	streamWindow int       // what a new stream may send
	peerStreams  uint32    // how many streams the peer lets us open
	peerUpgrades bool      // it takes extended CONNECT
}

const (
	// roomMark is how many bytes wait before streams must: with a frame of DATA
	// they still fit into a pooled buffer.
	roomMark = largest - frameRoom
	// headRoom is what most heads, and small frames, have room in.
	headRoom = 512
	// firstStreams is how many streams are opened before the peer has said how
	// many it takes.
	firstStreams = 100
)

func (out *outbound) start(s *Session) {
	out.turnEnd, out.flush = s.atTurnEnd, s.flush
	out.encoder = http2.NewEncoder()
	out.window, out.streamWindow = http2.DefaultWindow, http2.DefaultWindow
	out.peerStreams = firstStreams
}

func (out *outbound) release() {
	if !out.flushing {
		put(out.bytes)
	}
	out.bytes = nil
}

// control appends frames that the peer has caused. If too many gather while
// earlier bytes wait, it does not read.
func (s *Session) control(appendTo func([]byte) []byte) {
	out := &s.output
	if s.state != stateOpen {
		return
	}
	out.bytes = appendTo(out.room())
	if out.flushing {
		out.controls++
	}
	if out.controls > s.limits.Controls || len(out.bytes) > s.limits.Buffered {
		s.lose(word(http2.EnhanceYourCalm), errFlood)
		return
	}
	s.flushSoon()
}

var errFlood = &http2.Error{Code: http2.EnhanceYourCalm, Reason: "the peer does not read what it makes us answer"}

// room is bytes with room for small frames. It begins with a pooled buffer, as
// that leaves soon, of the size that was needed last.
func (out *outbound) room() []byte {
	if out.bytes == nil {
		out.bytes = take(min(max(out.last, small+1), largest))
	}
	out.bytes = grow(out.bytes, headRoom)
	return out.bytes
}

// flushSoon has what waits sent at the end of the turn.
func (s *Session) flushSoon() {
	if out := &s.output; !out.planned && !out.flushing {
		out.planned = true
		s.loop.AtTurnEnd(out.turnEnd)
	}
}

func (s *Session) atTurnEnd() {
	out := &s.output
	out.planned = false
	if s.state == stateEnded || out.flushing {
		return
	}
	out.flushing = true
	s.loop.Go(out.flush)
}

// flush sends what waits, and what comes meanwhile.
func (s *Session) flush() {
	out := &s.output
	defer func() { out.flushing = false }()
	for len(out.bytes) > 0 && s.state != stateEnded {
		sending := out.bytes
		out.bytes, out.controls = nil, 0
		out.flight++
		out.last = len(sending)
		err := s.write(sending)
		put(sending)
		switch {
		case err == nil:
			s.pump()
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.lose("write_timeout", err)
		default:
			s.lose("reset", err)
		}
	}
	if s.state == stateEnding && s.conn.CloseWrite() != nil {
		s.lose("", nil)
	}
}

// write sends p; each part of it has its time.
func (s *Session) write(p []byte) error {
	for len(p) > 0 {
		part := p[:min(len(p), largest)]
		p = p[len(part):]
		if s.state == stateOpen {
			s.conn.SetWriteDeadline(s.loop.Now().Add(s.limits.WriteIdle))
		}
		if _, err := s.conn.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// hasRoom reports whether streams may append.
func (s *Session) hasRoom() bool { return len(s.output.bytes) < roomMark && s.state == stateOpen }

// pump lets streams that wait have the room that there is: first those with
// heads, then those with data, a frame each in turn.
func (s *Session) pump() {
	out := &s.output
	for s.hasRoom() && len(out.heads) > 0 {
		st := out.heads[0]
		out.heads = append(out.heads[:0], out.heads[1:]...)
		st.wantsRoom = false
		st.wakeWriter()
	}
	for s.hasRoom() && out.window > 0 && len(out.queue) > 0 {
		st := out.queue[0]
		out.queue = append(out.queue[:0], out.queue[1:]...)
		st.queued = false
		s.sendData(st)
	}
}

// forget takes a stream that is closed out of the queues.
func (out *outbound) forget(st *Stream) {
	if st.queued {
		out.queue = slices.DeleteFunc(out.queue, func(other *Stream) bool { return other == st })
	}
	if st.wantsRoom {
		out.heads = slices.DeleteFunc(out.heads, func(other *Stream) bool { return other == st })
	}
}

// sendData appends a frame of what st has to send.
func (s *Session) sendData(st *Stream) {
	out := &s.output
	n := min(len(st.pending), http2.MinMaxFrameSize, out.window, st.sendWindow)
	if n <= 0 || st.err != nil {
		return
	}
	out.bytes = grow(out.room(), http2.FrameHeaderLen+n)
	st.mark()
	out.bytes = http2.AppendData(out.bytes, st.id, st.pending[:n], false)
	if out.window -= n; out.window <= 0 {
		out.shut = s.loop.Now()
	}
	st.sendWindow -= n
	st.pending = st.pending[n:]
	s.allowUpdates()
	s.score.pinged = false
	s.flushSoon()
	if len(st.pending) > 0 {
		s.enqueue(st)
	} else {
		st.wakeWriter()
	}
}

// enqueue has st's data sent when there is room, if its window is open.
func (s *Session) enqueue(st *Stream) {
	if !st.queued && len(st.pending) > 0 && st.sendWindow > 0 {
		st.queued = true
		s.output.queue = append(s.output.queue, st)
	}
}
