package upstream

import (
	"net/netip"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// Limits of one pool, that is, of one worker.
type Limits struct {
	// IdlePerEndpoint and Idle bound the idle connections to one endpoint and
	// in all. Over the bound the one that has been idle longest is closed; zero
	// keeps none.
	IdlePerEndpoint, Idle int
	// IdleTimeout closes a connection that nobody took for so long. It is to be
	// less than the endpoints' own timeout: an endpoint that closes first may
	// do so just as a request is on its way.
	IdleTimeout time.Duration
	// ConnectTimeout bounds a connect, from the name to the connection and through
	// the TLS handshake, and the wait for a stream.
	ConnectTimeout time.Duration
	// Sessions bounds the HTTP/2 connections to one endpoint, as one identity. A
	// session that is SessionAge old, or has carried SessionStreams, is replaced.
	Sessions, SessionStreams int
	SessionAge               time.Duration
}

// DefaultLimits are made for servers' common defaults: nginx closes idle
// connections after 75 s, Go never. For those that close earlier (Node.js and
// Apache after 5 s) a pool notices the close; a request that crosses with it
// finds [Pool.Dial] for another try. The connect timeout is Envoy's. Streams come
// in hundreds on a connection ([mux.DefaultLimits]).
var DefaultLimits = Limits{
	IdlePerEndpoint: 128,
	Idle:            1024,
	IdleTimeout:     60 * time.Second,
	ConnectTimeout:  5 * time.Second,
	Sessions:        32,
	SessionStreams:  1 << 29, // half of what their identifiers are enough for
	SessionAge:      time.Hour,
}

// Pool is one worker's view of the backends: its place in their round robins
// and its connections to their endpoints. It belongs to its loop.
type Pool struct {
	loop   loop.Loop
	worker int
	limits Limits

	// peers has the first peer of each endpoint.
	peers map[*Endpoint]*peer
	// all are the idle connections.
	all      connList
	draining bool
	tls      *tlsconn.Client
	// probe takes the byte that an idle connection must not have.
	probe [1]byte
}

func newPool(l loop.Loop, worker int, limits Limits) *Pool {
	return &Pool{
		loop:   l,
		worker: worker,
		limits: limits,
		peers:  map[*Endpoint]*peer{},
		all:    connList{kind: byPool},
		tls:    tlsconn.NewClient(l),
	}
}

// Pick is the next endpoint for a request: round robin over [Backend.Usable].
// It avoids those that the request has tried, the last of them above all, where
// there are others. The error is [ErrNoEndpoints].
func (p *Pool) Pick(b *Backend, tried []*Endpoint) (*Endpoint, error) {
	return b.pick(p.worker, tried)
}

// Get is a connection to e without deadlines: of HTTP/1.1 an idle one if there is
// one, the last that came back first; of HTTP/2 a stream of one that has room;
// else as by [Pool.Dial]. reused says whether it has carried other requests.
// Handlers only.
func (p *Pool) Get(e *Endpoint, w Want) (c *Conn, reused bool, err error) {
	c, err = p.get(e, w, true)
	return c, err == nil && c.reused, err
}

// Dial is a connection to e that is new where it is HTTP/1.1's, and otherwise a
// stream, within [Limits.ConnectTimeout] and the deadline. The error is a
// [*ConnectError]. Handlers only.
func (p *Pool) Dial(e *Endpoint, w Want) (*Conn, error) {
	return p.get(e, w, false)
}

func (p *Pool) get(e *Endpoint, w Want, pooled bool) (*Conn, error) {
	peer := p.enter(e, w.Identity)
	e.countActive(1)
	c, err := p.fit(peer, w, pooled)
	if err != nil {
		e.countActive(-1)
		p.leave(peer)
		return nil, &ConnectError{Endpoint: e, Err: err}
	}
	if c.reused {
		e.countReused()
	}
	return c, nil
}

// Put takes a connection back whose response was read to its end and that may
// carry another request; whoever had it has no OnAbort on it any more. It is
// closed where it cannot be kept. While it is idle, any byte, end or error
// closes it: no byte of an endpoint can become part of the answer to a request
// that was not yet made. Of HTTP/2, the stream ends.
func (p *Pool) Put(c *Conn) {
	c.peer.endpoint.countActive(-1)
	if c.session != nil {
		p.release(c)
	} else {
		p.shelve(c)
	}
	p.leave(c.peer)
}

// Discard closes a connection that can carry no other request, or ends a stream.
func (p *Pool) Discard(c *Conn) {
	c.peer.endpoint.countActive(-1)
	if c.session != nil {
		p.doubt(c.session)
		p.release(c)
	} else {
		c.Close()
	}
	p.leave(c.peer)
}

// keeps reports whether an idle connection may stay.
func (p *Pool) keeps(e *Endpoint, addr netip.AddrPort) bool {
	return !p.draining && min(p.limits.IdlePerEndpoint, p.limits.Idle) > 0 && e.has(addr)
}

// shelve makes a connection of HTTP/1.1 idle.
func (p *Pool) shelve(c *Conn) {
	peer := c.peer
	if !p.keeps(peer.endpoint, c.addr) {
		c.Close()
		return
	}
	if peer.idle.len >= p.limits.IdlePerEndpoint {
		p.drop(peer.idle.oldest)
	} else if p.all.len >= p.limits.Idle {
		p.drop(p.all.oldest)
	}
	c.idle, c.reused = true, true
	peer.idle.push(c)
	p.all.push(c)
	c.SetWriteDeadline(time.Time{})
	c.SetReadDeadline(p.loop.Now().Add(p.limits.IdleTimeout))
	c.Notify(c.expire)
}

// Drain closes all idle connections, now and those that come back later.
func (p *Pool) Drain() {
	p.draining = true
	for p.all.oldest != nil {
		p.drop(p.all.oldest)
	}
}

// Idle is the number of idle connections.
func (p *Pool) Idle() int { return p.all.len }

// takeIdle takes the youngest sound connection. Notify speaks up only when this
// handler waits; the probe hears now what the loop already has.
func (p *Pool) takeIdle(peer *peer) *Conn {
	for peer.idle.youngest != nil {
		c := peer.idle.youngest
		p.unlink(c)
		quiet := c.StopNotify()
		c.SetReadDeadline(time.Time{})
		if quiet && p.silent(c) && peer.endpoint.has(c.addr) {
			return c
		}
		c.Close()
	}
	return nil
}

func (p *Pool) silent(c *Conn) bool {
	_, err := c.TryRead(p.probe[:])
	return err == loop.ErrAgain
}

// forget closes the idle connections to endpoints that are gone; sessions end when
// their streams have.
func (p *Pool) forget(gone []*Endpoint) {
	for _, e := range gone {
		for peer := p.peers[e]; peer != nil; peer = peer.next {
			for peer.idle.oldest != nil {
				p.drop(peer.idle.oldest)
			}
			for len(peer.sessions) > 0 {
				p.retire(peer.sessions[0])
			}
			p.tidy(peer)
		}
	}
}

func (p *Pool) drop(c *Conn) {
	if c.session != nil {
		p.retire(c.session)
	} else {
		p.unlink(c)
		c.Close()
	}
	p.tidy(c.peer)
}

func (p *Pool) unlink(c *Conn) {
	c.idle = false
	if c.session == nil {
		c.peer.idle.remove(c)
	}
	p.all.remove(c)
}
