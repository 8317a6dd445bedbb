package proxy

import (
	"errors"
	"net/netip"

	"github.com/sluicegateway/sluice/proxy/http3"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// connection is one client connection. Idle, it holds nothing but itself; an
// exchange, with its buffers, is there only while a request is served. HTTP/2
// has an exchange for each stream.
type connection struct {
	worker   *Worker
	conn     loop.Conn
	secure   *tlsconn.Peer // what its handshake has shown, nil before and in clear text
	socket   *Socket
	limits   *Limits // what the client may cost, by the settings
	settings *Settings
	vouched  string // whom its certificate proves it to be, as backends are told
	peer     netip.Addr
	client   string         // peer, in words
	trusted  bool           // the peer is a proxy whose word counts
	draining bool           // it serves one more request at most
	last     *State         // the configuration when its socket closed, nil before
	fresh    bool           // in clear text, and no byte has been read: it may become HTTP/2
	session  session        // of HTTP/2 and HTTP/3, else nil
	quic     *http3.Session // session, where it is of HTTP/3: there is no conn then
	idle     bool
	closed   bool
	left     int64 // bytes that it may still send while it lingers
	onClose  func()

	// readable and serveFunc are method values, made once.
	readable  func(error)
	serveFunc func()
}

// Socket is what the listeners of a listening socket say of it. It is immutable.
type Socket struct {
	// Bind is the address in the configuration.
	Bind netip.AddrPort
	// Port is the one that clients connect to; something in front may lead it
	// to that of Bind.
	Port uint16
	// TLS says that its connections begin with a handshake.
	TLS bool
}

// Accept serves a connection that came in on s. If that socket is being
// closed, last is the configuration that still had listeners for it, else nil.
// onClose runs when the connection has ended.
func (w *Worker) Accept(s *Socket, nc loop.Conn, last *State, onClose func()) {
	c := &connection{worker: w, conn: nc, socket: s, fresh: !s.TLS, draining: last != nil || w.draining, last: last, onClose: onClose}
	c.readable, c.serveFunc = c.onReadable, c.serve
	c.moveTo(nc.RemoteAddr())
	c.follow(w.State.Load())
	w.connections[c] = struct{}{}
	if s.TLS {
		c.awaitHello()
	} else {
		c.wait()
	}
}

// wait lets the connection idle until a request comes.
func (c *connection) wait() {
	c.idle = true
	c.limitIdle()
	c.conn.Notify(c.readable)
}

// limitIdle bounds the wait. Where it is the last one, only a request that the
// client sent before it could know of that is still to come.
func (c *connection) limitIdle() {
	limits := c.limits
	patience := limits.KeepAlive
	switch {
	case c.draining:
		patience = limits.LingerTime
	case c.socket.TLS && c.secure == nil:
		patience = limits.HandshakeTime
	}
	c.conn.SetReadDeadline(c.worker.Loop.Now().Add(patience))
}

func (c *connection) onReadable(err error) {
	c.idle = false
	if err != nil {
		c.close()
		return
	}
	c.worker.Loop.Go(c.serveFunc)
}

// fate is what becomes of a connection after an exchange.
type fate uint8

const (
	fateClose  fate = iota // at once
	fateLinger             // after the client has had the time to read what it was sent
	fateKeep               // for another request
	fateTaken              // something else has taken it over: a tunnel, HTTP/2
)

// serve handles the requests that are there, then idles again.
func (c *connection) serve() {
	end := fateClose
	x := c.worker.takeExchange(&c.worker.exchanges)
	defer func() { // also after a panic, whose exchange is not used again
		x.up.letGo(false)
		c.meet(end)
	}()
	x.begin(c)
	next := x.serveOne()
	for next == fateKeep && x.pipelined() {
		next = x.serveOne()
	}
	if !x.uploading {
		x.end()
		c.worker.putExchange(&c.worker.exchanges, x)
	}
	end = next
}

func (c *connection) meet(end fate) {
	switch end {
	case fateKeep:
		c.wait()
	case fateLinger:
		c.linger()
	case fateClose:
		c.close()
	}
}

// linger closes in two steps: closing at once, with bytes of the client unread,
// would reset the connection and could destroy the response on its way
// (RFC 9112 section 9.6).
func (c *connection) linger() {
	limits := c.limits
	c.left = limits.LingerBytes
	c.conn.CloseWrite()
	c.conn.SetReadDeadline(c.worker.Loop.Now().Add(limits.LingerTime))
	c.conn.Notify(c.onLinger)
}

// onLinger drops what the client still sends. What is more than that waits
// unread, as long as the client may take to read its response.
func (c *connection) onLinger(err error) {
	for n := 0; err == nil && c.left > 0; c.left -= int64(n) {
		n, err = c.conn.TryRead(c.worker.scratch[:])
	}
	switch {
	case err == nil:
		c.worker.Loop.AfterFunc(c.limits.LingerTime, c.close)
	case errors.Is(err, loop.ErrAgain):
		c.conn.Notify(c.onLinger)
	default:
		c.close()
	}
}

// drain lets the connection serve no more than the request that it carries or
// that is on its way already.
func (c *connection) drain() {
	c.draining = true
	switch {
	case c.session != nil:
		c.session.Drain()
	case c.idle:
		c.limitIdle()
	}
}

func (c *connection) close() {
	if c.closed {
		return
	}
	c.closed = true
	if c.quic != nil {
		c.quic.Close()
	} else {
		c.conn.Close()
	}
	delete(c.worker.connections, c)
	c.onClose()
}
