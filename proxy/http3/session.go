package http3

import (
	"context"
	"net/netip"

	"github.com/quic-go/quic-go"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// ServerOptions say how a client is served.
type ServerOptions struct {
	// Limits are the connection's; nil means DefaultLimits.
	Limits *Limits
	// Serve is called on the loop, outside any handler, when a request's head is
	// there. It starts a handler, which closes the stream in the end.
	Serve func(*Stream)
	// Refused is called on the loop for a request that was not served because of
	// what its head says, with the status that it was answered with, or 0 where the
	// stream was reset. It may be nil.
	Refused func(status int)
	// Closed is called once, on the loop, when the connection has ended. reason
	// is one word, of few and fixed ones, for a metric; empty where nothing went
	// wrong. err has the details.
	Closed func(reason string, err error)
}

// Session is a connection of a client. It belongs to its loop.
type Session struct {
	conn    *quic.Conn
	loop    loop.Loop
	limits  *Limits
	serve   func(*Stream)
	refused func(int)
	closed  func(string, error)
	control *quic.SendStream
	score   score
	inputs  controls

	streams  map[*Stream]struct{} // until their handlers let go
	next     quic.StreamID        // behind the last request that was taken
	draining bool
	last     bool // GOAWAY has told the last request
	ended    bool
	idle     loop.Timer
}

// Serve speaks HTTP/3 with a client, on l, whose function calls it.
func Serve(l loop.Loop, c *Conn, o *ServerOptions) *Session {
	s := &Session{conn: c.quic, loop: l, limits: o.Limits, serve: o.Serve, closed: o.Closed, streams: make(map[*Stream]struct{})}
	if s.limits == nil {
		s.limits = &DefaultLimits
	}
	if s.refused = o.Refused; s.refused == nil {
		s.refused = func(int) {}
	}
	context.AfterFunc(s.conn.Context(), func() { l.Post(s.end) })
	s.greet()
	s.idle = l.AfterFunc(s.limits.KeepAlive, s.expire)
	go s.acceptRequests()
	go s.acceptControls()
	return s
}

// acceptRequests begins to read each request. Of those there are no more than
// the limit: the client gets room for another one when a handler has let go.
func (s *Session) acceptRequests() {
	for {
		raw, err := s.conn.AcceptStream(context.Background())
		if err != nil { // the connection has ended
			return
		}
		st := newStream(s, raw)
		go st.begin()
	}
}

// take begins to serve a request whose head is there.
func (s *Session) take(st *Stream) {
	id := st.raw.StreamID()
	switch {
	case s.ended:
		st.letGo(RequestRejected)
	case s.last && id >= s.next, len(s.streams) >= s.limits.Streams:
		s.rude(rudeRefused)
		st.letGo(RequestRejected)
	default:
		s.next = max(s.next, id+4)
		s.streams[st] = struct{}{}
		s.idle.Stop()
		st.watch()
		s.serve(st)
	}
}

// forget is called when a handler has let go of a stream.
func (s *Session) forget(st *Stream) {
	delete(s.streams, st)
	if len(s.streams) == 0 && !s.ended {
		s.rest()
	}
}

// rest bounds the time without requests.
func (s *Session) rest() {
	patience := s.limits.KeepAlive
	if s.last {
		patience = s.limits.LingerTime
	}
	s.idle.Reset(patience)
}

func (s *Session) expire() {
	if len(s.streams) == 0 {
		s.close(NoError, "")
	}
}

// Drain takes no request that the client sends after it has learned of it (RFC
// 9114 section 5.2): it is told at once that the end is near, and a little later
// which request was the last. The connection ends when those that it took have.
func (s *Session) Drain() {
	if s.draining || s.ended {
		return
	}
	s.draining = true
	s.goAway(lastStream)
	s.loop.AfterFunc(s.limits.DrainTime, func() {
		if s.ended {
			return
		}
		s.last = true
		s.goAway(uint64(s.next))
		if len(s.streams) == 0 {
			s.rest()
		}
	})
}

// Close ends the connection at once.
func (s *Session) Close() { s.close(NoError, "") }

func (s *Session) close(code ErrCode, reason string) {
	_ = s.conn.CloseWithError(quic.ApplicationErrorCode(code), reason) // it may have ended
}

// wrong ends the connection for what its peer did. It may be called from any
// goroutine.
func (s *Session) wrong(e *Error) { s.close(e.Code, e.Reason) }

// end runs when the connection has ended.
func (s *Session) end() {
	if s.ended {
		return
	}
	s.ended = true
	s.idle.Stop()
	err := context.Cause(s.conn.Context())
	for st := range s.streams {
		st.fail(causeOf(err))
	}
	s.closed(endOf(err), err)
}

// endOf is a word for how a connection has ended, empty where all was well.
func endOf(err error) string {
	switch err := err.(type) {
	case *quic.ApplicationError:
		code := ErrCode(err.ErrorCode)
		switch {
		case code == NoError || err.Remote && code == 0: // some clients have no better word
			return ""
		case err.Remote:
			return "closed_by_client"
		}
		return code.String()
	case *quic.TransportError: // browsers end connections so too
		switch {
		case err.Remote && err.ErrorCode == quic.NoError:
			return ""
		case err.Remote:
			return "closed_by_client"
		}
		return "quic_error" // the client broke the rules of QUIC
	case *quic.IdleTimeoutError:
		return "timeout"
	case *quic.StatelessResetError:
		return "reset"
	}
	return "failed"
}

// Streams is how many requests are under way.
func (s *Session) Streams() int { return len(s.streams) }

// RemoteAddr is where the client is now: it may move (RFC 9000 section 9).
func (s *Session) RemoteAddr() netip.AddrPort { return addrPort(s.conn.RemoteAddr()) }
