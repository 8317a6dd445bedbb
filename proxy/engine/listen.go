package engine

import (
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy"
	"github.com/sluicegateway/sluice/proxy/loop"
)

// socket is one address and port, bound by every worker.
type socket struct {
	listeners []loop.Listener // by worker
	open      atomic.Int64    // client connections
	closing   atomic.Bool
	metrics   *observe.Connections
	err       error // why it is not served
}

// binds are the addresses that a listener wants.
func binds(l *config.Listener) []netip.AddrPort {
	if len(l.Addresses) == 0 {
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), l.Port)}
	}
	all := make([]netip.AddrPort, len(l.Addresses))
	for i, a := range l.Addresses {
		all[i] = netip.AddrPortFrom(a.Unmap(), l.Port)
	}
	return all
}

// listen opens the sockets that listeners want, also those that failed before,
// and closes the ones that none wants any more. A socket that stays is not touched.
func (e *Engine) listen() {
	wanted := make(map[netip.AddrPort]bool)
	for _, l := range e.listeners {
		for _, bind := range binds(l) {
			wanted[bind] = true
		}
	}
	for bind, s := range e.sockets {
		if !wanted[bind] {
			e.closeSocket(bind, s)
		}
	}
	for bind := range wanted {
		if s := e.sockets[bind]; s == nil || s.err != nil {
			e.sockets[bind] = e.openSocket(bind)
		}
	}
}

func (e *Engine) openSocket(bind netip.AddrPort) *socket {
	s := &socket{metrics: e.shared.Metrics.Connections(bind.String())}
	e.onEach(func(w *proxy.Worker) {
		if s.err != nil {
			return
		}
		l, err := w.Loop.Listen(bind, func(c loop.Conn) { e.accept(s, bind, w, c) })
		if err != nil {
			s.err = fmt.Errorf("listening on %s: %w", bind, err)
			return
		}
		s.listeners = append(s.listeners, l)
	})
	if s.err != nil {
		e.closeListeners(s)
	}
	return s
}

// accept serves a new connection unless there are too many.
func (e *Engine) accept(s *socket, bind netip.AddrPort, w *proxy.Worker, c loop.Conn) {
	if s.open.Add(1) > e.shared.Limits.Connections {
		s.open.Add(-1)
		c.Abort()
		return
	}
	s.metrics.Opened(w.ID)
	w.Accept(bind, c, s.closing.Load(), func() {
		s.open.Add(-1)
		s.metrics.Closed(w.ID)
	})
}

// closeSocket stops listening; connections that came in on it end after the
// request that they carry.
func (e *Engine) closeSocket(bind netip.AddrPort, s *socket) {
	delete(e.sockets, bind)
	s.closing.Store(true) // for those that are in the queue
	e.closeListeners(s)
	e.onEach(func(w *proxy.Worker) { w.DrainListener(bind) })
	e.shared.Metrics.RemoveConnections(bind.String())
}

func (e *Engine) closeListeners(s *socket) {
	for i, l := range s.listeners {
		e.on(e.workers[i], func() { l.Close() })
	}
	s.listeners = nil
}
