package proxy

import (
	"errors"
	"os"
	"time"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/mux"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// attempt is one try at sending a request to an endpoint: the connection, and
// the buffer of the response's head.
type attempt struct {
	x        *exchange
	conn     *upstream.Conn // nil without one
	reused   bool           // it had carried other requests before
	tried    []*upstream.Endpoint
	deadline time.Time // of this try, zero for none
	to       bodyWriter
	in       []byte
	w        int
	parser   http1.Parser
	sent     bool // the whole request, so that another one may follow
	answered bool // a byte of a response has come
	canceled bool
}

func (a *attempt) init(x *exchange) {
	a.x = x
	a.parser.Limits = x.Limits.Head
	a.to = bodyWriter{worker: x.Worker, idle: x.Limits.UpstreamIdle}
}

// clear forgets the try; its connection must have been let go.
func (a *attempt) clear() {
	a.conn, a.to.conn, a.to.stream, a.deadline, a.w = nil, nil, nil, time.Time{}, 0
	a.parser = http1.Parser{Limits: a.x.Limits.Head}
	a.sent, a.answered, a.canceled, a.reused = false, false, false, false
	a.to.release(headBuffer)
	if len(a.in) > headBuffer {
		a.in = make([]byte, headBuffer)
	}
}

// connect gets a connection to an endpoint of b; fresh wants a new one.
func (a *attempt) connect(b *upstream.Backend, fresh bool) failure {
	x := a.x
	a.deadline = x.deadline
	if t := x.match.Rule.Action.Timeouts.BackendRequest; t > 0 {
		a.deadline = earlier(x.Loop.Now().Add(t), x.deadline)
	}
	endpoint, err := x.Pool.Pick(b, a.tried)
	if err != nil {
		return noEndpoints
	}
	a.tried = append(a.tried, endpoint)
	x.log.Endpoint = endpoint.String()
	if want := x.want(a.deadline); fresh {
		a.conn, err = x.Pool.Dial(endpoint, want)
	} else {
		a.conn, a.reused, err = x.Pool.Get(endpoint, want)
	}
	switch {
	case err != nil:
		a.conn, x.log.Cause = nil, err.Error()
		return connectFailure(err)
	case x.aborted:
		return clientReset
	}
	x.log.Cause = ""
	a.to.conn, a.to.hard = a.conn, a.deadline
	x.respBody.hard = a.deadline
	return failure{}
}

// want is what the request asks of its connection.
func (x *exchange) want(deadline time.Time) upstream.Want {
	return upstream.Want{HTTP2: x.match.Rule.Action.GRPC, Identity: x.identity, WebSocket: x.req.Upgrade != "", Deadline: deadline}
}

// send writes the request's head, and its body as far as it is there. The rest
// of the body is an upload of its own, beside the wait for the response.
func (a *attempt) send() failure {
	x := a.x
	err := a.sendHead()
	if x.replayable {
		if err == nil {
			err = a.to.put(x.gathered)
		}
		if err == nil {
			err = a.to.finish(x.reqBody.trailer())
		}
		a.sent = err == nil
		return x.sendFailure(err)
	}
	if err == nil {
		err = a.to.flush()
	}
	if err != nil {
		return x.sendFailure(err)
	}
	x.startUpload()
	return failure{}
}

// sendHead sends the request's head, or has it gather with what follows it.
func (a *attempt) sendHead() error {
	req := &a.x.req
	req.Close = false // what the client asked for concerns its own connection
	if st := a.conn.Stream(); st != nil {
		a.to.stream, a.to.ended = st, req.BodyLength == 0
		a.to.limit()
		return st.WriteRequest(req, a.to.ended && req.Upgrade == "")
	}
	if req.Upgrade != "" {
		a.x.addWebSocketKey()
	}
	if a.in == nil {
		a.in, a.to.out = make([]byte, headBuffer), make([]byte, 0, headBuffer)
	}
	a.to.chunked = req.BodyLength == message.LengthUnknown
	a.to.out = http1.AppendRequest(a.to.out[:0], req)
	return nil
}

// receive reads the head of the final response; interim ones are passed on.
func (a *attempt) receive() failure {
	for interim := 0; ; interim++ {
		n, f := a.readHead()
		if !f.none() {
			return f
		}
		resp := &a.x.resp
		if resp.Status >= 200 || resp.Status == 101 {
			a.startBody(n)
			return failure{}
		}
		if interim == a.x.Limits.InterimResponses {
			return upstreamMalformed
		}
		a.x.passInterim()
		a.w = copy(a.in, a.in[n:a.w])
	}
}

// startBody begins the response's body, behind a head of n bytes.
func (a *attempt) startBody(n int) {
	resp, body := &a.x.resp, &a.x.respBody
	if st := a.conn.Stream(); st != nil {
		if mayHaveTrailer(resp, a.x.req.Method) && !(st.Ended() && st.Trailer() == nil) {
			resp.BodyLength = message.LengthUnknown // trailers may follow an empty body
		}
		body.startStream(st, resp.BodyLength == 0)
	} else {
		body.start(a.conn.Conn, resp.BodyLength, resp.UntilClose, a.in[n:a.w])
	}
}

// mayHaveTrailer reports whether the response has an empty body, and not none.
func mayHaveTrailer(r *message.Response, method string) bool {
	return r.BodyLength == 0 && method != "HEAD" && r.Status >= 200 && r.Status != 204 && r.Status != 304
}

// readHead waits for one whole head and reads it into the exchange's response.
// One of HTTP/1.1 has n bytes at the start of the buffer.
func (a *attempt) readHead() (n int, f failure) {
	x := a.x
	if st := a.conn.Stream(); st != nil {
		return 0, a.readStreamHead(st)
	}
	for {
		if a.w > 0 {
			x.resp.Reset()
			n, err := a.parser.Response(a.in[:a.w], &x.resp, x.req.Method)
			if err != nil {
				return 0, upstreamMalformed
			}
			if n > 0 {
				return n, failure{}
			}
			if a.w == len(a.in) {
				a.grow()
			}
		}
		a.expectResponse()
		n, err := a.conn.Read(a.in[a.w:])
		a.w += n
		a.answered = a.answered || n > 0
		if n == 0 && err != nil && !a.waitsOn(err) {
			return 0, x.receiveFailure(err)
		}
	}
}

func (a *attempt) readStreamHead(st *mux.Stream) failure {
	x := a.x
	for {
		x.resp.Reset()
		a.expectResponse()
		err := st.ReadResponse(&x.resp)
		if err == nil {
			a.answered = true
			return failure{}
		}
		if !a.waitsOn(err) {
			return x.receiveFailure(err)
		}
	}
}

// waitsOn reports whether the wait for the response goes on after an error: a
// backend that was silent may be waiting for the body.
func (a *attempt) waitsOn(err error) bool {
	if !a.x.awaitsContinue() || !errors.Is(err, os.ErrDeadlineExceeded) || a.overdue() {
		return false
	}
	a.x.letContinue()
	return true
}

// expectResponse bounds the wait for the response. It begins when the request
// has been sent; before that, the upload has bounds of its own.
func (a *attempt) expectResponse() {
	x := a.x
	deadline := a.deadline
	switch {
	case a.conn == nil:
		return
	case x.awaitsContinue():
		deadline = earlier(x.Loop.Now().Add(x.Limits.ContinueWait), deadline)
	case !x.uploading:
		deadline = earlier(x.Loop.Now().Add(x.Limits.UpstreamIdle), deadline)
	}
	a.conn.SetReadDeadline(deadline)
}

// overdue reports whether the time of the try is over.
func (a *attempt) overdue() bool {
	return !a.deadline.IsZero() && !a.x.Loop.Now().Before(a.deadline)
}

func (a *attempt) grow() {
	bigger := a.x.Limits.largerHead(len(a.in))
	copy(bigger, a.in[:a.w])
	a.in = bigger
}

// refused reports whether the backend has surely not looked at the request.
func (a *attempt) refused() bool {
	return a.conn != nil && a.conn.Stream() != nil && a.conn.Stream().Refused()
}

// cancel ends a try that waits.
func (a *attempt) cancel() {
	a.canceled = true
	if a.conn != nil {
		a.conn.Abort()
	}
}

// letGo ends the use of the connection; it is kept if reuse.
func (a *attempt) letGo(reuse bool) {
	if a.conn == nil {
		return
	}
	if reuse && !a.canceled {
		a.x.Pool.Put(a.conn)
	} else {
		a.x.Pool.Discard(a.conn)
	}
	a.conn, a.to.conn, a.to.stream = nil, nil, nil
}
