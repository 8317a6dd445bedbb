package proxy

import (
	"net/netip"
	"slices"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/filter"
)

// Settings are what the clients of a listener are held to. They are immutable.
type Settings struct {
	Limits *Limits
	// Trusted are the addresses of proxies in front of this one, whose
	// X-Forwarded fields and request ids are believed.
	Trusted []netip.Prefix
	// CertificateHeader has backends told whose certificate a client has shown.
	CertificateHeader bool
	// HTTP3 says that the listener speaks HTTP/3 too.
	HTTP3 bool
	// RequestHeaders changes requests before they are routed, ResponseHeaders
	// every response; both may be nil.
	RequestHeaders, ResponseHeaders *filter.Headers
}

// NewSettings compiles what a ClientPolicy says; what it leaves open is taken
// from the defaults.
func NewSettings(c *config.ClientSettings, defaults *Settings) *Settings {
	s := &Settings{
		Limits:            defaults.Limits.with(c),
		Trusted:           defaults.Trusted,
		CertificateHeader: c.CertificateHeader,
		HTTP3:             c.HTTP3,
		RequestHeaders:    filter.CompileHeaders(c.RequestHeaders),
		ResponseHeaders:   filter.CompileHeaders(c.ResponseHeaders),
	}
	if len(c.TrustedProxies) > 0 {
		s.Trusted = c.TrustedProxies
	}
	return s
}

func (s *Settings) trusts(peer netip.Addr) bool {
	return slices.ContainsFunc(s.Trusted, func(p netip.Prefix) bool { return p.Contains(peer) })
}

// settings of a connection's client: those of the listener that the client asked
// for, or in clear text those that all listeners of its socket share. Before a
// handshake, and where the listener is gone, they are the defaults.
func (s *State) settings(c *connection) *Settings {
	if len(s.Settings) == 0 || s.Table == nil {
		return nil
	}
	if !c.socket.TLS {
		return s.Clear[c.socket.Bind]
	}
	if l := s.listenerOf(c); l != nil {
		return s.Settings[l.Name]
	}
	return nil
}

// listenerOf is the listener whose certificate a connection was shown, nil
// before that and where it is gone.
func (s *State) listenerOf(c *connection) *config.Listener {
	if c.secure == nil {
		return nil
	}
	socket := s.Table.Socket(c.socket.Bind)
	return socket.Listener(c.secure.ServerName())
}

// follow holds the client to the settings of a configuration from here on. A
// connection that outlives its listener keeps those that it had last.
func (c *connection) follow(s *State) {
	next := s.settings(c)
	if next == nil && c.last != nil {
		next = c.last.settings(c)
	}
	if next == nil {
		next = &c.worker.Defaults
	}
	if next != c.settings {
		c.settings, c.limits = next, next.Limits
		c.trusted = next.trusts(c.peer)
	}
}
