package swaptest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// The load: how many clients there are, and how long each waits between two
// requests or messages.
const (
	browsers    = 18 // keep their connection
	newcomers   = 2  // make a new connection for each request
	uploaders   = 4
	talkers     = 4 // have a WebSocket
	browseEvery = 50 * time.Millisecond
	talkEvery   = 20 * time.Millisecond
)

// Bodies, in bytes. Uploads and the slow download move on by a step with each change.
const (
	largeBody     = 256 << 10
	uploadStep    = 16 << 10
	uploadBody    = 6 * uploadStep
	downloadStep  = 64 << 10
	downloadAhead = 8 << 20 // more than sockets and buffers hold
)

// browsed are the paths that are asked for in turn.
var browsed = []string{"/", "/split", "/rolling", "/mounted", "/extra", "/tell", "/rule", "/pair"}

// load is traffic on the listener that stays. Until the gateway is asked to end,
// these are failures: a request without a response, a response that is not whole
// and right, and the end of a connection. From then on only connections may end,
// between two requests.
type load struct {
	t       *testing.T
	gateway *gateway
	site    *site
	counts  *tally
	probe   *probe
	// kept are the clients that must have had one connection.
	kept []*client
	// moves tells of the changes that were seen.
	moves *beat
	// signaled is when the gateway was asked to end, nil before.
	signaled                     atomic.Pointer[time.Time]
	browsing, streaming, talking sync.WaitGroup
}

func startLoad(t *testing.T, g *gateway, s *site, counts *tally, changes int) *load {
	l := &load{t: t, gateway: g, site: s, counts: counts, moves: newBeat()}
	l.probe = &probe{client: l.keeper("probe"), newcomer: newClient(t, "probe of a new listener", false), gateway: g, counts: counts}
	for range browsers {
		c := l.keeper("client that keeps its connection")
		l.browsing.Go(func() { l.browse(c) })
	}
	for range newcomers {
		c := newClient(t, "client without keep-alive", false)
		l.browsing.Go(func() { l.browse(c) })
	}
	for i := range uploaders {
		c, path := l.keeper("upload"), []string{"/split", "/rolling", "/mounted", ""}[i%4]+"/upload"
		l.streaming.Go(func() { l.upload(c, path) })
	}
	c := l.keeper("download")
	l.streaming.Go(func() { l.download(c, int64(changes)*downloadStep+downloadAhead) })
	for i := range talkers {
		c, path := l.keeper("WebSocket"), []string{"/split", "/rolling"}[i%2]+"/ws"
		l.talking.Go(func() { l.talk(c, path) })
	}
	l.startVisits()
	t.Cleanup(l.end)
	return l
}

func (l *load) keeper(who string) *client {
	c := newClient(l.t, who, true)
	l.kept = append(l.kept, c)
	return c
}

// end ends a load whose test gave up.
func (l *load) end() {
	l.gateway.process.Process.Kill()
	l.site.visitable.Store(false)
	l.signaled.CompareAndSwap(nil, new(time.Time))
	l.moves.stop()
	l.browsing.Wait()
	l.streaming.Wait()
	l.talking.Wait()
}

func (l *load) draining() bool { return l.signaled.Load() != nil }

// fail counts a failure and reports whether the client should end: it must, in
// a drain.
func (l *load) fail(c *client, err error) (end bool) {
	signaled := l.signaled.Load()
	switch {
	case signaled == nil:
		l.counts.fail(c.who, err)
		return false
	case !isRefused(err):
		l.counts.fail(c.who+" in the drain", err)
	case time.Since(*signaled) < drainMin:
		l.counts.fail(c.who+" before the minimum of the drain", err)
	}
	return true
}

// browse asks for one path after the other until nobody listens any more.
func (l *load) browse(c *client) {
	ticks := time.NewTicker(browseEvery)
	defer ticks.Stop()
	version := 0
	for i := 0; ; i++ {
		<-ticks.C
		l.counts.requests.Add(1)
		var err error
		path := browsed[i%len(browsed)]
		switch {
		case i%20 == 19:
			_, err = c.do(newRequest(http.MethodGet, l.gateway.address, fmt.Sprintf("/split/bytes?n=%d", largeBody), nil), largePattern())
		case path == "/":
			version, err = c.version(l.gateway.address, version)
		default:
			_, err = c.get(l.gateway.address, path)
		}
		if err != nil && l.fail(c, err) {
			return
		}
	}
}

var largePattern = sync.OnceValue(func() string {
	var text strings.Builder
	io.CopyN(&text, newPattern(), largeBody)
	return text.String()
})

// version is the value of the filter that all changes of it count up; it must
// not be less than before.
func (c *client) version(address string, before int) (int, error) {
	header, err := c.get(address, "/")
	if err != nil {
		return before, err
	}
	version, err := strconv.Atoi(header.Get("Version"))
	if err == nil && version < before {
		err = errors.New("an old version answers after a newer one")
	}
	return version, err
}

// upload sends one body after the other, each over several changes.
func (l *load) upload(c *client, path string) {
	for !l.draining() {
		l.counts.uploads.Add(1)
		if err := c.upload(l.gateway.address, path, l.moves); err != nil && l.fail(c, err) {
			return
		}
	}
}

// upload sends a chunked body that goes on by a step with each move.
func (c *client) upload(address, path string, moves *beat) error {
	body := &paced{moves: moves, step: uploadStep, from: io.LimitReader(newPattern(), uploadBody)}
	_, err := c.do(newRequest(http.MethodPost, address, path, body), describePattern(uploadBody))
	return err
}

// download reads one response from the first change to the drain.
func (l *load) download(c *client, size int64) {
	l.counts.requests.Add(1)
	response, err := c.http.Do(newRequest(http.MethodGet, l.gateway.address, fmt.Sprintf("/rolling/bytes?n=%d", size), nil))
	if err != nil {
		l.fail(c, err)
		return
	}
	defer response.Body.Close()
	if got := describe(&paced{moves: l.moves, step: downloadStep, from: response.Body}); got != describePattern(size) {
		l.fail(c, fmt.Errorf("status %d, %s; want %s", response.StatusCode, got, describePattern(size)))
	}
}

// talk exchanges numbered messages until the WebSocket is cut, which the limit
// of the drain does and nothing else.
func (l *load) talk(c *client, path string) {
	ctx := l.t.Context()
	conn, _, err := websocket.Dial(ctx, "ws://"+l.gateway.address+path, &websocket.DialOptions{HTTPClient: c.http})
	if err != nil {
		l.counts.fail(c.who, err)
		return
	}
	defer conn.CloseNow()
	ticks := time.NewTicker(talkEvery)
	defer ticks.Stop()
	for i := 0; err == nil; i++ {
		<-ticks.C
		l.counts.messages.Add(1)
		var answer []byte
		if err = conn.Write(ctx, websocket.MessageText, strconv.AppendInt(nil, int64(i), 10)); err == nil {
			_, answer, err = conn.Read(ctx)
		}
		if err == nil && string(answer) != strconv.Itoa(i) {
			l.counts.fail(c.who, fmt.Errorf("the answer to message %d is %q", i, answer))
		}
	}
	if signaled := l.signaled.Load(); signaled == nil || time.Since(*signaled) < drainLimit {
		l.counts.fail(c.who+" before the limit of the drain", err)
	}
}

// make makes a change, waits until a request sees it, and returns how long that took.
func (l *load) make(c change) time.Duration {
	l.t.Helper()
	start := time.Now()
	c.make(l.site)
	l.gateway.await("seen to have changed: "+c.name, func() bool { return c.seen(l.site, l.probe) })
	took := time.Since(start)
	l.site.settle()
	l.moves.next()
	return took
}

// drain asks the gateway to end, and holds that all that is under way ends well.
func (l *load) drain() {
	for _, c := range l.kept {
		if n := c.dials.Load(); n > 1 {
			l.counts.fail(c.who, fmt.Errorf("%d connections were cut", n-1))
		}
	}
	l.site.visitable.Store(false)
	now := time.Now()
	l.signaled.Store(&now)
	l.gateway.terminate()
	l.gateway.await("unready", func() bool { return !l.gateway.ready() })
	l.browsing.Wait()
	l.moves.stop()
	l.streaming.Wait()
	l.talking.Wait()
	l.gateway.wantSuccess()
}
