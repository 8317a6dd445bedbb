package mux

import (
	"errors"
	"os"
	"time"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/message"
)

// receive takes a frame of DATA.
func (st *Stream) receive(data []byte, padding int, end bool) {
	s := st.session
	wrong := ""
	code := http2.ProtocolError
	if st.recvWindow -= len(data) + padding; st.recvWindow < 0 {
		wrong, code = reasonWindow, http2.FlowControlError
	}
	if st.expect != unknown {
		if st.expect -= int64(len(data)); st.expect < 0 || end && st.expect > 0 {
			wrong = reasonLength
		}
	}
	if !s.server() && !st.headed {
		wrong = reasonNoHead
	}
	if wrong != "" {
		s.giveBack(len(data) + padding)
		s.refuse(st.id, &http2.Error{Code: code, Stream: st.id, Reason: wrong})
		return
	}
	if !s.server() {
		s.giveBack(len(data) + padding)
	}
	if len(data) > 0 {
		st.in = append(grow(st.in, len(data)), data...)
	}
	st.remoteEnded = end
	if padding > 0 {
		st.giveBack(padding)
	}
	if len(data) > 0 || end {
		st.wakeReader()
	}
}

// receiveEnd takes the END_STREAM of a header block.
func (st *Stream) receiveEnd() {
	if st.expect > 0 {
		st.session.refuse(st.id, &http2.Error{Code: http2.ProtocolError, Stream: st.id, Reason: reasonLength})
		return
	}
	st.remoteEnded = true
	st.wakeReader()
}

// giveBack returns bytes to both windows. The window grows where the handler has
// waited for the peer, which may have waited for its window; all of them together
// by no more than Limits.Window, as it takes memory if the handler turns slow.
func (st *Stream) giveBack(n int) {
	s := st.session
	st.free(n)
	st.unreturned += n
	if st.remoteEnded || st.err != nil || st.unreturned < st.window/2 {
		return
	}
	more := st.unreturned
	if st.starved {
		growth := min(st.window, s.limits.MaxStreamWindow-st.window, s.limits.Window-s.grown)
		growth = max(0, growth)
		more += growth
		st.window += growth
		s.grown += growth
	}
	st.recvWindow += more
	st.unreturned, st.starved = 0, false
	s.append(func(b []byte) []byte { return http2.AppendWindowUpdate(b, st.id, uint32(more)) })
}

// free returns bytes that nobody keeps any more to the connection's window. Those
// of a client were returned when they came: the requests of many share a
// connection to a backend, and one whose response nobody takes must not hold up
// the others.
func (st *Stream) free(n int) {
	if s := st.session; s.server() {
		s.giveBack(n)
	}
}

// Next is Read without a copy: it returns some bytes, which are valid until the
// next call, and gives their room back to the peer. Handlers only.
func (st *Stream) Next() ([]byte, error) {
	for {
		if err := st.readable(); err != nil {
			return nil, err
		}
		p, err := st.tryNext()
		if err != loop.ErrAgain {
			return p, err
		}
		if err := st.waitReadable(); err != nil {
			return nil, err
		}
	}
}

// readable is why a handler must not read now.
func (st *Stream) readable() error {
	switch {
	case st.closed:
		return st.err
	case st.passed(st.readBy):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// tryNext returns what there is.
func (st *Stream) tryNext() ([]byte, error) {
	if len(st.left) > 0 {
		p := st.left
		st.left = nil
		return p, nil
	}
	if len(st.in) == 0 {
		put(st.taken)
		put(st.in)
		st.taken, st.in = nil, nil
		if err := st.endOf(); err != nil {
			return nil, err
		}
		return nil, loop.ErrAgain
	}
	st.taken, st.in = st.in, st.taken[:0]
	st.giveBack(len(st.taken))
	return st.taken, nil
}

func (st *Stream) waitReadable() error {
	if st.reading {
		panic("loop: two handlers read from one stream")
	}
	if st.reader == nil {
		st.reader = st.session.loop.NewWaiter()
	}
	st.reading, st.starved = true, true
	err := st.reader.Wait(st.readBy)
	st.reading = false
	if errors.Is(err, os.ErrDeadlineExceeded) && !st.passed(st.readBy) {
		return nil // it was moved on meanwhile
	}
	return err
}

// Buffered reports whether Next would not wait.
func (st *Stream) Buffered() bool {
	return len(st.left) > 0 || len(st.in) > 0 || st.endOf() != nil
}

// Aborted reports whether the stream has ended before its time.
func (st *Stream) Aborted() bool { return st.err != nil }

// Ended reports whether Next has given out all of a body that has come to its end.
func (st *Stream) Ended() bool { return st.remoteEnded && len(st.left) == 0 && len(st.in) == 0 }

// Read implements loop.Conn.
func (st *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	data, err := st.Next()
	return st.copy(p, data), err
}

// TryRead implements loop.Conn.
func (st *Stream) TryRead(p []byte) (int, error) {
	if st.closed {
		return 0, st.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	data, err := st.tryNext()
	return st.copy(p, data), err
}

// copy gives p of data what fits, and keeps the rest.
func (st *Stream) copy(p, data []byte) int {
	n := copy(p, data)
	st.left = data[n:]
	return n
}

// Trailer is what came behind the body, after io.EOF; nil without.
func (st *Stream) Trailer() *message.Header { return st.trailer }

// Request moves the request's head into r, once, and keeps r's memory for others.
func (st *Stream) Request(r *message.Request) {
	if st.head == nil {
		return
	}
	*r, *st.head = *st.head, *r
	st.putHeads()
}

// ReadResponse waits for the next head, an interim or the final one, within the
// read deadline. A malformed one is an *http2.Error. Handlers only.
func (st *Stream) ReadResponse(r *message.Response) error {
	if st.id == 0 {
		return errNotSent
	}
	for {
		if err := st.readable(); err != nil {
			return err
		}
		if len(st.heads) > 0 {
			head := st.heads[0]
			st.heads = append(st.heads[:0], st.heads[1:]...)
			*r, *head = *head, *r
			head.Reset()
			responses.Put(head)
			return nil
		}
		if err := st.endOf(); err != nil {
			return err
		}
		if err := st.waitReadable(); err != nil {
			return err
		}
	}
}

// SetReadDeadline implements loop.Conn.
func (st *Stream) SetReadDeadline(t time.Time) {
	st.readBy = t
	if st.reading {
		st.reader.Wake()
	}
	if st.notify != nil {
		st.limitNotify()
	}
}

// wakeReader tells whoever waits for bytes, or for the end.
func (st *Stream) wakeReader() {
	if st.reading {
		st.reader.Wake()
	}
	if st.notify != nil {
		st.session.loop.Post(st.callNotifyNow)
	}
}

// Notify implements loop.Conn.
func (st *Stream) Notify(fn func(err error)) {
	st.notify = fn
	if st.closed || st.Buffered() {
		st.session.loop.Post(st.callNotifyNow)
	}
	st.limitNotify()
}

// limitNotify sets the time of a Notify.
func (st *Stream) limitNotify() {
	left := st.readBy.Sub(st.session.loop.Now())
	switch {
	case st.readBy.IsZero() && st.notifyDue != nil:
		st.notifyDue.Stop()
	case st.readBy.IsZero():
	case st.notifyDue == nil:
		st.notifyDue = st.session.loop.AfterFunc(left, func() { st.callNotify(os.ErrDeadlineExceeded) })
	default:
		st.notifyDue.Reset(left)
	}
}

// callNotifyNow calls what Notify was given, unless somebody has read since.
func (st *Stream) callNotifyNow() {
	switch {
	case errors.Is(st.err, loop.ErrStopped):
		st.callNotify(loop.ErrStopped)
	case st.closed:
		st.callNotify(st.err)
	case st.Buffered():
		st.callNotify(nil)
	}
}

func (st *Stream) callNotify(err error) {
	fn := st.notify
	if st.StopNotify() {
		fn(err)
	}
}

// StopNotify implements loop.Conn.
func (st *Stream) StopNotify() bool {
	pending := st.notify != nil
	st.notify = nil
	if st.notifyDue != nil {
		st.notifyDue.Stop()
	}
	return pending
}
