package upstream

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// session is an HTTP/2 connection to a peer. It stands among the peer's for as
// long as it takes streams; then it is retired, and ends when its streams have.
type session struct {
	*mux.Session
	peer *peer
	addr netip.AddrPort
	// opened counts its streams so far, users those that requests have now.
	opened, users int
	retired       bool
	// renewAt is when another one is to take its place, and worn says that one
	// has been asked for.
	renewAt time.Time
	worn    bool
	// quietSince is when the peer was heard last, or when requests began to wait
	// for it, if that was later.
	quietSince time.Time
	// place is where the session stands among the pool's idle connections.
	place     *Conn
	idleSince time.Time
	timer     loop.Timer
}

// renewPause is the time between two attempts to replace a session.
const renewPause = time.Minute

// adopt makes a session of a new connection. It takes the place of those that
// are worn.
func (p *Pool) adopt(peer *peer, l line) *session {
	now := p.loop.Now()
	s := &session{peer: peer, addr: l.addr, renewAt: now.Add(p.limits.SessionAge), idleSince: now}
	s.place = &Conn{peer: peer, session: s}
	for _, old := range slices.Clone(peer.sessions) {
		if old.worn {
			p.retire(old)
		}
	}
	peer.sessions, peer.http1 = append(peer.sessions, s), false
	s.timer = p.loop.AfterFunc(p.limits.IdleTimeout, func() { p.checkIdle(s) })
	s.Session = mux.NewClient(ear{l.Conn, s}, &mux.ClientOptions{Closed: func(string, error) {
		p.remove(s)
		p.loop.Post(func() { // somebody may be about to open a stream
			p.serve(peer)
			p.tidy(peer)
		})
	}})
	return s
}

// ear hears that the peer is there.
type ear struct {
	loop.Conn
	session *session
}

// TryRead implements loop.Conn.
func (e ear) TryRead(p []byte) (int, error) {
	n, err := e.Conn.TryRead(p)
	if n > 0 {
		e.session.quietSince = e.Loop().Now()
	}
	return n, err
}

// maxSilence is how long a peer may say nothing at all when a request is given
// up. The connection may lead nowhere, and TCP takes long to find that out.
const maxSilence = time.Second

// doubt retires a session that a request was given up on, if the peer was silent.
func (p *Pool) doubt(s *session) {
	if p.loop.Now().Sub(s.quietSince) >= maxSilence && !s.retired {
		p.retire(s)
	}
}

// stream opens one on the first session that has room, if one has. One that is
// stalled is taken only where there may be no other.
func (p *Pool) stream(peer *peer) *Conn {
	var stalled *session
	for i := 0; i < len(peer.sessions); {
		s := peer.sessions[i]
		switch {
		case s.opened > 0 && !peer.endpoint.has(s.addr):
			p.retire(s)
			continue
		case s.Room() > 0 && s.Stalled():
			stalled = s
			i++
			continue
		}
		stream, err := s.Open()
		switch err {
		case nil:
			return p.use(s, stream)
		case mux.ErrFull:
			i++
		default:
			p.retire(s)
		}
	}
	if stalled == nil || peer.connections() < p.limits.Sessions {
		return nil
	}
	stream, err := stalled.Open()
	if err != nil {
		return nil
	}
	return p.use(stalled, stream)
}

// first is a stream of a session that nobody else uses yet.
func (p *Pool) first(s *session) (*Conn, error) {
	stream, err := s.Open()
	if err != nil {
		p.retire(s)
		return nil, fmt.Errorf("a new connection has no stream: %w", err)
	}
	return p.use(s, stream), nil
}

// upgrades releases a stream that the peer does not let become a WebSocket.
func (p *Pool) upgrades(c *Conn, deadline time.Time) error {
	ok, err := c.session.Upgrades(deadline)
	if err == nil && !ok {
		err = fmt.Errorf("%w: it does not take extended CONNECT", errNoProtocol)
	}
	if err != nil {
		p.release(c)
	}
	return err
}

func (p *Pool) use(s *session, stream *mux.Stream) *Conn {
	if s.place.idle {
		p.unlink(s.place)
	}
	c := &Conn{Conn: stream, peer: s.peer, session: s, stream: stream, reused: s.opened > 0}
	now := p.loop.Now()
	if s.users == 0 {
		s.quietSince = now
	}
	s.users++
	s.opened++
	if s.opened == p.limits.SessionStreams || !now.Before(s.renewAt) {
		s.renewAt, s.worn = now.Add(renewPause), true
		p.connectFor(s.peer, &s.peer.queues[offerHTTP2])
	}
	return c
}

// release ends a request's use of a stream.
func (p *Pool) release(c *Conn) {
	s := c.session
	c.Close()
	s.users--
	p.serve(c.peer)
	if s.users == 0 && !s.retired {
		p.rest(s)
	}
}

// rest puts a session without streams among the idle connections, if it may stay.
func (p *Pool) rest(s *session) {
	s.idleSince = p.loop.Now()
	if !p.keeps(s.peer.endpoint, s.addr) {
		p.retire(s)
		return
	}
	if p.all.len >= p.limits.Idle {
		p.drop(p.all.oldest)
	}
	s.place.idle = true
	p.all.push(s.place)
}

func (p *Pool) checkIdle(s *session) {
	left := s.idleSince.Add(p.limits.IdleTimeout).Sub(p.loop.Now())
	switch {
	case s.users > 0:
		s.timer.Reset(p.limits.IdleTimeout)
	case left > 0:
		s.timer.Reset(left)
	default:
		p.retire(s)
		p.tidy(s.peer)
	}
}

// retire lets a session end when its streams have.
func (p *Pool) retire(s *session) {
	p.remove(s)
	s.Drain()
}

// remove takes a session from where it is looked for.
func (p *Pool) remove(s *session) {
	if s.retired {
		return
	}
	s.retired = true
	s.timer.Stop()
	if s.place.idle {
		p.unlink(s.place)
	}
	i := slices.Index(s.peer.sessions, s)
	s.peer.sessions = slices.Delete(s.peer.sessions, i, i+1)
}
