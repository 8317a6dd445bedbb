package engine

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// place is what only one listener may have: a hostname on an address.
type place struct {
	bind     netip.AddrPort
	hostname string
}

// listener is a listener of the configuration.
type listener struct {
	config *config.Listener
	// refused says why it serves nothing: another one has its place.
	refused error
	// profile is how an HTTPS listener speaks TLS.
	profile *tlsconn.Profile
	// identity is what its backends are shown, nil for none.
	identity *tls.Certificate
	// settings are those of its clients, nil for the defaults.
	settings *proxy.Settings
}

// placeOf is one place for all the ways to write an address.
func placeOf(bind netip.AddrPort, hostname string) place {
	addr := bind.Addr().WithZone("")
	if addr.IsUnspecified() {
		addr = netip.IPv6Unspecified()
	}
	return place{netip.AddrPortFrom(addr, bind.Port()), hostname}
}

// admit brings the set of listeners up to date and returns the delta with those
// that may serve. Control gives no place to two listeners; should it do so, one
// of them is refused, and everything else is served.
func (e *Engine) admit(d *config.Delta) *config.Delta {
	candidates, changed := e.release(d)
	if !changed {
		return d
	}
	e.report.Listeners = nil
	admitted := *d
	admitted.Listeners, admitted.Removed = nil, slices.Clone(d.Removed)
	settings := make(map[*config.ClientSettings]*proxy.Settings) // thousands of listeners may share them
	for _, l := range candidates {
		if l.refused = e.take(l, settings); l.refused == nil {
			admitted.Listeners = append(admitted.Listeners, l.config)
		} else {
			e.shared.Log.Error("a listener is not served", "listener", l.config.Name, "error", l.refused)
			admitted.Removed = append(admitted.Removed, config.Ref{Kind: config.KindListener, Name: l.config.Name})
		}
		e.listeners[l.config.Name] = l
	}
	return &admitted
}

// release gives up the places of listeners that are removed or set, and returns
// those that ask for a place: the ones that are set and, where anything has
// changed, those that were refused before. It reports whether there is a change.
func (e *Engine) release(d *config.Delta) (candidates []*listener, changed bool) {
	served := make(map[string]bool) // before
	remove := func(name string) {
		if l := e.listeners[name]; l != nil {
			served[name] = l.refused == nil
			e.giveUp(l)
			delete(e.listeners, name)
			changed = true
		}
	}
	if d.Reset {
		for name := range e.listeners {
			remove(name)
		}
	}
	for _, ref := range d.Removed {
		if ref.Kind == config.KindListener {
			remove(ref.Name)
		}
	}
	for _, l := range d.Listeners {
		remove(l.Name)
		candidates, changed = append(candidates, &listener{config: l}), true
	}
	if changed {
		candidates = append(candidates, e.refused()...)
	}
	sortServedFirst(candidates, served)
	return candidates, changed
}

// refused are the listeners without their places, which may be free now.
func (e *Engine) refused() (all []*listener) {
	for _, l := range e.listeners {
		if l.refused != nil {
			all = append(all, l)
		}
	}
	return all
}

func sortServedFirst(listeners []*listener, served map[string]bool) {
	slices.SortFunc(listeners, func(a, b *listener) int {
		switch {
		case served[a.config.Name] == served[b.config.Name]:
			return cmp.Compare(a.config.Name, b.config.Name)
		case served[a.config.Name]:
			return -1
		}
		return 1
	})
}

// take gives a listener its places and its share of sockets, or says who has them.
func (e *Engine) take(candidate *listener, settings map[*config.ClientSettings]*proxy.Settings) error {
	var errs []error
	l := candidate.config
	for _, bind := range l.Binds() {
		if other, taken := e.places[placeOf(bind, l.Hostname)]; taken && other != l.Name {
			errs = append(errs, fmt.Errorf("listener %q serves hostname %q on %s already; give one of them another hostname, address or port", other, l.Hostname, bind))
		}
		errs = append(errs, e.agrees(bind, l))
	}
	var err error
	candidate.profile, err = e.keyring.profile(l)
	errs = append(errs, err)
	candidate.identity, err = e.keyring.identity(l)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if l.Client != nil {
		if settings[l.Client] == nil {
			settings[l.Client] = proxy.NewSettings(l.Client, &e.shared.Defaults)
		}
		candidate.settings = settings[l.Client]
	}
	for _, bind := range l.Binds() {
		e.places[placeOf(bind, l.Hostname)] = l.Name
		s := e.socket(bind)
		s.listeners[l.Name] = true
		s.front.Store(frontOf(bind, l))
	}
	return nil
}

// frontOf is what a listener says of its socket at bind.
func frontOf(bind netip.AddrPort, l *config.Listener) *proxy.Socket {
	return &proxy.Socket{Bind: bind, Port: l.Port, TLS: l.Protocol == config.ProtocolHTTPS}
}

// agrees returns an error if other listeners say of their socket, which a
// connection to bind may come in on or which may take those of bind, what a
// connection cannot bear out for both: another port of the clients, or another
// protocol.
func (e *Engine) agrees(bind netip.AddrPort, l *config.Listener) error {
	want := frontOf(bind, l)
	for s := range e.overlapping(bind) {
		front := s.front.Load()
		switch {
		case len(s.listeners) == 0:
		case front.TLS != want.TLS:
			return fmt.Errorf("%s has listeners of another protocol than %s already; give one of them another port", s.bind, l.Protocol)
		case s.bind == bind && front.Port != want.Port:
			return fmt.Errorf("%s serves port %d already and cannot serve port %d too; give one of them another port to bind", bind, front.Port, want.Port)
		}
	}
	return nil
}

// overlapping are the sockets that share addresses with bind.
func (e *Engine) overlapping(bind netip.AddrPort) iter.Seq[*socket] {
	return func(yield func(*socket) bool) {
		if bind.Addr().IsUnspecified() {
			for other, s := range e.sockets {
				if other.Port() == bind.Port() && !yield(s) {
					return
				}
			}
			return
		}
		for _, addr := range []netip.Addr{bind.Addr(), netip.IPv6Unspecified(), netip.IPv4Unspecified()} {
			if s := e.sockets[netip.AddrPortFrom(addr, bind.Port())]; s != nil && !yield(s) {
				return
			}
		}
	}
}

// giveUp takes back what take gave.
func (e *Engine) giveUp(l *listener) {
	if l.refused != nil {
		return
	}
	for _, bind := range l.config.Binds() {
		delete(e.places, placeOf(bind, l.config.Hostname))
		delete(e.socket(bind).listeners, l.config.Name)
	}
}
