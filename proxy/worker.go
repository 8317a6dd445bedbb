// Package proxy is the life of a connection, of a request and of a tunnel: it
// reads requests, routes them, runs their filters, sends them to backends and
// brings the responses back. What it serves comes from package config, compiled
// by package engine.
package proxy

import (
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/route"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// Name is what Sluice calls itself in Via fields.
const Name = "sluice"

// Shared is what the workers of a process have in common. Only State and
// Memory change after the first worker has started.
type Shared struct {
	// State is the configuration in force; a connection looks at it anew for
	// each request.
	State atomic.Pointer[State]
	// Memory holds a Memory.
	Memory    atomic.Int32
	Limits    Limits
	AccessLog *observe.AccessLog
	Metrics   *observe.Metrics
	Log       *slog.Logger
	// Defaults are what clients are held to where no ClientPolicy says otherwise.
	Defaults Settings
}

// State is one configuration, compiled. It is immutable.
type State struct {
	Version uint64
	Table   *route.Table[*Action]
	// TLS is how the HTTPS listeners speak it, by their names.
	TLS map[string]*tlsconn.Profile
	// Identities are what backends are shown for requests of a listener, by the
	// names of those that have one.
	Identities map[string]*tls.Certificate
	// Settings has those of the listeners with settings of their own, by their
	// names, and Clear those that listeners in clear text share, by the address
	// of their socket.
	Settings map[string]*Settings
	Clear    map[netip.AddrPort]*Settings
}

// Worker serves connections on one loop. Its methods belong to that loop.
type Worker struct {
	*Shared
	// ID counts from 0.
	ID   int
	Loop loop.Loop
	Pool *upstream.Pool

	connections map[*connection]struct{}
	tls         *tlsconn.Server
	handshakes  handshakes
	cutLogged   time.Time // when the log was told of an HTTP/2 connection that was cut
	draining    bool
	mirrors     int         // copies of requests that are under way
	exchanges   []*exchange // of HTTP/1.1, with the buffers that it takes
	streams     []*exchange // without
	large       [][]byte
	scratch     [4 << 10]byte // for bytes that nobody reads
	random      *rand.ChaCha8
	date        httpDate
}

// NewWorker makes worker id of those that share s.
func NewWorker(id int, s *Shared, l loop.Loop, p *upstream.Pool) *Worker {
	return &Worker{
		Shared:      s,
		ID:          id,
		Loop:        l,
		Pool:        p,
		connections: make(map[*connection]struct{}),
		tls:         tlsconn.NewServer(l),
		random:      rand.NewChaCha8(newSeed()),
	}
}

// Buffers that wait to be used again, and their sizes in bytes.
const (
	spareExchanges = 256
	spareLarge     = 32
	largeBuffer    = 64 << 10
)

func (w *Worker) takeExchange(from *[]*exchange) *exchange {
	spare := *from
	if n := len(spare); n > 0 {
		x := spare[n-1]
		*from = spare[:n-1]
		return x
	}
	return newExchange(w)
}

func (w *Worker) putExchange(to *[]*exchange, x *exchange) {
	x.reset()
	if len(*to) < spareExchanges {
		*to = append(*to, x)
	}
}

func (w *Worker) takeLarge() []byte {
	if n := len(w.large); n > 0 {
		b := w.large[n-1]
		w.large = w.large[:n-1]
		return b
	}
	return make([]byte, largeBuffer)
}

func (w *Worker) putLarge(b []byte) {
	if len(w.large) < spareLarge {
		w.large = append(w.large, b)
	}
}

// Drain lets no connection serve another request: those in flight end with
// Connection: close, idle ones close soon (Limits.LingerTime).
func (w *Worker) Drain() {
	w.draining = true
	for c := range w.connections {
		c.drain()
	}
	w.Pool.Drain()
}

// DrainListener does what Drain does for the connections accepted on bind. It is
// called while the configuration that has listeners for them is in force.
func (w *Worker) DrainListener(bind netip.AddrPort) {
	for c := range w.connections {
		if c.socket.Bind == bind {
			c.last = w.State.Load()
			c.drain()
		}
	}
}

// Active returns the number of client connections.
func (w *Worker) Active() int { return len(w.connections) }

// httpDate is the value of a Date field, made once a second (RFC 9110 section 5.6.7).
type httpDate struct {
	second int64
	text   string
}

func (d *httpDate) at(now time.Time) string {
	if s := now.Unix(); s != d.second {
		d.second = s
		d.text = now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	}
	return d.text
}
