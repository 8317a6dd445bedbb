package config

import (
	"net/netip"
	"time"
)

// ClientSettings are what a ClientPolicy says of the clients of a listener. The
// zero value of a field means the data plane's default.
type ClientSettings struct {
	// TrustedProxies are the addresses of proxies in front, whose X-Forwarded
	// fields and request ids are believed.
	TrustedProxies []netip.Prefix
	// CertificateHeader has the identity of a client's certificate sent to
	// backends as X-Forwarded-Client-Cert.
	CertificateHeader bool
	// HTTP3 serves HTTP/3 on the UDP port of an HTTPS listener's number too.
	HTTP3 bool
	// RequestHeaders changes requests before they are routed, and
	// ResponseHeaders every response.
	RequestHeaders  *HeaderModifier
	ResponseHeaders *HeaderModifier
	Limits          ClientLimits
	Timeouts        ClientTimeouts
}

// ClientLimits bound what a client may send or have under way.
type ClientLimits struct {
	// HeaderBytes and HeaderFields bound the head of a request.
	HeaderBytes, HeaderFields int
	// Streams is how many requests one connection of HTTP/2 or HTTP/3 may have
	// under way.
	Streams int
	// Connections is how many connections one address and port may have; of
	// listeners that share a socket the least holds.
	Connections int64
}

// ClientTimeouts bound how long a client may take.
type ClientTimeouts struct {
	// Handshake bounds the TLS handshake; of listeners that share a socket the
	// least holds, as nobody knows yet which of them a client is for. Head bounds
	// the head of a request from its first byte, BodyIdle a pause within a body,
	// and Idle one between requests.
	Handshake, Head, BodyIdle, Idle time.Duration
}

func (v *validator) clientSettings(c *ClientSettings) {
	if c == nil {
		return
	}
	for _, prefix := range c.TrustedProxies {
		if !prefix.IsValid() {
			v.fail("a range of trusted proxies is none")
		}
	}
	l, t := c.Limits, c.Timeouts
	if min(int64(l.HeaderBytes), int64(l.HeaderFields), int64(l.Streams), l.Connections) < 0 {
		v.fail("a limit of clients is negative")
	}
	if min(t.Handshake, t.Head, t.BodyIdle, t.Idle) < 0 {
		v.fail("a timeout of clients is negative")
	}
}

func (p *printer) clientSettings(c *ClientSettings) {
	if c == nil {
		return
	}
	var trusted []string
	for _, prefix := range c.TrustedProxies {
		trusted = append(trusted, prefix.String())
	}
	p.line("clients", list("trusted", trusted), flag("certificateHeader", c.CertificateHeader), flag("http3", c.HTTP3))
	p.within(func() {
		p.headerModifier("request headers", c.RequestHeaders)
		p.headerModifier("response headers", c.ResponseHeaders)
		l, t := c.Limits, c.Timeouts
		if l != (ClientLimits{}) {
			p.line("limits", number("headerBytes", l.HeaderBytes), number("headerFields", l.HeaderFields), number("streams", l.Streams), number("connections", int(l.Connections)))
		}
		if t != (ClientTimeouts{}) {
			p.line("timeouts", duration("handshake", t.Handshake), duration("head", t.Head), duration("bodyIdle", t.BodyIdle), duration("idle", t.Idle))
		}
	})
}
