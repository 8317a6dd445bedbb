package upstream

import (
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// Want is what a request asks of its connection.
type Want struct {
	// HTTP2 says that a backend whose protocol is AppHTTP is spoken to in HTTP/2,
	// as a route of gRPC wants it.
	HTTP2 bool
	// WebSocket says that the connection is to take one: in HTTP/1.1, or in HTTP/2
	// with extended CONNECT (RFC 8441).
	WebSocket bool
	// Identity is shown to a backend in TLS that asks for a certificate; nil for
	// none. The same identity is to be the same pointer: connections are kept by it.
	Identity *tls.Certificate
	// Deadline bounds the connect beside [Limits.ConnectTimeout]; zero: it does not.
	Deadline time.Time
}

// Conn is a connection to an endpoint: all of one, or a stream of one that others
// use too. Whoever got it from a pool ends with exactly one of [Pool.Put] and
// [Pool.Discard].
type Conn struct {
	loop.Conn
	peer *peer
	// session and stream are nil for HTTP/1.1.
	session *session
	stream  *mux.Stream
	// reused says that the connection has carried other requests before.
	reused bool
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
