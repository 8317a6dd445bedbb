package proxy

import (
	"cmp"
	"log/slog"
	"net/netip"
	"time"

	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// stream is a request and its response on a connection that carries many. Its
// bytes are those of the body, and its Abort resets it alone.
type stream interface {
	loop.Conn
	// Request moves the request's head into r.
	Request(r *message.Request)
	// Aborted reports whether the client has given the request up.
	Aborted() bool
	// WriteResponse sends an interim or the final head; end says that neither
	// a body nor trailer fields follow.
	WriteResponse(r *message.Response, end bool) error
	// End ends the message that is being sent, with trailer fields if there are any.
	End(trailer *message.Header) error
	// Trailer has the fields behind the body that was read to its end, nil if none.
	Trailer() *message.Header
	// Next is a Read without a copy: the bytes are valid until the next call.
	Next() ([]byte, error)
	// Buffered reports whether Next would not wait.
	Buffered() bool
	// Ended reports whether Next has given out all of a body that has come to
	// its end.
	Ended() bool
}

// session is a connection that carries streams.
type session interface {
	// Drain takes no more of them.
	Drain()
}

// startStreams lets the connection carry streams of HTTP/2 from here on. early
// is what was read of it already.
func (c *connection) startStreams(early []byte) {
	c.session = mux.Serve(c.conn, early, &mux.ServerOptions{
		Limits:  &c.limits.HTTP2,
		Serve:   func(st *mux.Stream) { c.serveStream(st) },
		Refused: func(status int) { c.refused(http20, c.conn.RemoteAddr(), status) },
		Closed:  c.sessionClosed,
	})
	if c.draining {
		c.session.Drain()
	}
}

// cutLogPause is the least time between two lines of a worker's log about
// sessions that were cut: clients decide how many are.
const cutLogPause = 100 * time.Millisecond

// sessionClosed runs when the connection has ended, for a reason if it was cut.
func (c *connection) sessionClosed(reason string, err error) {
	w := c.worker
	count, name := w.Metrics.Session2, "HTTP/2"
	if c.quic != nil {
		count, name = w.Metrics.Session3, "HTTP/3"
	}
	count(cmp.Or(reason, "ok"))
	if now := w.Loop.Now(); reason != "" && now.Sub(w.cutLogged) >= cutLogPause {
		w.cutLogged = now
		w.Log.Debug("an "+name+" connection was cut", slog.String("client", c.client), slog.Any("address", c.socket.Bind), slog.String("reason", reason), slog.Any("error", err))
	}
	c.close()
}

// refused records a request that was malformed. The price of such requests bounds
// how many there are.
func (c *connection) refused(p *protocol, client netip.AddrPort, status int) {
	w := c.worker
	r := observe.Request{Start: time.Now(), Protocol: p.name, Client: client, Status: status, Failure: clientMalformed.reason}
	w.AccessLog.Log(w.ID, &r)
	w.Metrics.Route("").Count(w.ID, &r)
}

// serveStream starts the exchange of a stream.
func (c *connection) serveStream(st stream) {
	x := c.worker.takeExchange(&c.worker.streams)
	x.bind(c, st)
	x.stream, x.to.stream = st, st
	c.worker.Loop.Go(x.streamFunc)
}

// serveStream answers the request of a stream, as a handler of its own.
func (x *exchange) serveStream() {
	st, w, end := x.stream, x.Worker, fateClose
	defer func() { // also after a panic, whose exchange is not used again
		x.up.letGo(false)
		if end != fateTaken {
			st.Close()
		}
	}()
	x.log.Start = time.Now()
	st.Request(&x.req)
	x.note()
	x.reqBody.startStream(st, x.req.BodyLength == 0)
	x.aborted = st.Aborted() // while other handlers ran
	if x.memory() != MemoryPlenty {
		x.from.session.Drain()
	}
	end = x.handle()
	if !x.uploading { // else the loop stops, and the upload has not heard of it yet
		x.end()
		w.putExchange(&w.streams, x)
	}
}
