package mux

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/message"
)

// unknown is the length of a body whose end END_STREAM tells.
const unknown = message.LengthUnknown

// Stream is a request and its response. It implements loop.Conn: its bytes are
// those of DATA. It must be closed; until then it counts as open.
type Stream struct {
	session   *Session
	id        uint32 // 0 for a client's before its request is written
	websocket bool   // an extended CONNECT
	headed    bool   // the final response's head has been sent, or has come
	ended     bool   // we have sent END_STREAM
	reset     bool   // we have sent RST_STREAM
	closed    bool   // its handler has let go
	began     time.Time
	refused   bool
	err       error // why it has ended before its time
	onAbort   func()

	// What we send.
	pending    []byte // of a Write
	sendWindow int
	queued     bool // in the session's queue
	wantsRoom  bool // in the session's heads
	writing    bool // a handler waits
	writer     loop.Waiter
	writeBy    time.Time
	lastFrame  int    // where the last frame begins in the session's output,
	lastFlight uint64 // as long as it has not left

	// What the peer sends.
	head        *message.Request     // not taken yet
	heads       []*message.Response  // not read yet
	firstHead   [1]*message.Response // the memory of heads, for most
	method      string               // of a client's request
	remoteEnded bool
	expect      int64 // bytes of the body that are still to come, or unknown
	trailer     *message.Header
	in          []byte // came, and nobody has taken
	taken       []byte // what Next gave out last; left of it
	left        []byte // is for the next call
	window      int    // how much the peer may have sent and nobody taken
	recvWindow  int    // how much of it is free
	unreturned  int    // how much was taken and the peer not told
	reading     bool   // a handler waits
	starved     bool   // one has waited since the peer was told last
	reader      loop.Waiter
	readBy      time.Time
	notify      func(error)
	notifyDue   loop.Timer
}

var _ loop.Conn = (*Stream)(nil)

// begin gives the stream its identifier and its place.
func (st *Stream) begin(id uint32) {
	s := st.session
	st.id, st.began = id, s.loop.Now()
	st.sendWindow = s.output.streamWindow
	st.window = s.limits.firstWindow()
	st.recvWindow = st.window
	s.streams = append(s.streams, st)
	s.allowUpdates()
}

// fail ends the stream for a cause that came from the peer, or with the
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

// drop forgets what came and nobody will read.
func (st *Stream) drop() {
	st.free(len(st.in))
	put(st.in)
	st.in, st.left = nil, nil
}

// resetFor ends the stream and tells the peer.
func (st *Stream) resetFor(code http2.ErrCode, err error) {
	if st.id != 0 && !st.reset && !(st.ended && st.remoteEnded) {
		st.reset = true
		st.session.reset(st.id, code, max(0, st.recvWindow))
	}
	if st.err == nil {
		st.fail(err)
	}
}

// Reset ends the stream with a cause. It is still to be closed.
func (st *Stream) Reset(code http2.ErrCode) {
	if st.err == nil && !st.closed {
		st.onAbort = nil
		st.resetFor(code, &StreamError{Code: code, Reason: "reset"})
	}
}

// Refused reports whether the peer has surely not processed the request: it may
// be sent again on another connection (RFC 9113 section 8.7).
func (st *Stream) Refused() bool { return st.refused }

// Abort implements loop.Conn: it resets the stream.
func (st *Stream) Abort() error {
	st.Reset(st.abandon(false))
	return st.Close()
}

// abandon is the code for a stream that its handler leaves. A server whose
// response is complete needs no more of the request (RFC 9113 section 8.1).
func (st *Stream) abandon(closing bool) http2.ErrCode {
	switch {
	case !st.session.server():
		return http2.Cancel
	case closing && st.ended:
		return http2.NoError
	}
	return http2.InternalError
}

// Close implements loop.Conn: the stream is no longer used. What is incomplete is reset.
func (st *Stream) Close() error {
	if st.closed {
		return net.ErrClosed
	}
	s := st.session
	complete := st.ended && st.remoteEnded && st.err == nil
	if !complete && st.err == nil {
		st.onAbort = nil
		st.resetFor(st.abandon(true), net.ErrClosed)
	}
	st.closed, st.err, st.onAbort = true, net.ErrClosed, nil
	st.StopNotify()
	st.drop()
	st.wakeReader()
	st.wakeWriter()
	st.putHeads()
	s.output.forget(st)
	if st.id == 0 {
		s.opened--
	} else {
		s.grown -= st.window - s.limits.firstWindow()
	}
	if i := slices.Index(s.streams, st); i >= 0 {
		s.streams = slices.Delete(s.streams, i, i+1)
	}
	if complete {
		s.earn()
	}
	s.closedStream()
	return nil
}

// closedStream looks after a session that may have no streams left.
func (s *Session) closedStream() {
	if s.Streams() > 0 || s.state != stateOpen {
		return
	}
	if s.server() {
		s.due.idle = s.loop.Now().Add(s.limits.KeepAlive)
		s.arm()
	}
	s.endIfDone()
}

// putHeads gives heads back that nobody has asked for.
func (st *Stream) putHeads() {
	if st.head != nil {
		st.head.Reset()
		requests.Put(st.head)
		st.head = nil
	}
	for _, head := range st.heads {
		head.Reset()
		responses.Put(head)
	}
	st.heads = nil
}

// OnAbort implements loop.Conn: the peer has reset the stream, or the connection
// is gone.
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
func (st *Stream) LocalAddr() netip.AddrPort { return st.session.conn.LocalAddr() }

// RemoteAddr implements loop.Conn.
func (st *Stream) RemoteAddr() netip.AddrPort { return st.session.conn.RemoteAddr() }

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
