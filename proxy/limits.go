package proxy

import (
	"cmp"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/http3"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// Limits bounds what one client, request or backend may cost.
type Limits struct {
	// Head bounds the heads of requests and responses.
	Head http1.Limits
	// KeepAlive is how long a client connection may be idle between two
	// requests, and before its first one.
	KeepAlive time.Duration
	// HeadTimeout is the time from the first byte of a request's head to its last.
	HeadTimeout time.Duration
	// HandshakeTime is how long a connection in TLS may take to its first byte,
	// and from there to the end of its handshake.
	HandshakeTime time.Duration
	// Handshakes is how many handshakes one worker has under way. Over it the
	// oldest one is cut: those that mean well take no longer than a round trip.
	Handshakes int
	// BodyIdle is how long a client may make no progress with a body, in
	// sending or in receiving.
	BodyIdle time.Duration
	// UpstreamIdle is how long a backend may stay silent before and within its
	// response, and how long it may refuse to take bytes.
	UpstreamIdle time.Duration
	// TunnelIdle is how long both sides of an upgraded connection may be silent.
	TunnelIdle time.Duration
	// ContinueWait is how long a backend may take to answer
	// Expect: 100-continue before the body is sent anyway (RFC 9110 section 10.1.1).
	ContinueWait time.Duration
	// LingerBytes and LingerTime bound what is read of a request body that
	// nobody wants, so that the client sees the response and not a reset.
	LingerBytes int64
	LingerTime  time.Duration
	// ReplayBytes is the largest request body that is kept for a retry or a mirror.
	ReplayBytes int
	// InterimResponses is how many 1xx responses a backend may send to one request.
	InterimResponses int
	// Connections is how many client connections one address and port may have.
	Connections int64
	// HTTP2 bounds what a connection of HTTP/2 may cost beside its requests.
	HTTP2 mux.Limits
	// HTTP3 is the same for one of HTTP/3.
	HTTP3 http3.Limits
}

// DefaultLimits are safe for the open internet.
var DefaultLimits = Limits{
	Head:             http1.DefaultLimits,
	KeepAlive:        75 * time.Second,
	HeadTimeout:      10 * time.Second,
	HandshakeTime:    10 * time.Second,
	Handshakes:       512,
	BodyIdle:         60 * time.Second,
	UpstreamIdle:     5 * time.Minute,
	TunnelIdle:       time.Hour,
	ContinueWait:     time.Second,
	LingerBytes:      64 << 10,
	LingerTime:       time.Second,
	ReplayBytes:      64 << 10,
	InterimResponses: 8,
	Connections:      10_000,
	HTTP2:            mux.DefaultLimits,
	HTTP3:            http3.DefaultLimits,
}

// with returns the limits with those that a ClientPolicy sets.
func (l *Limits) with(c *config.ClientSettings) *Limits {
	next, own, times := *l, &c.Limits, &c.Timeouts
	next.Head.HeaderBytes = cmp.Or(own.HeaderBytes, l.Head.HeaderBytes)
	next.Head.HeaderFields = cmp.Or(own.HeaderFields, l.Head.HeaderFields)
	next.Connections = cmp.Or(own.Connections, l.Connections)
	next.HandshakeTime = cmp.Or(times.Handshake, l.HandshakeTime)
	next.HeadTimeout = cmp.Or(times.Head, l.HeadTimeout)
	next.BodyIdle = cmp.Or(times.BodyIdle, l.BodyIdle)
	next.KeepAlive = cmp.Or(times.Idle, l.KeepAlive)
	two := &next.HTTP2
	two.Head.Bytes = cmp.Or(own.HeaderBytes, two.Head.Bytes)
	two.Head.Fields = cmp.Or(own.HeaderFields, two.Head.Fields)
	two.Streams = cmp.Or(own.Streams, two.Streams)
	two.HeadTimeout = cmp.Or(times.Head, two.HeadTimeout)
	two.WriteIdle = cmp.Or(times.BodyIdle, two.WriteIdle)
	two.KeepAlive = cmp.Or(times.Idle, two.KeepAlive)
	three := &next.HTTP3
	three.Head, three.Streams, three.HeadTimeout, three.KeepAlive = two.Head, two.Streams, two.HeadTimeout, two.KeepAlive
	three.Handshake = next.HandshakeTime
	return &next
}

// largerHead is a buffer for a head that is larger than size, with room for any
// that the limits allow in the end: their lines, and the line ends around the first.
func (l *Limits) largerHead(size int) []byte {
	const lineEnds = 8
	return make([]byte, max(size, min(4*size, l.Head.RequestLine+l.Head.HeaderBytes+lineEnds)))
}
