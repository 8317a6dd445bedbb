package http3

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/message"
)

// Stream is a request and its response. It implements loop.Conn: its bytes are
// those of DATA. It must be closed; until then it counts as open.
type Stream struct {
	session *Session
	raw     *quic.Stream

	// Of the goroutine that reads, until the head is there and from then on.
	in    frames
	ahead bool // a frame was found that is to be read

	// What the head says; the loop has it then.
	head      *message.Request // not taken yet
	websocket bool             // an extended CONNECT

	headed  bool  // the final response's head is on its way
	ended   bool  // we have ended our side
	closed  bool  // its handler has let go
	err     error // why it has ended before its time
	onAbort func()

	// What we send.
	out      []byte // gathered
	flying   bool   // a goroutine sends
	flight   sync.WaitGroup
	writeErr error // the first
	flushDue bool
	writing  bool // a handler waits
	writer   loop.Waiter

	// What the client sends.
	remoteEnded bool
	expect      int64 // bytes of the body that are still to come, or unknown
	trailer     *message.Header
	piece       *piece        // came, and nobody has taken
	taken       *piece        // what Next gave out last;
	left        []byte        // of it, left for the next call
	more        chan struct{} // the next piece is wanted; closed when none is
	reading     bool          // a handler waits
	reader      loop.Waiter
	readBy      time.Time
	notify      func(error)
	notifyDue   loop.Timer
}

var _ loop.Conn = (*Stream)(nil)

func newStream(s *Session, raw *quic.Stream) *Stream {
	st := &Stream{session: s, raw: raw, more: make(chan struct{}, 1)}
	st.in = frames{raw: raw, odd: func() { s.rude(rudeFrame) }}
	return st
}

// watch notices when the client wants no response any more, or is gone.
func (st *Stream) watch() {
	ctx := st.raw.Context()
	context.AfterFunc(ctx, func() {
		st.session.loop.Post(func() {
			if !st.ended && !st.closed {
				st.failRudely(causeOf(context.Cause(ctx)))
			}
		})
	})
}

// failRudely is fail where the client is the cause.
func (st *Stream) failRudely(err error) {
	if _, reset := err.(*StreamError); reset && st.err == nil && !st.ended {
		st.session.rude(rudeReset)
	}
	st.fail(err)
}

// fail ends the stream for a cause that came from the client, or with the
// connection. A body that is there as a whole can still be read.
func (st *Stream) fail(err error) {
	if st.err != nil {
		return
	}
	st.err = err
	if !st.remoteEnded {
		st.drop()
	}
	st.wakeWriter()
	st.wakeReader()
	if st.onAbort != nil {
		st.session.loop.Post(st.callOnAbort)
	}
}

// reset tells the client that the stream ends.
func (st *Stream) reset(code ErrCode) {
	st.raw.CancelRead(quic.StreamErrorCode(code))
	st.raw.CancelWrite(quic.StreamErrorCode(code))
}

// letGo resets a stream that no handler has.
func (st *Stream) letGo(code ErrCode) {
	st.closed, st.err = true, net.ErrClosed
	st.reset(code)
	close(st.more)
	st.raw.ReleaseStreamCredit()
}

// Request moves the request's head into r, once.
func (st *Stream) Request(r *message.Request) {
	if st.head != nil {
		*r, st.head = *st.head, nil
	}
}

// Aborted reports whether the stream has ended before its time.
func (st *Stream) Aborted() bool { return st.err != nil }

// Abort implements loop.Conn: it resets the stream.
func (st *Stream) Abort() error {
	if !st.closed {
		st.onAbort = nil
		st.ended = false
		st.reset(InternalError)
		st.fail(&StreamError{Code: InternalError})
	}
	return st.Close()
}

// Close implements loop.Conn: the stream is no longer used. What is incomplete is
// reset; of a request whose response is complete the rest is not wanted (RFC 9114
// section 4.1).
func (st *Stream) Close() error {
	if st.closed {
		return net.ErrClosed
	}
	s := st.session
	switch {
	case st.err != nil:
		st.reset(RequestCancelled) // what is reset or has ended stays as it is
	case !st.ended:
		st.reset(InternalError)
	case !st.remoteEnded:
		st.raw.CancelRead(quic.StreamErrorCode(NoError))
	default:
		s.earn()
	}
	st.closed, st.err, st.onAbort = true, net.ErrClosed, nil
	st.StopNotify()
	st.drop()
	putPiece(st.taken)
	putOut(st.out)
	st.taken, st.out = nil, nil
	close(st.more)
	st.wakeReader()
	st.wakeWriter()
	st.raw.ReleaseStreamCredit()
	s.forget(st)
	return nil
}

// OnAbort implements loop.Conn: the client has reset the stream, or the
// connection is gone.
func (st *Stream) OnAbort(fn func()) {
	st.onAbort = fn
	if fn != nil && st.err != nil && !st.closed {
		st.session.loop.Post(st.callOnAbort)
	}
}

func (st *Stream) callOnAbort() {
	if fn := st.onAbort; fn != nil {
		st.onAbort = nil
		fn()
	}
}

// Splice implements loop.Conn: it is not supported.
func (st *Stream) Splice(loop.Conn, int64, time.Duration) (int64, error) {
	return 0, loop.ErrUnsupported
}

// LocalAddr implements loop.Conn.
func (st *Stream) LocalAddr() netip.AddrPort { return addrPort(st.session.conn.LocalAddr()) }

// RemoteAddr implements loop.Conn.
func (st *Stream) RemoteAddr() netip.AddrPort { return st.session.RemoteAddr() }

// Loop implements loop.Conn.
func (st *Stream) Loop() loop.Loop { return st.session.loop }

// passed reports whether a deadline has.
func (st *Stream) passed(t time.Time) bool {
	return !t.IsZero() && !st.session.loop.Now().Before(t)
}

// endOf is what a reader sees behind the last byte.
func (st *Stream) endOf() error {
	if st.remoteEnded {
		return io.EOF
	}
	return st.err
}
