package upstream

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

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

// open makes a connection that speaks one of the protocols: in clear text there
// is but one.
func (p *Pool) open(peer *peer, protocols []string, deadline time.Time) (l line, err error) {
	e := peer.endpoint
	l.protocol = protocols[0]
	l.Conn, l.addr, err = p.connect(e, deadline)
	if err == nil && e.bounds.forbidsConn(l) {
		err = fmt.Errorf("%w: %s is an address of this host", errForbidden, l.RemoteAddr().Addr())
		l.Close()
	}
	if err == nil && e.secure != nil {
		err = p.encrypt(&l, peer, protocols, deadline)
	}
	e.countConnect(err)
	if err != nil {
		return line{}, &ConnectError{Endpoint: e, Err: err}
	}
	return l, nil
}

// encrypt puts TLS on the line.
func (p *Pool) encrypt(l *line, peer *peer, protocols []string, deadline time.Time) error {
	raw := l.Conn
	c, err := p.tls.Handshake(raw, deadline, peer.endpoint.secure.settings(peer.identity, &peer.ticket, protocols))
	if err != nil {
		raw.Close()
		return handshakeError(err, protocols)
	}
	c.SetReadDeadline(time.Time{})
	c.SetWriteDeadline(time.Time{})
	l.Conn, l.protocol = c, c.Protocol()
	if l.protocol == "" {
		l.protocol = alpnHTTP1 // what TLS says nothing of
	}
	if !slices.Contains(protocols, l.protocol) {
		c.Close()
		return fmt.Errorf("%w: it chose %s, and %s is needed", errNoProtocol, l.protocol, strings.Join(protocols, " or "))
	}
	return nil
}

// handshakeError says which step of a handshake failed. A timeout and the end of
// the loop are told as those of a connect are.
func handshakeError(err error, protocols []string) error {
	var failed *tlsconn.Error
	if !errors.As(err, &failed) {
		return err
	}
	switch failed.Reason {
	case tlsconn.ReasonUntrusted:
		return fmt.Errorf("%w: %w", errUntrusted, err)
	case tlsconn.ReasonNoProtocol:
		return fmt.Errorf("%w: it was offered %s: %w", errNoProtocol, strings.Join(protocols, " and "), err)
	case "timeout":
		return err
	}
	return fmt.Errorf("%w: %w", errHandshake, err)
}
