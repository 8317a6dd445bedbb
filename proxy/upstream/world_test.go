package upstream_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
	"github.com/sluicegateway/sluice/proxy/loop/portable"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// world is a loop with a pool in a network in memory and in fake time.
type world struct {
	t        testing.TB
	net      *slowNetwork
	loop     loop.Loop
	resolver *scriptedResolver
	log      *logRecorder
	backends *upstream.Backends
	pool     *upstream.Pool
}

// inWorld runs a test in a world of its own, with the default limits.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	inLimitedWorld(t, upstream.DefaultLimits, test)
}

func inLimitedWorld(t *testing.T, limits upstream.Limits, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t:        t,
			net:      &slowNetwork{Network: memnet.New(), delay: map[string]time.Duration{}},
			resolver: &scriptedResolver{answers: map[string]upstream.Answer{}, failures: map[string]error{}},
			log:      &logRecorder{},
		}
		w.loop = portable.New(1, portable.Options{Network: w.net})[0]
		w.backends = upstream.NewBackends(upstream.Options{
			Workers: 1, Resolver: w.resolver, Log: slog.New(w.log), Limits: limits, Own: own,
		})
		w.pool = w.backends.NewPool(w.loop)
		var running sync.WaitGroup
		running.Go(func() { w.loop.Run() })
		defer func() {
			w.backends.Close()
			w.loop.Stop()
			running.Wait()
		}()
		test(t, w)
	})
}

// own are the addresses of the proxy and its node, as an operator may write them.
var own = []netip.Addr{netip.MustParseAddr("10.9.9.9"), netip.MustParseAddr("::ffff:10.9.9.8"), netip.MustParseAddr("2001:db8::9"), netip.MustParseAddr("fd00::9%eth0")}

// do runs fn as a handler and waits for its end. fn must not end the test.
func (w *world) do(fn func()) {
	done := make(chan struct{})
	w.loop.Post(func() {
		w.loop.Go(func() {
			defer close(done)
			fn()
		})
	})
	<-done
}

// set puts a backend with these endpoints in force.
func (w *world) set(name string, endpoints ...config.Endpoint) *upstream.Backend {
	w.backends.Apply(&config.Delta{Backends: []*config.Backend{{
		Name: name, Protocol: config.AppHTTP, Endpoints: endpoints,
	}}})
	return w.backends.Backend(name)
}

// get takes a connection to b's next endpoint.
func (w *world) get(b *upstream.Backend) (c *upstream.Conn, reused bool, err error) {
	return w.getBefore(b, time.Time{})
}

func (w *world) getBefore(b *upstream.Backend, deadline time.Time) (c *upstream.Conn, reused bool, err error) {
	w.do(func() {
		var e *upstream.Endpoint
		if e, err = w.pool.Pick(b, nil); err == nil {
			c, reused, err = w.pool.Get(e, upstream.Want{Deadline: deadline})
		}
	})
	return c, reused, err
}

// mustGet is get where failing to connect is not what the test is about.
func (w *world) mustGet(b *upstream.Backend) (*upstream.Conn, bool) {
	w.t.Helper()
	c, reused, err := w.get(b)
	if err != nil {
		w.t.Fatal(err)
	}
	return c, reused
}

func (w *world) put(conns ...*upstream.Conn) {
	w.do(func() {
		for _, c := range conns {
			w.pool.Put(c)
		}
	})
	synctest.Wait()
}

func (w *world) discard(c *upstream.Conn) {
	w.do(func() { w.pool.Discard(c) })
}

// idle waits until nothing happens any more and counts the idle connections.
func (w *world) idle() (n int) {
	synctest.Wait()
	w.do(func() { n = w.pool.Idle() })
	return n
}

// origin accepts connections and keeps them.
type origin struct {
	net.Listener
	// serve, if set, has each connection on a goroutine of its own.
	serve func(net.Conn)
	mu    sync.Mutex
	conns []net.Conn
}

func (w *world) origin(address string) *origin {
	w.t.Helper()
	l, err := w.net.Listen(netip.MustParseAddrPort(address))
	return w.accept(l, err)
}

func (w *world) unixOrigin(path string) *origin {
	w.t.Helper()
	l, err := w.net.ListenUnix(path)
	return w.accept(l, err)
}

func (w *world) accept(l net.Listener, err error) *origin {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	o := &origin{Listener: l}
	go o.run()
	w.t.Cleanup(func() {
		l.Close()
		for _, c := range o.accepted() {
			c.Close()
		}
	})
	return o
}

func (o *origin) run() {
	for {
		c, err := o.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		o.conns = append(o.conns, c)
		o.mu.Unlock()
		if o.serve != nil {
			go o.serve(c)
		}
	}
}

// accepted are the connections so far.
func (o *origin) accepted() []net.Conn {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.conns
}

// open counts the connections that the proxy has not closed.
func (o *origin) open() (n int) {
	for _, c := range o.accepted() {
		c.SetReadDeadline(time.Now().Add(time.Nanosecond))
		if _, err := io.Copy(io.Discard, c); isTimeout(err) {
			n++
		}
	}
	return n
}

func isTimeout(err error) bool {
	timeout, ok := err.(interface{ Timeout() bool })
	return ok && timeout.Timeout()
}

// slowNetwork connects to some addresses late, or, with a negative delay, never.
type slowNetwork struct {
	*memnet.Network
	delay map[string]time.Duration
	// failure is what every Dial returns, if set.
	failure error

	mu     sync.Mutex
	dialed []string
}

// dials are the addresses that were dialled since the last call.
func (n *slowNetwork) dials() []string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.dialed
	n.dialed = nil
	return all
}

func (n *slowNetwork) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dialed = append(n.dialed, address)
	n.mu.Unlock()
	if n.failure != nil {
		return nil, n.failure
	}
	delay := n.delay[address]
	if delay < 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-time.After(delay):
		return n.Network.Dial(ctx, network, address)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var errNoServers = errors.New("no name server answers")

// scriptedResolver answers what the test says.
type scriptedResolver struct {
	mu       sync.Mutex
	answers  map[string]upstream.Answer
	failures map[string]error
	delay    time.Duration
	asked    []time.Time
}

func (r *scriptedResolver) Resolve(ctx context.Context, host string) (upstream.Answer, error) {
	r.mu.Lock()
	r.asked = append(r.asked, time.Now())
	delay := r.delay
	r.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return upstream.Answer{}, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answers[host], r.failures[host]
}

// answer makes host lead to addrs from now on.
func (r *scriptedResolver) answer(host string, ttl time.Duration, addrs ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	answer := upstream.Answer{TTL: ttl}
	for _, a := range addrs {
		answer.Addrs = append(answer.Addrs, netip.MustParseAddr(a))
	}
	r.answers[host] = answer
	delete(r.failures, host)
}

// fail makes host fail from now on.
func (r *scriptedResolver) fail(host string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.answers, host)
	r.failures[host] = err
}

func (r *scriptedResolver) times() []time.Time {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// logRecorder keeps messages.
type logRecorder struct {
	mu       sync.Mutex
	messages []string
}

func (l *logRecorder) Enabled(context.Context, slog.Level) bool { return true }
func (l *logRecorder) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logRecorder) WithGroup(string) slog.Handler            { return l }
func (l *logRecorder) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = append(l.messages, r.Level.String()+" "+r.Message)
	return nil
}

func (l *logRecorder) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.messages
}

// endpoint is a ready one at ip:port or host:port.
func endpoint(address string) config.Endpoint {
	e := config.Endpoint{Ready: true, Serving: true}
	if ap, err := netip.ParseAddrPort(address); err == nil {
		e.Address = ap
		return e
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		panic("endpoint is for ip:port and host:port: " + address)
	}
	e.Host = host
	for _, digit := range port {
		e.Port = e.Port*10 + uint16(digit-'0')
	}
	return e
}
