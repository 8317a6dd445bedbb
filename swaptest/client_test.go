package swaptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// client is one client, with at most one connection at a time. Its transport
// asks again, on another connection, where one that was idle turned out to be
// closed: no request fails by that, but it counts as a dial.
type client struct {
	who   string // for failures
	http  *http.Client
	dials atomic.Int64
}

func newClient(t *testing.T, who string, keepAlive bool) *client {
	c := &client{who: who}
	transport := &http.Transport{
		DisableKeepAlives:  !keepAlive,
		DisableCompression: true,
		MaxConnsPerHost:    1,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c.dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	c.http = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	return c
}

// do sends a request and holds its response to be a whole and a good one.
func (c *client) do(r *http.Request, want string) (http.Header, error) {
	response, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the body: %w", err)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s %s: status %d", r.Method, r.URL.Path, response.StatusCode)
	case string(body) != want:
		return nil, fmt.Errorf("%s %s: the body is %.60q, want %.60q", r.Method, r.URL.Path, body, want)
	}
	return response.Header, nil
}

// get asks for a path at an address, which must answer with the greeting.
func (c *client) get(address, path string) (http.Header, error) {
	return c.do(newRequest(http.MethodGet, address, path, nil), greeting)
}

func newRequest(method, address, path string, body io.Reader) *http.Request {
	r, err := http.NewRequest(method, "http://"+address+path, body)
	if err != nil {
		panic(err) // all addresses and paths are this test's own
	}
	return r
}

// isRefused reports whether nobody listens any more: the connection was refused,
// or it was reset before it was one.
func isRefused(err error) bool {
	op := (*net.OpError)(nil)
	return errors.Is(err, syscall.ECONNREFUSED) ||
		errors.As(err, &op) && op.Op == "dial" && errors.Is(err, syscall.ECONNRESET)
}

// isTurnedAway reports whether the connection was reset without a byte of response.
func isTurnedAway(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) && errors.As(err, new(*url.Error))
}

// probe is the client that finds out whether a change is in force. Its own
// requests must not fail either.
type probe struct {
	*client
	newcomer *client // has a new connection each time
	gateway  *gateway
	counts   *tally
}

// header is a field of the response to a path.
func (p *probe) header(path, name string) string { return p.headerAt(p.gateway.address, path, name) }

// headerAt is a field of the response of a host to a path.
func (p *probe) headerAt(host, path, name string) string {
	r := newRequest(http.MethodGet, p.gateway.address, path, nil)
	r.Host = host
	p.counts.requests.Add(1)
	header, err := p.do(r, greeting)
	if err != nil {
		p.counts.fail(p.who, err)
	}
	return header.Get(name)
}

// answered reports whether the visited listener is there.
func (p *probe) answered() bool {
	p.counts.requests.Add(1)
	_, err := p.newcomer.get(p.gateway.visited, "/")
	if err != nil && !isRefused(err) {
		p.counts.fail(p.newcomer.who, err)
	}
	return err == nil
}

// dialPatience is less than the second after which a client tells a socket that
// is closing once more that it wants a connection.
const dialPatience = 50 * time.Millisecond

// refused reports whether the visited listener is gone.
func (p *probe) refused() bool {
	c, err := net.DialTimeout("tcp", p.gateway.visited, dialPatience)
	if err == nil {
		c.Close()
	}
	return isRefused(err)
}
