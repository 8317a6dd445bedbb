package upstream

import (
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/mux"
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
	// ConnectTimeout bounds a connect, from the name to the connection.
	ConnectTimeout time.Duration
}

// DefaultLimits are made for servers' common defaults: nginx closes idle
// connections after 75 s, Go never. For those that close earlier (Node.js and
// Apache after 5 s) a pool notices the close; a request that crosses with it
// finds [Pool.Dial] for another try. The connect timeout is Envoy's.
var DefaultLimits = Limits{
	IdlePerEndpoint: 128,
	Idle:            1024,
	IdleTimeout:     60 * time.Second,
	ConnectTimeout:  5 * time.Second,
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

// Want is what a request asks of its connection.
type Want struct {
	// Deadline bounds the connect beside [Limits.ConnectTimeout]; zero: it does not.
	Deadline time.Time
	// Identity is shown to a backend in TLS that asks for a certificate; nil for
	// none. The same identity is to be the same pointer: connections are kept by it.
	Identity *tls.Certificate
	// HTTP2 asks a backend whose protocol is AppHTTP for it.
	HTTP2 bool
	// WebSocket needs HTTP/1.1, or HTTP/2 with extended CONNECT (RFC 8441).
	WebSocket bool
}

// Conn is a connection to an endpoint. Whoever got it from a pool ends with
// exactly one of [Pool.Put] and [Pool.Discard].
type Conn struct {
	loop.Conn
	peer *peer
	// stream is the connection where it is one of a session's, else nil.
	stream *mux.Stream
	// addr is the address of a domain name that the connection was made to.
	addr netip.AddrPort
	// expire is called when something happens to the idle connection; made once.
	expire func(error)
	idle   bool
	links  [lists]links
}

// Endpoint is the endpoint that the connection leads to.
func (c *Conn) Endpoint() *Endpoint { return c.peer.endpoint }

// Stream is the connection where it is one of HTTP/2's streams; nil for HTTP/1.1.
func (c *Conn) Stream() *mux.Stream { return c.stream }

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

// Get is a connection to e without deadlines: an idle one if there is one, the
// last that came back first, else a new one as by [Pool.Dial]. reused says
// which. Handlers only.
func (p *Pool) Get(e *Endpoint, w Want) (c *Conn, reused bool, err error) {
	peer := p.enter(e, w.Identity)
	if c := p.takeIdle(peer); c != nil {
		e.countActive(1)
		e.countReused()
		return c, true, nil
	}
	c, err = p.dial(peer, w)
	return c, false, err
}

// Dial is a new connection to e, within [Limits.ConnectTimeout] and the
// deadline. The error is a [*ConnectError]. Handlers only.
func (p *Pool) Dial(e *Endpoint, w Want) (*Conn, error) {
	return p.dial(p.enter(e, w.Identity), w)
}

func (p *Pool) dial(peer *peer, w Want) (*Conn, error) {
	e := peer.endpoint
	e.countActive(1)
	l, err := p.open(peer, []string{alpnHTTP1}, p.deadline(w))
	if err != nil {
		e.countActive(-1)
		p.leave(peer)
		return nil, err
	}
	c := &Conn{Conn: l.Conn, peer: peer, addr: l.addr}
	c.expire = func(error) {
		if c.idle {
			p.drop(c)
		}
	}
	return c, nil
}

// deadline is when a connect that begins now has to be done.
func (p *Pool) deadline(w Want) time.Time {
	deadline := p.loop.Now().Add(p.limits.ConnectTimeout)
	if !w.Deadline.IsZero() && w.Deadline.Before(deadline) {
		return w.Deadline
	}
	return deadline
}

// Put takes a connection back whose response was read to its end and that may
// carry another request; whoever had it has no OnAbort on it any more. It is
// closed where it cannot be kept. While it is idle, any byte, end or error
// closes it: no byte of an endpoint can become part of the answer to a request
// that was not yet made.
func (p *Pool) Put(c *Conn) {
	peer, e := c.peer, c.peer.endpoint
	e.countActive(-1)
	defer p.leave(peer)
	if p.draining || min(p.limits.IdlePerEndpoint, p.limits.Idle) <= 0 || !e.has(c.addr) {
		c.Close()
		return
	}
	if peer.idle.len >= p.limits.IdlePerEndpoint {
		p.drop(peer.idle.oldest)
	} else if p.all.len >= p.limits.Idle {
		p.drop(p.all.oldest)
	}
	c.idle = true
	peer.idle.push(c)
	p.all.push(c)
	c.SetWriteDeadline(time.Time{})
	c.SetReadDeadline(p.loop.Now().Add(p.limits.IdleTimeout))
	c.Notify(c.expire)
}

// Discard closes a connection that can carry no other request.
func (p *Pool) Discard(c *Conn) {
	c.peer.endpoint.countActive(-1)
	c.Close()
	p.leave(c.peer)
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

// forget closes the idle connections to endpoints that are gone.
func (p *Pool) forget(gone []*Endpoint) {
	for _, e := range gone {
		for peer := p.peers[e]; peer != nil; peer = peer.next {
			for peer.idle.oldest != nil {
				p.drop(peer.idle.oldest)
			}
			p.tidy(peer)
		}
	}
}

func (p *Pool) drop(c *Conn) {
	p.unlink(c)
	c.Close()
	p.tidy(c.peer)
}

func (p *Pool) unlink(c *Conn) {
	c.idle = false
	c.peer.idle.remove(c)
	p.all.remove(c)
}
