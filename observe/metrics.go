package observe

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds on what the metrics remember, so that neither a large configuration
// nor a client can make them grow without end.
const (
	// MaxRoutes is how many routes have series of their own; the requests of
	// further ones count for the route "other".
	MaxRoutes = 500
	// MaxAddresses is the same for the addresses that connections come in at.
	MaxAddresses = 200
	// maxFailures is the same for reasons of failures.
	maxFailures = 64
)

// buckets are the upper bounds of the duration histogram. They are few, because
// each is a series for each route.
var buckets = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond,
	500 * time.Millisecond, 2500 * time.Millisecond, 10 * time.Second,
}

// Metrics counts what the data plane does. Handles are resolved when a
// configuration is compiled, so that counting on the request path touches only
// memory of the worker at hand. It is a prometheus.Collector.
type Metrics struct {
	workers int
	log     *AccessLog

	mu       sync.Mutex // guards the maps, never held on the request path
	routes   map[string]*Route
	sockets  map[string]*Connections
	failures map[string]uint64
	// handshakes counts by result, and so do sessions of HTTP/2 and HTTP/3.
	handshakes           map[string]uint64
	sessions2, sessions3 map[string]uint64

	noRoute, otherRoutes *Route
	otherSockets         *Connections
	configVersion        atomic.Uint64
	configApplied        atomic.Int64 // Unix nanoseconds
	applied              atomic.Uint64
	errors, warnings     atomic.Int64
}

// NewMetrics makes metrics for workers 0 to workers-1. The log, which may be
// nil, is where the count of dropped records comes from.
func NewMetrics(workers int, log *AccessLog) *Metrics {
	m := &Metrics{
		workers:    workers,
		log:        log,
		routes:     map[string]*Route{},
		sockets:    map[string]*Connections{},
		failures:   map[string]uint64{},
		handshakes: map[string]uint64{},
		sessions2:  map[string]uint64{},
		sessions3:  map[string]uint64{},
	}
	m.noRoute = m.newRoute()
	m.otherRoutes = m.newRoute()
	m.otherSockets = &Connections{shards: make([]connectionShard, workers)}
	return m
}

// Route is the handle that requests of one route are counted by.
type Route struct {
	metrics *Metrics
	shards  []routeShard
}

// routeShard is one worker's part. Only that worker writes it; atomics are for
// the reader of /metrics.
type routeShard struct {
	classes       [6]atomic.Uint64 // by hundreds of the status; 0 is no response
	durations     [len(buckets) + 1]atomic.Uint64
	nanoseconds   atomic.Uint64
	requestBytes  atomic.Uint64
	responseBytes atomic.Uint64
	_             [64]byte // workers on different processors share no cache line
}

func (m *Metrics) newRoute() *Route {
	return &Route{metrics: m, shards: make([]routeShard, m.workers)}
}

// Route returns the handle of the named route; "" is for requests without one.
// The same name has the same handle until RemoveRoute.
func (m *Metrics) Route(name string) *Route {
	if name == "" {
		return m.noRoute
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.routes[name]; ok {
		return r
	}
	if len(m.routes) >= MaxRoutes {
		return m.otherRoutes
	}
	r := m.newRoute()
	m.routes[strings.Clone(name)] = r
	return r
}

// RemoveRoute ends the series of the named route. Requests in flight may still
// count by its handle; nobody sees that.
func (m *Metrics) RemoveRoute(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.routes, name)
}

// Count counts a finished request that worker served. A tunnel's duration is
// not counted: it says how long somebody stayed, not how fast the gateway was.
func (r *Route) Count(worker int, req *Request) {
	s := &r.shards[worker]
	class := req.Status / 100
	if class < 0 || class > 5 {
		class = 0
	}
	s.classes[class].Add(1)
	s.requestBytes.Add(uint64(req.RequestBytes))
	s.responseBytes.Add(uint64(req.ResponseBytes))
	if !req.Upgrade {
		s.durations[bucketOf(req.Duration)].Add(1)
		s.nanoseconds.Add(uint64(max(0, req.Duration)))
	}
	if req.Failure != "" {
		r.metrics.countFailure(req.Failure)
	}
}

func bucketOf(d time.Duration) int {
	for i, bound := range buckets {
		if d <= bound {
			return i
		}
	}
	return len(buckets)
}

// countFailure takes a lock: failures are rare, and their words are not known beforehand.
func (m *Metrics) countFailure(reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.failures[reason]; !known {
		if len(m.failures) >= maxFailures {
			reason = "other"
		}
		reason = strings.Clone(reason)
	}
	m.failures[reason]++
}

// Handshake counts a TLS handshake by its result: "ok", or why it failed. The
// words are few and fixed. It takes a lock: a handshake costs far more.
func (m *Metrics) Handshake(result string) { m.count(m.handshakes, result) }

// Session2 counts a client's connection of HTTP/2 that has ended: "ok", or why
// it was cut. The words are few and fixed.
func (m *Metrics) Session2(result string) { m.count(m.sessions2, result) }

// Session3 counts one of HTTP/3 likewise.
func (m *Metrics) Session3(result string) { m.count(m.sessions3, result) }

func (m *Metrics) count(results map[string]uint64, result string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	results[result]++
}

// Connections is the handle that client connections at one address are counted by.
type Connections struct {
	shards []connectionShard
}

type connectionShard struct {
	opened, closed atomic.Uint64
	_              [64]byte
}

// Connections returns the handle of a bound address, such as "0.0.0.0:80".
// Connections are counted by address because listeners may share one: only a
// request tells which of them it is for.
func (m *Metrics) Connections(address string) *Connections {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.sockets[address]; ok {
		return c
	}
	if len(m.sockets) >= MaxAddresses {
		return m.otherSockets
	}
	c := &Connections{shards: make([]connectionShard, m.workers)}
	m.sockets[strings.Clone(address)] = c
	return c
}

// RemoveConnections ends the series of an address that is no longer bound.
func (m *Metrics) RemoveConnections(address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sockets, address)
}

// Opened counts a connection that worker accepted.
func (c *Connections) Opened(worker int) { c.shards[worker].opened.Add(1) }

// Closed counts the end of a connection that Opened counted.
func (c *Connections) Closed(worker int) { c.shards[worker].closed.Add(1) }

// ConfigApplied records that the configuration of this version is in force since now.
func (m *Metrics) ConfigApplied(version uint64, now time.Time) {
	m.configVersion.Store(version)
	m.configApplied.Store(now.UnixNano())
	m.applied.Add(1)
}

// Findings sets how many errors and warnings about the configuration are in force.
func (m *Metrics) Findings(errors, warnings int) {
	m.errors.Store(int64(errors))
	m.warnings.Store(int64(warnings))
}
