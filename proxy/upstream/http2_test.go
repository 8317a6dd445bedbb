package upstream_test

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/mux"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// httpOrigin is a server of net/http, and the connections that it has accepted.
type httpOrigin struct {
	*http.Server
	listener *recorder
}

// recorder keeps the connections that a listener accepts.
type recorder struct {
	net.Listener
	mu    sync.Mutex
	conns []*recorded
}

type recorded struct {
	net.Conn
	mu     sync.Mutex
	closed bool
}

func (c *recorded) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	return c.Conn.Close()
}

func (l *recorder) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	r := &recorded{Conn: c}
	l.mu.Lock()
	l.conns = append(l.conns, r)
	l.mu.Unlock()
	return r, nil
}

// http2 serves HTTP/2: in clear text, or beside HTTP/1.1 in TLS.
func (w *world) http2(address string, settings *tls.Config, change func(*http.Server)) *httpOrigin {
	w.t.Helper()
	l, err := w.net.Listen(netip.MustParseAddrPort(address))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.http2On(l, settings, change)
}

func (w *world) http2On(l net.Listener, settings *tls.Config, change func(*http.Server)) *httpOrigin {
	o := &httpOrigin{listener: &recorder{Listener: l}, Server: &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }),
		TLSConfig: settings, Protocols: new(http.Protocols), HTTP2: new(http.HTTP2Config),
	}}
	o.Protocols.SetUnencryptedHTTP2(settings == nil)
	o.Protocols.SetHTTP2(settings != nil)
	o.Protocols.SetHTTP1(settings != nil)
	if change != nil {
		change(o.Server)
	}
	if settings == nil {
		go o.Serve(o.listener)
	} else {
		go o.ServeTLS(o.listener, "", "")
	}
	w.t.Cleanup(func() { o.Close() })
	return o
}

// connections counts those accepted so far, and those that are still open.
func (o *httpOrigin) connections() (all, open int) {
	synctest.Wait()
	o.listener.mu.Lock()
	defer o.listener.mu.Unlock()
	for _, c := range o.listener.conns {
		c.mu.Lock()
		if !c.closed {
			open++
		}
		c.mu.Unlock()
	}
	return len(o.listener.conns), open
}

// setH2C puts a backend in force that speaks HTTP/2 in clear text.
func (w *world) setH2C(endpoints ...config.Endpoint) *upstream.Backend {
	return w.apply(&config.Backend{Name: "web", Protocol: config.AppH2C, Endpoints: endpoints})
}

// got is what became of a request for a connection.
type got struct {
	conn   *upstream.Conn
	reused bool
	err    error
}

// start asks for n connections to b's next endpoints at once. The result is
// there when nothing happens any more.
func (w *world) start(b *upstream.Backend, want upstream.Want, n int) []got {
	all := make([]got, n)
	w.loop.Post(func() {
		for i := range all {
			w.loop.Go(func() {
				g := &all[i]
				var e *upstream.Endpoint
				if e, g.err = w.pool.Pick(b, nil); g.err == nil {
					g.conn, g.reused, g.err = w.pool.Get(e, want)
				}
			})
		}
	})
	return all
}

// burst is start, and its end.
func (w *world) burst(b *upstream.Backend, want upstream.Want, n int) []*upstream.Conn {
	w.t.Helper()
	all := w.start(b, want, n)
	w.settle()
	conns := make([]*upstream.Conn, n)
	for i, g := range all {
		if g.err != nil || g.conn == nil {
			w.t.Fatalf("%d: no connection, %v", i, g.err)
		}
		conns[i] = g.conn
	}
	return conns
}

// settle waits until nothing happens any more, on the loop either.
func (w *world) settle() {
	synctest.Wait()
	w.do(func() {})
	synctest.Wait()
}

// ask sends a request on a stream and reads the response.
func (w *world) ask(c *upstream.Conn) (body string, err error) {
	w.do(func() { body, err = roundTrip(c.Stream(), "/") })
	return body, err
}

func roundTrip(s *mux.Stream, path string) (string, error) {
	req := &message.Request{Method: "GET", Scheme: "http", Authority: "shop.example", Path: path, Major: 2}
	if err := s.WriteRequest(req, true); err != nil {
		return "", err
	}
	s.SetReadDeadline(s.Loop().Now().Add(time.Minute))
	var resp message.Response
	if err := s.ReadResponse(&resp); err != nil {
		return "", err
	}
	body, err := io.ReadAll(s)
	if err == nil && resp.Status != 200 {
		err = fmt.Errorf("status %d", resp.Status)
	}
	return string(body), err
}

var errNoStream = errors.New("the connection is no stream")

// fetch is a whole request, sent again where the peer has refused it, as the
// exchange does.
func (w *world) fetch(b *upstream.Backend) (body string, err error) {
	for range 4 {
		e, err := w.pool.Pick(b, nil)
		if err != nil {
			return "", err
		}
		c, _, err := w.pool.Get(e, upstream.Want{})
		if err != nil {
			return "", err
		}
		s := c.Stream()
		if s == nil {
			w.pool.Discard(c)
			return "", errNoStream
		}
		body, err = roundTrip(s, "/")
		refused := s.Refused()
		w.pool.Put(c)
		if err == nil || !refused {
			return body, err
		}
	}
	return "", errors.New("refused again and again")
}

// fetchAll does n of them at once.
func (w *world) fetchAll(b *upstream.Backend, n int) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	all.Add(n)
	w.loop.Post(func() {
		for i := range errs {
			w.loop.Go(func() {
				defer all.Done()
				_, errs[i] = w.fetch(b)
			})
		}
	})
	all.Wait()
	return cmp.Or(slices.DeleteFunc(append(errs, nil), func(err error) bool { return err == nil })...)
}
