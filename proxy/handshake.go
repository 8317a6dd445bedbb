package proxy

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/route"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// handshakes are those that a worker has under way.
type handshakes struct {
	underWay list.List // of *handshake, the oldest first
	logged   time.Time
}

// handshake is one of them.
type handshake struct {
	*connection
	evicted bool
}

// handshakeLogPause is the least time between two lines of a worker's log about
// handshakes: clients decide how many fail.
const handshakeLogPause = 100 * time.Millisecond

// awaitHello lets the connection idle until its handshake begins.
func (c *connection) awaitHello() {
	c.idle = true
	c.limitIdle()
	c.conn.Notify(c.onHello)
}

// onHello starts the handshake. Where there are too many, the oldest makes room.
func (c *connection) onHello(err error) {
	c.idle = false
	w := c.worker
	switch {
	case err != nil:
		c.close()
		return
	case w.memory() == MemoryFull:
		w.Metrics.Handshake(memoryFull.reason)
		c.close()
		return
	}
	h := &handshake{connection: c}
	place := w.handshakes.underWay.PushBack(h)
	if w.handshakes.underWay.Len() > w.Limits.Handshakes {
		w.evictHandshake()
	}
	w.Loop.Go(func() {
		end := fateClose
		defer func() { // also after a panic
			w.handshakes.underWay.Remove(place)
			c.meet(end)
		}()
		end = h.shake()
	})
}

func (w *Worker) evictHandshake() {
	oldest := w.handshakes.underWay.Front()
	w.handshakes.underWay.Remove(oldest)
	h := oldest.Value.(*handshake)
	h.evicted = true
	w.tls.Abandon(h.conn)
}

// shake puts TLS on the connection, which then waits for requests.
func (h *handshake) shake() fate {
	c, w := h.connection, h.worker
	secure, err := w.tls.Handshake(c.conn, w.Loop.Now().Add(w.Limits.HandshakeTime), c.profile)
	var failed *tlsconn.Error
	switch {
	case err == nil:
		w.Metrics.Handshake("ok")
		c.conn.SetWriteDeadline(time.Time{})
		c.conn, c.secure = secure, secure.Peer()
		c.follow(w.State.Load())
		c.recheck(w.State.Load()) // it may be another one than the handshake's
		if secure.Protocol() == "h2" {
			c.startStreams(nil)
			return fateTaken
		}
		return fateKeep
	case errors.Is(err, loop.ErrStopped) || !errors.As(err, &failed):
		return fateClose
	case h.evicted:
		failed.Reason = "evicted"
	}
	w.Metrics.Handshake(failed.Reason)
	w.logHandshake(c, failed)
	if failed.ClearText() {
		io.WriteString(c.conn, clearTextAnswer)
	}
	return fateLinger
}

// clearTextAnswer tells who speaks HTTP where HTTPS is spoken.
var clearTextAnswer = func() string {
	const text = "400 Bad Request: an HTTP request was sent to an HTTPS port\n"
	return fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
}()

func (w *Worker) logHandshake(c *connection, e *tlsconn.Error) {
	now := w.Loop.Now()
	if now.Sub(w.handshakes.logged) < handshakeLogPause {
		return
	}
	w.handshakes.logged = now
	w.Log.Debug("a TLS handshake failed", slog.String("client", c.client), slog.Any("address", c.socket.Bind),
		slog.String("server_name", e.ServerName), slog.String("reason", e.Reason), slog.Any("error", e.Err))
}

// profile is that of the listener that takes a server name.
func (c *connection) profile(name string) *tlsconn.Profile {
	for _, state := range []*State{c.worker.State.Load(), c.last} {
		if state == nil {
			continue
		}
		socket := state.Table.Socket(c.socket.Bind)
		if l := socket.Listener(name); l != nil {
			return state.TLS[l.Name]
		}
	}
	return nil
}

// misdirects reports whether a request for the host, which listener l takes, came
// on a connection that does not lead to it: one in clear text, one whose client
// asked for another server name and was shown another listener's certificate
// (RFC 9110 section 15.5.20; Gateway API, Listener.hostname), or one whose client
// has not proved what the listener wants of clients now.
func (c *connection) misdirects(s *State, socket *route.Socket[*Action], l *config.Listener, host string) bool {
	if c.secure == nil || l.Protocol != config.ProtocolHTTPS {
		return c.secure != nil || l.Protocol == config.ProtocolHTTPS
	}
	name := c.secure.ServerName()
	return name != host && socket.Listener(name) != l || !s.TLS[l.Name].Admits(c.secure)
}
