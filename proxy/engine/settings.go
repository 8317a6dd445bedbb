package engine

import (
	"crypto/tls"
	"net/netip"

	"github.com/sluicegateway/sluice/proxy"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// describe is what states say of the listeners that are served.
func (e *Engine) describe() proxy.State {
	s := proxy.State{
		TLS:        make(map[string]*tlsconn.Profile, len(e.listeners)),
		Identities: make(map[string]*tls.Certificate),
		Settings:   make(map[string]*proxy.Settings),
		Clear:      make(map[netip.AddrPort]*proxy.Settings),
	}
	for name, l := range e.listeners {
		if l.refused != nil {
			continue
		}
		if l.profile != nil {
			s.TLS[name] = l.profile
		}
		if l.identity != nil {
			s.Identities[name] = l.identity
		}
		if l.settings == nil {
			continue
		}
		s.Settings[name] = l.settings
		if l.profile == nil {
			for _, bind := range l.config.Binds() {
				s.Clear[bind] = l.settings
			}
		}
	}
	return s
}

// room is how many connections a socket may have: what the listeners that share
// it say, and the least of it where they do not agree.
func (e *Engine) room(s *socket) int64 {
	least, own := e.shared.Limits.Connections, false
	for name := range s.listeners {
		if l := e.listeners[name]; l != nil && l.settings != nil && (!own || l.settings.Limits.Connections < least) {
			least, own = l.settings.Limits.Connections, true
		}
	}
	return least
}

// recheck drains connections of clients that their listeners do not let in any
// more. Only where a listener asks for certificates are there any.
func (e *Engine) recheck() {
	for _, p := range e.listening.TLS {
		if p.Asks() {
			e.onEach(func(w *proxy.Worker) { w.RecheckClients() })
			return
		}
	}
}
