package upstream

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// offer is what a connection may speak.
type offer int

// The offers. For the first two a peer has a queue.
const (
	offerHTTP2 offer = iota
	offerEither
	offerHTTP1

	queues = 2
)

// Protocols by their names in ALPN (RFC 7301, RFC 9113 section 3.1).
const (
	alpnHTTP1 = "http/1.1"
	alpnHTTP2 = "h2"
)

var protocols = [...][]string{
	offerHTTP2:  {alpnHTTP2},
	offerEither: {alpnHTTP2, alpnHTTP1},
	offerHTTP1:  {alpnHTTP1},
}

// offer is what a request may speak with the endpoint. In clear text nothing is
// chosen by the endpoint (RFC 9113 section 3.3: prior knowledge).
func (e *Endpoint) offer(w Want) offer { return offerOf(e.protocol, w.HTTP2, e.secure != nil) }

func offerOf(protocol config.AppProtocol, http2, secure bool) offer {
	switch {
	case protocol == config.AppH2C, protocol == config.AppHTTP && http2:
		return offerHTTP2
	case protocol == config.AppHTTP && secure:
		return offerEither
	}
	return offerHTTP1
}

// Protocols are what endpoints of the backend are offered, by their names in ALPN;
// http2 is [Want]'s.
func Protocols(b *config.Backend, http2 bool) []string {
	return protocols[offerOf(b.Protocol, http2, b.TLS != nil)]
}

// Why no connection in TLS could be made.
var (
	errUntrusted  = errors.New("the certificate is not verified")
	errHandshake  = errors.New("the TLS handshake failed")
	errNoProtocol = errors.New("the endpoint does not speak the protocol")
)

// line is a connection that was just made.
type line struct {
	loop.Conn
	// addr is the address of a domain name that it was made to.
	addr netip.AddrPort
	// protocol is what is spoken, by its ALPN name.
	protocol string
}

// open makes a connection that speaks what is offered.
func (p *Pool) open(peer *peer, o offer, deadline time.Time) (l line, err error) {
	e := peer.endpoint
	l.protocol = protocols[o][0]
	l.Conn, l.addr, err = p.connect(e, deadline)
	if err == nil && e.bounds.forbidsConn(l) {
		err = fmt.Errorf("%w: %s is an address of this host", errForbidden, l.RemoteAddr().Addr())
		l.Close()
	}
	if err == nil && e.secure != nil {
		err = p.encrypt(&l, peer, protocols[o], deadline)
	}
	e.countConnect(err)
	return l, err
}

// encrypt puts TLS on the line.
func (p *Pool) encrypt(l *line, peer *peer, offered []string, deadline time.Time) error {
	raw := l.Conn
	c, err := p.tls.Handshake(raw, deadline, peer.endpoint.secure.settings(peer.identity, &peer.ticket, offered))
	if err != nil {
		raw.Close()
		return handshakeError(err, offered)
	}
	c.SetReadDeadline(time.Time{})
	c.SetWriteDeadline(time.Time{})
	l.Conn, l.protocol = c, c.Protocol()
	if l.protocol == "" {
		l.protocol = alpnHTTP1 // what TLS says nothing of
	}
	if !slices.Contains(offered, l.protocol) {
		c.Close()
		return fmt.Errorf("%w: it chose %s, and %s is needed", errNoProtocol, l.protocol, strings.Join(offered, " or "))
	}
	return nil
}

// handshakeError says which step of a handshake failed. A timeout and the end of
// the loop are told as those of a connect are.
func handshakeError(err error, offered []string) error {
	var failed *tlsconn.Error
	if !errors.As(err, &failed) {
		return err
	}
	switch failed.Reason {
	case tlsconn.ReasonUntrusted:
		return fmt.Errorf("%w: %w", errUntrusted, err)
	case tlsconn.ReasonNoProtocol:
		return fmt.Errorf("%w: it was offered %s: %w", errNoProtocol, strings.Join(offered, " and "), err)
	case "timeout":
		return err
	}
	return fmt.Errorf("%w: %w", errHandshake, err)
}
