package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"syscall"

	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy"
	"github.com/sluicegateway/sluice/proxy/loop"
)

// socket is one address and port, bound by every worker.
type socket struct {
	bind netip.AddrPort
	// listeners are the names of those that want it.
	listeners map[string]bool
	front     atomic.Pointer[proxy.Socket] // what they say of it, all the same
	bound     []loop.Listener              // by worker; none while it is not served
	err       error                        // why it is not served
	quicErr   error                        // why it is not served in HTTP/3
	open      atomic.Int64                 // client connections
	room      atomic.Int64                 // for how many
	last      atomic.Pointer[proxy.State]  // in force when it closed, nil before
	metrics   *observe.Connections
}

// socket returns the socket of an address, which the next listen opens or
// closes as its listeners want.
func (e *Engine) socket(bind netip.AddrPort) *socket {
	s := e.sockets[bind]
	if s == nil {
		s = &socket{bind: bind, listeners: make(map[string]bool)}
		e.sockets[bind] = s
	}
	e.touched[s] = true
	return s
}

// leave closes the sockets that no listener wants any more. It comes before the
// swap: until a socket is closed, what comes in on it needs its listeners.
func (e *Engine) leave() {
	for s := range e.touched {
		e.report.Listeners = nil
		if len(s.listeners) == 0 {
			delete(e.sockets, s.bind)
			delete(e.touched, s)
			e.closeSocket(s)
		}
	}
}

// listen opens the sockets that listeners want, also those that failed before.
// A socket that stays is not touched.
func (e *Engine) listen() {
	for s := range e.touched {
		s.room.Store(e.room(s))
		if s.bound == nil {
			e.openSocket(s)
		}
		if s.bound != nil {
			if s.quicErr = e.listenQUIC(s); s.quicErr == nil {
				delete(e.touched, s)
			}
		}
	}
}

func (e *Engine) openSocket(s *socket) {
	s.metrics = e.shared.Metrics.Connections(s.bind.String())
	s.err = e.bind(s, s.bind)
	if wide := s.bind.Addr() == netip.IPv6Unspecified(); wide && errors.Is(s.err, syscall.EAFNOSUPPORT) {
		s.err = e.bind(s, netip.AddrPortFrom(netip.IPv4Unspecified(), s.bind.Port())) // a host without IPv6
	}
}

// bind makes every worker listen on addr, or none.
func (e *Engine) bind(s *socket, addr netip.AddrPort) error {
	var err error
	e.onEach(func(w *proxy.Worker) {
		if err != nil {
			return
		}
		var l loop.Listener
		if l, err = w.Loop.Listen(addr, func(c loop.Conn) { e.accept(s, w, c) }); err == nil {
			s.bound = append(s.bound, l)
		}
	})
	if err != nil {
		e.unbind(s)
		return fmt.Errorf("listening on %s: %w", addr, err)
	}
	return nil
}

func (e *Engine) unbind(s *socket) {
	for i, l := range s.bound {
		e.on(e.workers[i], func() { l.Close() })
	}
	s.bound = nil
}

// accept serves a new connection unless there are too many.
func (e *Engine) accept(s *socket, w *proxy.Worker, c loop.Conn) {
	if s.open.Add(1) > s.room.Load() {
		s.open.Add(-1)
		c.Abort()
		return
	}
	s.metrics.Opened(w.ID)
	w.Accept(s.front.Load(), c, s.last.Load(), func() {
		s.open.Add(-1)
		s.metrics.Closed(w.ID)
	})
}

// closeSocket stops listening; connections that came in on it end after the
// request that they carry.
func (e *Engine) closeSocket(s *socket) {
	s.last.Store(e.shared.State.Load()) // for those that are in the queue
	e.leaveQUIC(s)
	e.unbind(s)
	e.onEach(func(w *proxy.Worker) { w.DrainListener(s.bind) })
	e.shared.Metrics.RemoveConnections(s.bind.String())
}
