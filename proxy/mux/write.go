package mux

import (
	"errors"
	"os"
	"time"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/message"
)

// append adds frames of a stream, or of its windows.
func (s *Session) append(appendTo func([]byte) []byte) {
	if s.state == stateOpen {
		s.output.bytes = appendTo(s.output.room())
		s.flushSoon()
	}
}

// mark notes where the stream's next frame begins, so that it can still be made
// its last.
func (st *Stream) mark() {
	st.lastFrame, st.lastFlight = len(st.session.output.bytes), st.session.output.flight
}

// writable is why a handler must not write.
func (st *Stream) writable() error {
	switch {
	case st.err != nil:
		return st.err
	case st.ended:
		return errEnded
	}
	return nil
}

// Write implements loop.Conn: it waits until all of p was sent off, as the
// windows and the connection have room for it. Handlers only.
func (st *Stream) Write(p []byte) (int, error) {
	if err := st.writable(); err != nil {
		return 0, err
	}
	if st.id == 0 || st.session.server() && !st.headed {
		return 0, errEnded
	}
	s := st.session
	st.pending = p
	s.enqueue(st)
	s.pump()
	for len(st.pending) > 0 {
		if err := st.waitWritable(); err != nil {
			n := len(p) - len(st.pending)
			st.pending = nil
			return n, err
		}
	}
	return len(p), nil
}

// waitWritable waits for progress. A peer that lets none of the data go for too
// long loses the stream, and does so at a price.
func (st *Stream) waitWritable() error {
	s := st.session
	left := len(st.pending)
	until := s.loop.Now().Add(s.limits.WriteIdle)
	if !st.writeBy.IsZero() && st.writeBy.Before(until) {
		until = st.writeBy
	}
	err := st.park(until)
	switch {
	case st.err != nil:
		return st.err
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case st.passed(st.writeBy):
	case len(st.pending) < left || s.loop.Now().Before(until) || len(st.pending) == 0:
		return nil
	}
	if len(st.pending) > 0 && (st.sendWindow <= 0 || s.output.window <= 0) {
		s.rude(rudeStall)
	}
	if !st.passed(st.writeBy) {
		st.resetFor(http2.Cancel, &StreamError{Code: http2.Cancel, Reason: "the peer takes no data"})
	}
	return os.ErrDeadlineExceeded
}

// park waits for wakeWriter.
func (st *Stream) park(until time.Time) error {
	if st.writing {
		panic("loop: two handlers write to one stream")
	}
	if st.writer == nil {
		st.writer = st.session.loop.NewWaiter()
	}
	st.writing = true
	err := st.writer.Wait(until)
	st.writing = false
	return err
}

func (st *Stream) wakeWriter() {
	if st.writing {
		st.writer.Wake()
	}
}

// SetWriteDeadline implements loop.Conn.
func (st *Stream) SetWriteDeadline(t time.Time) {
	st.writeBy = t
	st.wakeWriter()
}

// awaitRoom waits until a head may be appended.
func (st *Stream) awaitRoom() error {
	s := st.session
	for !s.hasRoom() && s.state == stateOpen && st.err == nil {
		if !st.wantsRoom {
			st.wantsRoom = true
			s.output.heads = append(s.output.heads, st)
		}
		if st.passed(st.writeBy) {
			return os.ErrDeadlineExceeded
		}
		if err := st.park(st.writeBy); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	if err := st.writable(); err != nil {
		return err
	}
	if s.state != stateOpen {
		return ErrGoingAway
	}
	return nil
}

// WriteResponse sends an interim or the final head of a server's response; end
// says that nothing follows. It waits for room, within the write deadline.
// Handlers only.
func (st *Stream) WriteResponse(r *message.Response, end bool) error {
	if err := st.awaitRoom(); err != nil {
		return err
	}
	s := st.session
	interim := r.Status < 200 && r.Status != 101
	st.mark()
	s.append(func(b []byte) []byte {
		return s.output.encoder.AppendResponse(b, r, st.id, end, st.websocket, http2.MinMaxFrameSize)
	})
	st.headed = !interim
	st.ended = end
	return nil
}

// WriteRequest sends the head of a client's request; end says that nothing
// follows. It waits for room, within the write deadline; after an error of its
// own kind ([ErrNoUpgrade], [ErrGoingAway]) the request may go elsewhere.
// Handlers only.
func (st *Stream) WriteRequest(r *message.Request, end bool) error {
	s := st.session
	if r.Upgrade != "" && !s.output.peerUpgrades {
		return ErrNoUpgrade
	}
	if err := st.awaitRoom(); err != nil {
		st.refused = st.refused || st.id == 0
		return err
	}
	next := s.lastID + 2
	if s.lastID == 0 {
		next = 1
	}
	if s.leaving || next > lastIdentifier {
		s.draining = true
		st.refused = true
		return ErrGoingAway
	}
	s.lastID = next
	s.opened--
	st.method, st.websocket, st.ended = r.Method, r.Upgrade != "", end
	st.begin(next)
	st.mark()
	s.append(func(b []byte) []byte {
		return s.output.encoder.AppendRequest(b, r, st.id, end, http2.MinMaxFrameSize)
	})
	return nil
}

// End ends this side of the stream, with trailers if there are any: those wait
// for room, and so are for handlers only.
func (st *Stream) End(trailer *message.Header) error {
	if err := st.writable(); err != nil {
		return err
	}
	s := st.session
	if st.id == 0 || s.server() && !st.headed {
		return errEnded
	}
	if trailer != nil && len(trailer.Fields) > 0 {
		if err := st.awaitRoom(); err != nil {
			return err
		}
		s.append(func(b []byte) []byte {
			return s.output.encoder.AppendTrailer(b, trailer, st.id, http2.MinMaxFrameSize)
		})
	} else if st.lastFlight == s.output.flight && st.lastFrame < len(s.output.bytes) {
		const flags = 4
		s.output.bytes[st.lastFrame+flags] |= byte(http2.FlagEndStream)
	} else {
		s.append(func(b []byte) []byte { return http2.AppendData(b, st.id, nil, true) })
	}
	st.ended = true
	return nil
}

// CloseWrite implements loop.Conn.
func (st *Stream) CloseWrite() error { return st.End(nil) }
