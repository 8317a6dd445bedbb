package route

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"

	"github.com/sluicegateway/sluice/config"
)

// Apply returns the table that the delta leads to; the present one stays as it
// is. The cost follows the delta, not the table: routes that do not change
// keep their rules, with their Actions, and a route that is set anew with an
// equal configuration has not changed. compile makes the Action of each rule of
// the others.
//
// It fails, and nothing is applied, if two listeners of the result would take
// the same requests. A route that is attached to a listener that does not exist
// waits for it. A regular expression that does not compile hurts only its rule,
// which gets a Fault.
func (t *Table[A]) Apply(d *config.Delta, compile func(*config.Route, *config.Rule) A) (*Table[A], error) {
	if t == nil {
		t = new(Table[A])
	}
	c := &change[A]{
		before:    t,
		routes:    t.routes.edit(),
		gone:      make(map[*compiled[A]]bool),
		listeners: make(map[string]*listenerChange[A]),
	}
	c.remove(d)
	for _, l := range d.Listeners {
		c.listener(l.Name).config = l
	}
	for _, r := range d.Routes {
		c.setRoute(r, compile)
	}
	return c.finish()
}

// change collects what a delta touches before any of it is built.
type change[A any] struct {
	before *Table[A]
	routes *edit[string, *compiled[A]]
	// gone are the routes of before that are removed or replaced.
	gone      map[*compiled[A]]bool
	listeners map[string]*listenerChange[A]
}

// listenerChange is a listener with the hostnames at which routes change.
type listenerChange[A any] struct {
	config *config.Listener
	hosts  map[string]hostChange[A]
}

// hostChange has every bucket from which candidates go or to which the listed
// ones come.
type hostChange[A any] map[bucket][]*candidate[A]

// bucket holds the candidates of one path or service. Those that are scanned
// share one, without a path.
type bucket struct {
	kind kind
	path string
}

func (c *candidate[A]) bucket() bucket {
	if c.kind == scanned {
		return bucket{kind: scanned}
	}
	return bucket{c.kind, c.path}
}

func (c *change[A]) listener(name string) *listenerChange[A] {
	l := c.listeners[name]
	if l == nil {
		l = &listenerChange[A]{hosts: make(map[string]hostChange[A])}
		if before, ok := c.before.listeners.get(name); ok {
			l.config = before.config
		}
		c.listeners[name] = l
	}
	return l
}

func (c *change[A]) remove(d *config.Delta) {
	for _, ref := range d.Removed {
		c.removeOne(ref)
	}
	if !d.Reset {
		return
	}
	kept := make(map[config.Ref]bool, len(d.Listeners)+len(d.Routes))
	for _, l := range d.Listeners {
		kept[config.Ref{Kind: config.KindListener, Name: l.Name}] = true
	}
	for _, r := range d.Routes {
		kept[config.Ref{Kind: config.KindRoute, Name: r.Name}] = true
	}
	for name := range c.before.listeners.all() {
		if ref := (config.Ref{Kind: config.KindListener, Name: name}); !kept[ref] {
			c.removeOne(ref)
		}
	}
	for name := range c.before.routes.all() {
		if ref := (config.Ref{Kind: config.KindRoute, Name: name}); !kept[ref] {
			c.removeOne(ref)
		}
	}
}

func (c *change[A]) removeOne(ref config.Ref) {
	switch ref.Kind {
	case config.KindListener:
		c.listener(ref.Name).config = nil
	case config.KindRoute:
		if old, ok := c.routes.get(ref.Name); ok {
			c.detach(old)
			c.routes.delete(ref.Name)
		}
	}
}

func (c *change[A]) setRoute(r *config.Route, compile func(*config.Route, *config.Rule) A) {
	old, ok := c.routes.get(r.Name)
	if ok && (old.config == r || reflect.DeepEqual(old.config, r)) {
		return
	}
	if ok {
		c.detach(old)
	}
	route := compileRoute(r, compile)
	c.routes.set(r.Name, route)
	c.place(route, func(hosts hostChange[A], b bucket, candidate *candidate[A]) {
		hosts[b] = append(hosts[b], candidate)
	})
}

func (c *change[A]) detach(old *compiled[A]) {
	c.gone[old] = true
	c.place(old, func(hosts hostChange[A], b bucket, _ *candidate[A]) {
		if _, touched := hosts[b]; !touched {
			hosts[b] = nil
		}
	})
}

// place calls put with every bucket in which a candidate of the route stands.
func (c *change[A]) place(r *compiled[A], put func(hostChange[A], bucket, *candidate[A])) {
	for _, attachment := range r.config.Attachments {
		l := c.listener(attachment.Listener)
		for _, hostname := range attachment.Hostnames {
			hosts := l.hosts[hostname]
			if hosts == nil {
				hosts = make(hostChange[A])
				l.hosts[hostname] = hosts
			}
			for _, candidate := range r.candidates {
				put(hosts, candidate.bucket(), candidate)
			}
		}
	}
}

// finish builds what was touched.
func (c *change[A]) finish() (*Table[A], error) {
	listeners := c.before.listeners.edit()
	sockets := socketEdits[A]{c.before.sockets.edit(), make(map[netip.AddrPort]*edit[string, *listener[A]])}
	// Hostnames may change hands within one delta: all are given up before any is taken.
	for name := range c.listeners {
		if old, ok := listeners.get(name); ok {
			sockets.unbind(old)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.listeners)) {
		l := c.build(name)
		if l == nil {
			listeners.delete(name)
			continue
		}
		listeners.set(name, l)
		if err := sockets.bind(l); err != nil {
			return nil, err
		}
	}
	return &Table[A]{c.routes.sharded, listeners.sharded, sockets.finish()}, nil
}

// build makes a touched listener, or nil if neither it nor any route on it is left.
func (c *change[A]) build(name string) *listener[A] {
	var hosts sharded[string, *host[A]]
	if old, ok := c.before.listeners.get(name); ok {
		hosts = old.hosts
	}
	touched := c.listeners[name]
	e := hosts.edit()
	for hostname, changed := range touched.hosts {
		before, ok := e.get(hostKey(hostname))
		if !ok {
			before = &host[A]{hostname: hostname}
		}
		if h := before.with(changed, c.gone); h != nil {
			e.set(hostKey(hostname), h)
		} else {
			e.delete(hostKey(hostname))
		}
	}
	if touched.config == nil && e.len == 0 {
		return nil
	}
	return &listener[A]{touched.config, e.sharded}
}

// socketEdits are the sockets in the making.
type socketEdits[A any] struct {
	*edit[netip.AddrPort, sharded[string, *listener[A]]]
	// open are the sockets that change.
	open map[netip.AddrPort]*edit[string, *listener[A]]
}

func (s *socketEdits[A]) socket(bind netip.AddrPort) *edit[string, *listener[A]] {
	e := s.open[bind]
	if e == nil {
		before, _ := s.get(bind)
		e = before.edit()
		s.open[bind] = e
	}
	return e
}

func (s *socketEdits[A]) unbind(l *listener[A]) {
	if l.config == nil {
		return
	}
	for _, bind := range binds(l.config) {
		s.socket(bind).delete(hostKey(l.config.Hostname))
	}
}

func (s *socketEdits[A]) bind(l *listener[A]) error {
	if l.config == nil {
		return nil
	}
	for _, bind := range binds(l.config) {
		socket := s.socket(bind)
		if other, ok := socket.get(hostKey(l.config.Hostname)); ok && other.config.Name != l.config.Name {
			return fmt.Errorf("listeners %q and %q would both serve hostname %q on %v; give one of them another hostname or port",
				other.config.Name, l.config.Name, l.config.Hostname, bind)
		}
		socket.set(hostKey(l.config.Hostname), l)
	}
	return nil
}

func (s *socketEdits[A]) finish() sharded[netip.AddrPort, sharded[string, *listener[A]]] {
	for bind, e := range s.open {
		if e.len == 0 {
			s.delete(bind)
		} else {
			s.set(bind, e.sharded)
		}
	}
	return s.sharded
}
