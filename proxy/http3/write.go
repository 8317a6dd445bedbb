package http3

import (
	"errors"
	"sync"
	"time"

	"github.com/sluicegateway/sluice/proxy/message"
)

// gather is how many bytes wait for others before they are sent.
const gather = 4 << 10

var outs = sync.Pool{New: func() any { return new([gather]byte) }}

// errEnded is a Write after End, or before the head.
var errEnded = errors.New("http3: written to a stream that has ended, or has no head yet")

// WriteResponse sends an interim or the final head of a response; end says that
// nothing follows. Handlers only.
func (st *Stream) WriteResponse(r *message.Response, end bool) error {
	if err := st.writable(); err != nil {
		return err
	}
	st.out = appendResponse(st.room(), r, end, st.websocket)
	st.headed = st.headed || r.Status >= 200 || r.Status == 101
	if end {
		return st.End(nil)
	}
	st.flushSoon()
	return nil
}

// Write implements loop.Conn: it waits until QUIC has taken all of p. Handlers only.
func (st *Stream) Write(p []byte) (int, error) {
	if err := st.writable(); err != nil {
		return 0, err
	}
	if !st.headed {
		return 0, errEnded
	}
	if len(p) == 0 {
		return 0, nil
	}
	st.out = appendHeader(st.room(), frameData, len(p))
	if len(st.out)+len(p) <= gather {
		st.out = append(st.out, p...)
		st.flushSoon()
		return len(p), nil
	}
	if err := st.send(p, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// End ends the response, with trailers if there are any. Handlers only.
func (st *Stream) End(trailer *message.Header) error {
	if err := st.writable(); err != nil {
		return err
	}
	if !st.headed {
		return errEnded
	}
	if trailer != nil && len(trailer.Fields) > 0 {
		st.out = appendTrailer(st.room(), trailer)
	}
	return st.send(nil, true)
}

// CloseWrite implements loop.Conn.
func (st *Stream) CloseWrite() error { return st.End(nil) }

// SetWriteDeadline implements loop.Conn.
func (st *Stream) SetWriteDeadline(t time.Time) {
	_ = st.raw.SetWriteDeadline(t) // fails never
}

// writable is why a handler must not write.
func (st *Stream) writable() error {
	switch {
	case st.err != nil:
		return st.err
	case st.writeErr != nil:
		return st.writeErr
	case st.ended:
		return errEnded
	}
	return nil
}

// room is where to gather.
func (st *Stream) room() []byte {
	if st.out == nil {
		st.out = outs.Get().(*[gather]byte)[:0]
	}
	return st.out
}

func putOut(b []byte) {
	if cap(b) == gather {
		outs.Put((*[gather]byte)(b[:gather]))
	}
}

// flushSoon sends what has gathered when the handlers have had their turn.
func (st *Stream) flushSoon() {
	if !st.flushDue {
		st.flushDue = true
		st.session.loop.AtTurnEnd(st.flush)
	}
}

func (st *Stream) flush() {
	st.flushDue = false
	if len(st.out) > 0 && !st.flying && st.writable() == nil {
		st.fly(nil, false)
	}
}

// send sends what has gathered and p, and waits for that; end ends the stream.
func (st *Stream) send(p []byte, end bool) error {
	if err := st.land(); err != nil {
		return err
	}
	st.fly(p, end)
	st.ended = end
	return st.land()
}

// fly starts a goroutine that sends. p is its own until it has landed.
func (st *Stream) fly(p []byte, end bool) {
	out := st.out
	st.out, st.flying = nil, true
	st.flight.Add(1)
	go func() {
		_, err := st.raw.Write(out)
		if err == nil && len(p) > 0 {
			_, err = st.raw.Write(p)
		}
		if err == nil && end {
			err = st.raw.Close()
		}
		putOut(out)
		st.flight.Done()
		st.session.loop.Post(func() { st.landed(err) })
	}()
}

func (st *Stream) landed(err error) {
	st.flying = false
	if err != nil && st.writeErr == nil {
		st.writeErr = causeOf(err)
	}
	if len(st.out) > 0 {
		st.flush()
	}
	st.wakeWriter()
}

// land waits for what flies. Where it cannot, the stream is reset, which ends the
// flight at once: p must not be used any more.
func (st *Stream) land() error {
	for st.flying {
		if st.writing {
			panic("loop: two handlers write to one stream")
		}
		if st.writer == nil {
			st.writer = st.session.loop.NewWaiter()
		}
		st.writing = true
		err := st.writer.Wait(time.Time{})
		st.writing = false
		if err == nil && st.err == nil {
			continue
		}
		if st.flying {
			st.reset(RequestCancelled)
			st.flight.Wait()
			st.flying = false
		}
		if err != nil {
			st.writeErr = err
		}
		break
	}
	switch {
	case st.writeErr != nil:
		st.ended = false // it was cut
		return st.writeErr
	case st.err != nil && !st.ended:
		return st.err
	}
	return nil
}

func (st *Stream) wakeWriter() {
	if st.writing {
		st.writer.Wake()
	}
}
