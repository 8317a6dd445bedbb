package mux

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/loop"
)

// Session is an HTTP/2 connection. It belongs to its connection's loop.
type Session struct {
	conn    loop.Conn
	loop    loop.Loop
	limits  *Limits
	serve   func(*Stream) // nil for a client
	refused func(int)
	closed  func(string, error)

	state   state
	reason  string // why it ends, for closed
	cause   error
	streams []*Stream // in the order of their identifiers, until their handlers let go
	opened  int       // streams of a client that have no identifier yet
	grown   int       // by which the windows of streams are larger than at first
	lastID  uint32    // the last stream that was opened
	score   score

	// Towards the end.
	draining bool // a client opens no more streams
	last     bool // GOAWAY has told the last stream
	leaving  bool // the peer has sent GOAWAY
	lingers  int  // bytes that are still read, and dropped

	input  inbound
	output outbound
	due    due
}

type state uint8

const (
	stateOpen   state = iota
	stateEnding       // the last bytes are on their way; input is dropped
	stateEnded
)

// Serve speaks HTTP/2 with a client. early is what was read of conn already; a
// preface begins it.
func Serve(conn loop.Conn, early []byte, o *ServerOptions) *Session {
	s := newSession(conn, o.Limits, o.Closed)
	if s.serve, s.refused = o.Serve, o.Refused; s.refused == nil {
		s.refused = func(int) {}
	}
	s.input.preface = http2.Preface
	s.greet(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Value: uint32(s.limits.Streams)},
		http2.Setting{ID: http2.SettingInitialWindowSize, Value: uint32(s.limits.StreamWindow)},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Value: uint32(s.limits.Head.Bytes)},
		http2.Setting{ID: http2.SettingEnableConnectProtocol, Value: 1},
		http2.Setting{ID: http2.SettingNoRFC7540Priorities, Value: 1},
	)
	s.start(early)
	return s
}

// NewClient speaks HTTP/2 with a backend: it sends the preface at once.
func NewClient(conn loop.Conn, o *ClientOptions) *Session {
	s := newSession(conn, o.Limits, o.Closed)
	s.output.bytes = append(take(small), http2.Preface...)
	s.greet(
		http2.Setting{ID: http2.SettingEnablePush, Value: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Value: uint32(s.limits.StreamWindow)},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Value: uint32(s.limits.Head.Bytes)},
	)
	s.start(nil)
	return s
}

func newSession(conn loop.Conn, limits *Limits, closed func(string, error)) *Session {
	if limits == nil {
		limits = &DefaultLimits
	}
	s := &Session{conn: conn, loop: conn.Loop(), limits: limits, closed: closed}
	s.score.updates, s.score.pinged = maxUpdates/updatesPerData, true
	s.input.start(s)
	s.output.start(s)
	return s
}

// greet sends our SETTINGS and opens the connection's window.
func (s *Session) greet(settings ...http2.Setting) {
	s.output.bytes = http2.AppendSettings(s.output.bytes, settings...)
	if more := s.limits.Window - http2.DefaultWindow; more > 0 {
		s.output.bytes = http2.AppendWindowUpdate(s.output.bytes, 0, uint32(more))
	}
	s.due.hello = s.loop.Now().Add(s.limits.SettingsTime)
	s.due.ack = s.due.hello
	s.flushSoon()
}

// start lets the session read, from a function of the loop's own.
func (s *Session) start(early []byte) {
	early = append([]byte(nil), early...)
	s.loop.Post(func() {
		if len(early) > 0 {
			s.receive(early)
		}
		s.wait()
	})
}

func (s *Session) server() bool { return s.serve != nil }

// Streams is how many streams are open.
func (s *Session) Streams() int { return len(s.streams) + s.opened }

// Room is how many streams Open would give.
func (s *Session) Room() int {
	if s.server() || s.state != stateOpen || s.draining || s.leaving {
		return 0
	}
	return max(0, min(s.limits.Streams, int(s.output.peerStreams))-s.Streams())
}

// stallTime is how long the window of a connection is shut when it stalls: one
// that is at work opens it with each round trip.
const stallTime = 100 * time.Millisecond

// Stalled reports whether the peer has let no data through for a while, whatever
// the stream.
func (s *Session) Stalled() bool {
	out := &s.output
	return out.window <= 0 && s.loop.Now().Sub(out.shut) >= stallTime
}

// Open reserves a stream for a request; or tells ErrFull or ErrGoingAway. It
// does not wait. The stream must be closed.
func (s *Session) Open() (*Stream, error) {
	switch {
	case s.Room() > 0:
		s.opened++
		return &Stream{session: s, expect: unknown}, nil
	case s.state != stateOpen || s.draining || s.leaving:
		return nil, ErrGoingAway
	}
	return nil, ErrFull
}

// Upgrades reports whether the backend takes extended CONNECT (RFC 8441). It
// waits for its first SETTINGS, to the deadline at most. Handlers only.
func (s *Session) Upgrades(deadline time.Time) (bool, error) {
	for !s.input.hello {
		if s.state != stateOpen {
			return false, ErrGoingAway
		}
		w := s.loop.NewWaiter()
		s.input.waiters = append(s.input.waiters, w)
		if err := w.Wait(deadline); err != nil {
			return false, err
		}
	}
	return s.output.peerUpgrades, nil
}

// Drain lets the session end when its streams have. A client opens no more of
// them. A server announces the end, gives streams that are on their way the time
// to come, and then tells which one was the last (RFC 9113 section 6.8).
func (s *Session) Drain() {
	if s.draining || s.state != stateOpen {
		return
	}
	s.draining = true
	if !s.server() || s.last {
		s.endIfDone()
		return
	}
	s.append(func(b []byte) []byte {
		b = http2.AppendGoAway(b, http2.MaxStream, http2.NoError, "")
		return http2.AppendPing(b, false, drainPing)
	})
	s.due.drain = s.loop.Now().Add(s.limits.DrainTime)
	s.arm()
}

// drainPing is the PING whose answer says that the announcement has arrived.
var drainPing = [8]byte{'d', 'r', 'a', 'i', 'n', 'i', 'n', 'g'}

// tellLast tells the last stream that is served.
func (s *Session) tellLast(code http2.ErrCode, debug string) {
	s.due.drain = time.Time{}
	if s.last || s.state != stateOpen {
		return
	}
	s.last, s.draining = true, true
	last := s.lastID
	if !s.server() {
		last = 0
	}
	s.append(func(b []byte) []byte { return http2.AppendGoAway(b, last, code, debug) })
	s.endIfDone()
}

// calm has a peer that is rude finish what it has begun and go.
func (s *Session) calm() {
	if !s.last {
		s.reason, s.cause = word(errRude.Code), errRude
		s.tellLast(errRude.Code, errRude.Reason)
	}
}

// endIfDone ends a session that takes no more streams and has none.
func (s *Session) endIfDone() {
	if s.Streams() == 0 && (s.last || s.leaving || s.draining && !s.server()) {
		s.end(http2.NoError, s.reason, s.cause)
	}
}

// Close ends the session and its streams at once.
func (s *Session) Close() { s.end(http2.NoError, "", nil) }

// fail ends the session for an error of the connection.
func (s *Session) fail(err *http2.Error) { s.end(err.Code, word(err.Code), err) }

// end cuts the streams, sends what waits, GOAWAY last, and closes. Nothing that
// the peer sends counts any more.
func (s *Session) end(code http2.ErrCode, reason string, err error) {
	if s.state != stateOpen {
		return
	}
	if !s.last || code != http2.NoError {
		debug := ""
		var wrong *http2.Error
		if errors.As(err, &wrong) {
			debug = wrong.Reason
		}
		last := s.lastID
		if !s.server() {
			last = 0
		}
		s.append(func(b []byte) []byte { return http2.AppendGoAway(b, last, code, debug) })
	}
	s.state, s.reason, s.cause = stateEnding, reason, err
	s.lingers = s.limits.Buffered
	s.input.release()
	s.cut(code, err)
	s.due = due{linger: s.loop.Now().Add(s.limits.LingerTime)}
	s.conn.SetWriteDeadline(s.due.linger)
	s.flushSoon()
	s.arm()
}

// lose ends a session whose connection is of no use any more.
func (s *Session) lose(reason string, err error) {
	if s.state == stateEnded {
		return
	}
	was := s.state
	if was == stateOpen {
		s.reason, s.cause = reason, err
	}
	s.state = stateEnded
	s.input.release()
	s.output.release()
	if was == stateOpen {
		s.cut(http2.InternalError, err)
	}
	s.conn.Close()
	if s.closed != nil {
		s.closed(s.reason, s.cause)
	}
}

// cut ends all streams with the connection's error.
func (s *Session) cut(code http2.ErrCode, err error) {
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	if !errors.Is(err, loop.ErrStopped) {
		err = &StreamError{Code: code, Reason: "the connection has ended: " + err.Error()}
	}
	for _, st := range s.streams {
		st.fail(err)
	}
	for _, st := range s.output.heads { // those that have no identifier yet
		st.wakeWriter()
	}
	s.wakeWaiters()
}

func (s *Session) wakeWaiters() {
	for _, w := range s.input.waiters {
		w.Wake()
	}
	s.input.waiters = nil
}

// word is a code for a metric.
func word(code http2.ErrCode) string {
	if code == http2.NoError {
		return ""
	}
	if code > http2.HTTP11Required {
		return "unknown_code"
	}
	return strings.ToLower(code.String())
}
