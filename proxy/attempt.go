package proxy

import (
	"errors"
	"os"
	"time"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/message"
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
	a.conn, a.to.conn, a.deadline, a.w = nil, nil, time.Time{}, 0
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
	if fresh {
		a.conn, err = x.Pool.Dial(endpoint, upstream.Want{Deadline: a.deadline})
	} else {
		a.conn, a.reused, err = x.Pool.Get(endpoint, upstream.Want{Deadline: a.deadline})
	}
	switch {
	case err != nil:
		a.conn = nil
		return connectFailure(err)
	case x.aborted:
		return clientReset
	}
	a.to.conn, a.to.hard = a.conn, a.deadline
	x.respBody.hard = a.deadline
	return failure{}
}

// send writes the request's head, and its body as far as it is there. The rest
// of the body is an upload of its own, beside the wait for the response.
func (a *attempt) send() failure {
	x := a.x
	x.req.Close = false // what the client asked for concerns its own connection
	a.to.chunked = x.req.BodyLength == message.LengthUnknown
	if a.in == nil {
		a.in, a.to.out = make([]byte, headBuffer), make([]byte, 0, headBuffer)
	}
	a.to.out = http1.AppendRequest(a.to.out[:0], &x.req)
	if x.replayable {
		err := a.to.put(x.gathered)
		if err == nil {
			err = a.to.finish(x.reqBody.trailer())
		}
		a.sent = err == nil
		return x.sendFailure(err)
	}
	if err := a.to.flush(); err != nil {
		return x.sendFailure(err)
	}
	x.startUpload()
	return failure{}
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
			a.x.respBody.start(a.conn.Conn, resp.BodyLength, resp.UntilClose, a.in[n:a.w])
			return failure{}
		}
		if interim == a.x.Limits.InterimResponses {
			return upstreamMalformed
		}
		a.x.passInterim()
		a.w = copy(a.in, a.in[n:a.w])
	}
}

// readHead waits for one whole head and parses it into the exchange's response.
func (a *attempt) readHead() (n int, f failure) {
	x := a.x
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
		switch {
		case n > 0 || err == nil:
		case x.awaitsContinue() && errors.Is(err, os.ErrDeadlineExceeded) && !a.overdue():
			x.letContinue()
		default:
			return 0, x.receiveFailure(err)
		}
	}
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
	a.conn, a.to.conn = nil, nil
}
