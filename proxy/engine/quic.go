package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluicegateway/sluice/proxy"
	"github.com/sluicegateway/sluice/proxy/http3"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// quicSocket is the UDP side of a socket, for HTTP/3. It outlives its socket
// until the last of its connections has ended: they all need it.
type quicSocket struct {
	engine   *Engine
	bind     netip.AddrPort
	listener *http3.Listener
	socket   atomic.Pointer[socket] // whose connections come in
	limits   atomic.Pointer[http3.Limits]
	open     atomic.Int64
	wanted   bool // belongs to engine.mu
	next     atomic.Uint64
	logged   atomic.Int64 // when a failed handshake was logged last, in nanoseconds
}

// quic is what the engine has of QUIC: nothing, until a listener asks for it.
type quic struct {
	off      bool // there is no network of the machine's
	sockets  map[netip.AddrPort]*quicSocket
	tellOnce sync.Once
}

// listenQUIC opens the UDP side of a socket that wants one, and closes it otherwise.
func (e *Engine) listenQUIC(s *socket) error {
	limits := e.quicLimits(s)
	q := e.quic.sockets[s.bind]
	switch {
	case limits == nil:
		e.leaveQUIC(s)
		return nil
	case e.quic.off:
		return nil
	case q != nil:
		q.limits.Store(limits)
		q.socket.Store(s)
		if q.wanted {
			return nil
		}
		err := q.listener.Resume()
		q.wanted = err == nil
		return err
	}
	q = &quicSocket{engine: e, bind: s.bind, wanted: true}
	q.limits.Store(limits)
	q.socket.Store(s)
	if err := q.listen(); err != nil {
		return fmt.Errorf("listening on %s for HTTP/3: %w", s.bind, err)
	}
	if e.quic.sockets == nil {
		e.quic.sockets = make(map[netip.AddrPort]*quicSocket)
	}
	e.quic.sockets[s.bind] = q
	e.tellBuffer(q.listener.ReadBuffer())
	return nil
}

// quicLimits are the widest of the listeners that speak HTTP/3, nil if none does:
// a client is told them before it is known which listener it asks for. What its
// own listener says of requests it is held to all the same.
func (e *Engine) quicLimits(s *socket) *http3.Limits {
	var widest *http3.Limits
	for name := range s.listeners {
		if !e.speaksQUIC(name) {
			continue
		}
		own := &e.listeners[name].settings.Limits.HTTP3
		if widest == nil {
			copied := *own
			widest = &copied
		}
		widest.Streams = max(widest.Streams, own.Streams)
		widest.KeepAlive = max(widest.KeepAlive, own.KeepAlive)
		widest.Handshake = max(widest.Handshake, own.Handshake)
	}
	return widest
}

// speaksQUIC reports whether a listener asks for HTTP/3 and can speak it.
func (e *Engine) speaksQUIC(name string) bool {
	l := e.listeners[name]
	return l != nil && l.settings != nil && l.settings.HTTP3 && l.profile.SpeaksQUIC()
}

func (q *quicSocket) listen() (err error) {
	e := q.engine
	o := &http3.ListenOptions{
		TLS:        tlsconn.QUIC(q.profile),
		Limits:     q.limits.Load,
		Handshakes: int64(e.shared.Limits.Handshakes * len(e.workers)),
		Busy:       q.busy,
		Accept:     q.accept,
		Failed:     q.failed,
	}
	q.listener, err = http3.Listen(q.bind, o)
	if wide := q.bind.Addr() == netip.IPv6Unspecified(); wide && errors.Is(err, syscall.EAFNOSUPPORT) {
		q.listener, err = http3.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), q.bind.Port()), o) // a host without IPv6
	}
	return err
}

// tellBuffer says once where the system grants too little.
func (e *Engine) tellBuffer(size int) {
	if size == 0 || size >= http3.Buffers {
		return
	}
	e.quic.tellOnce.Do(func() {
		e.shared.Log.Warn("the receive buffer for HTTP/3 is small, which loses packets under load; set net.core.rmem_max and net.core.wmem_max of the host to the wanted size",
			"bytes", size, "wanted", http3.Buffers)
	})
}

// profile is that of the listener that takes a server name, if it speaks HTTP/3.
func (q *quicSocket) profile(name string) *tlsconn.Profile {
	state := q.engine.shared.State.Load()
	socket := state.Table.Socket(q.bind)
	l := socket.Listener(name)
	if l == nil {
		return nil
	}
	if settings := state.Settings[l.Name]; settings == nil || !settings.HTTP3 {
		return nil
	}
	return state.TLS[l.Name]
}

// busy reports whether no more connections are let in.
func (q *quicSocket) busy() bool {
	s := q.socket.Load()
	return s.open.Load() >= s.room.Load() || proxy.Memory(q.engine.shared.Memory.Load()) == proxy.MemoryFull
}

// accept gives a connection to the next worker, unless there are too many.
func (q *quicSocket) accept(c *http3.Conn) {
	s, workers := q.socket.Load(), q.engine.workers
	q.open.Add(1)
	if s.open.Add(1) > s.room.Load() {
		c.Refuse()
		q.closed(s)
		return
	}
	w := workers[q.next.Add(1)%uint64(len(workers))]
	posted := w.Loop.Post(func() {
		s.metrics.Opened(w.ID)
		w.AcceptHTTP3(s.front.Load(), c, s.last.Load(), func() {
			s.metrics.Closed(w.ID)
			q.closed(s)
		})
	})
	if !posted { // the engine ends
		c.Refuse()
		q.closed(s)
	}
}

// closed counts the end of a connection. The last one of a UDP socket that nobody
// wants any more ends that too.
func (q *quicSocket) closed(s *socket) {
	s.open.Add(-1)
	if q.open.Add(-1) == 0 {
		go q.endUnwanted()
	}
}

func (q *quicSocket) endUnwanted() {
	e := q.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if !q.wanted && q.open.Load() == 0 && e.quic.sockets[q.bind] == q {
		delete(e.quic.sockets, q.bind)
		q.close()
	}
}

func (q *quicSocket) close() {
	if err := q.listener.Close(); err != nil {
		q.engine.shared.Log.Warn("a socket for HTTP/3 did not close", "address", q.bind, "error", err)
	}
}

// handshakeLogPause is the least time between two lines of the log about
// handshakes: clients decide how many fail.
const handshakeLogPause = 100 * time.Millisecond

func (q *quicSocket) failed(reason string, remote net.Addr, err error) {
	shared := &q.engine.shared
	shared.Metrics.Handshake(reason)
	now, last := time.Now().UnixNano(), q.logged.Load()
	if now-last >= int64(handshakeLogPause) && q.logged.CompareAndSwap(last, now) {
		shared.Log.Debug("a handshake of HTTP/3 failed", "client", remote, "address", q.bind, "reason", reason, "error", err)
	}
}

// leaveQUIC takes no more connections of HTTP/3 on a socket. Those that there are
// end after the requests that they carry.
func (e *Engine) leaveQUIC(s *socket) {
	q := e.quic.sockets[s.bind]
	if q == nil || !q.wanted {
		return
	}
	q.wanted = false
	q.listener.Pause()
	e.onEach(func(w *proxy.Worker) { w.DrainHTTP3(s.bind) })
	go q.endUnwanted() // if there are none
}

// closeQUIC cuts all that is left of QUIC.
func (e *Engine) closeQUIC() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for bind, q := range e.quic.sockets {
		delete(e.quic.sockets, bind)
		q.close()
	}
}
