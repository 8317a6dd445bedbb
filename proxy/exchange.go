package proxy

import (
	"crypto/tls"
	"time"

	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/filter"
	"github.com/sluicegateway/sluice/proxy/grpc"
	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/route"
)

// exchange is one request and its response, with all the memory that they need.
// Exchanges are pooled; one serves the requests of a connection that follow
// each other without a pause.
type exchange struct {
	*Worker
	from     *connection
	settings *Settings // what its client was held to when the request began
	client   loop.Conn // what the request came on: the connection, or stream
	stream   stream    // nil for HTTP/1.1

	// Of HTTP/1.1 only.
	in     []byte // in[r:w] was read from the client and not parsed yet
	r, w   int
	parser http1.Parser

	req      message.Request
	reqBody  body
	gathered []byte // of the body, before it was sent
	kept     []byte // the memory of gathered, where that is not the head's
	// replayable says that gathered is the whole body: it may be sent again.
	replayable bool

	uploading     bool
	uploadStopped bool
	uploadErr     failure     // of the client's side of an upload
	uploadDone    loop.Waiter // for the end of an upload
	mayContinue   loop.Waiter // for the upload's beginning
	continued     bool        // the client has its 100 (Continue)

	match    route.Match[*Action]
	web      *grpc.Web        // the request came in gRPC-Web, and is one in gRPC now
	identity *tls.Certificate // of the listener, for backends that ask for one
	filters  filter.Exchange

	resp     message.Response
	respBody body
	to       bodyWriter // the client
	up       attempt

	deadline   time.Time // of the whole exchange, zero for none
	started    bool      // a byte of the final response has been sent
	closing    bool      // the connection ends after this response
	aborted    bool      // the client is gone
	log        observe.Request
	id         [32]byte
	port       [5]byte
	onAbort    func()
	uploadFunc func()
	streamFunc func()
}

// Sizes of buffers in bytes: for heads, before they grow, and for what goes to
// the client, which is small bodies too.
const (
	headBuffer = 4 << 10
	outBuffer  = 8 << 10
)

func newExchange(w *Worker) *exchange {
	x := &exchange{Worker: w, uploadDone: w.Loop.NewWaiter(), mayContinue: w.Loop.NewWaiter()}
	x.reqBody = body{worker: w}
	x.respBody = body{worker: w, idle: w.Limits.UpstreamIdle}
	x.to = bodyWriter{worker: w}
	x.up.init(x)
	x.onAbort, x.uploadFunc, x.streamFunc = x.clientGone, x.upload, x.serveStream
	return x
}

// begin binds the exchange to a connection of HTTP/1.1.
func (x *exchange) begin(c *connection) {
	x.bind(c, c.conn)
	x.parser = http1.Parser{Limits: c.limits.Head}
	x.r, x.w = 0, 0
	if x.in == nil {
		x.in, x.to.out = make([]byte, headBuffer), make([]byte, 0, outBuffer)
	}
}

func (x *exchange) bind(c *connection, client loop.Conn) {
	x.from, x.settings, x.client, x.to.conn = c, c.settings, client, client
	x.reqBody.idle, x.to.idle = c.limits.BodyIdle, c.limits.BodyIdle
}

// end unbinds it.
func (x *exchange) end() {
	x.from, x.settings, x.client, x.stream = nil, nil, nil, nil
	x.to.conn, x.to.stream = nil, nil
}

// reset readies the exchange for the pool.
func (x *exchange) reset() {
	x.clear()
	if len(x.in) > headBuffer {
		x.in = make([]byte, headBuffer)
	}
}

// clear forgets the request that was served.
func (x *exchange) clear() {
	x.reqBody.release()
	x.respBody.release()
	x.up.clear()
	clear(x.up.tried)
	x.up.tried = x.up.tried[:0]
	if cap(x.kept) == largeBuffer {
		x.putLarge(x.kept[:largeBuffer])
	}
	x.kept, x.gathered = nil, nil
	x.parser = http1.Parser{Limits: x.parser.Limits}
	x.req.Reset()
	x.resp.Reset()
	x.filters.Reset()
	x.match, x.identity, x.web = route.Match[*Action]{}, nil, nil
	x.to.release(outBuffer)
	x.deadline, x.log, x.uploadErr = time.Time{}, observe.Request{}, failure{}
	x.replayable, x.uploading, x.uploadStopped, x.continued = false, false, false, false
	x.started, x.closing, x.aborted = false, false, false
}

// pipelined reports whether bytes of another request are there already.
func (x *exchange) pipelined() bool { return x.w > x.r }

// serveOne serves one request.
func (x *exchange) serveOne() fate {
	if end, ok := x.readRequest(); !ok {
		return end
	}
	end := x.handle()
	if x.uploading { // the loop stops, and the upload has not heard of it yet
		return fateClose
	}
	x.keepPipelined()
	x.clear()
	return end
}

// handle answers the request whose head is there, and says what becomes of the
// client's connection.
func (x *exchange) handle() fate {
	x.client.OnAbort(x.onAbort)
	if !x.aborted {
		x.answer()
	}
	x.client.OnAbort(nil)
	end := x.settle()
	if end != fateTaken {
		x.record()
	}
	return end
}

// answer finds the rule and does what it says.
func (x *exchange) answer() {
	if x.memory() == MemoryFull {
		x.fail(memoryFull)
		return
	}
	x.from.follow(x.State.Load())
	x.settings = x.from.settings
	x.identify()
	x.settings.RequestHeaders.Request(&x.req)
	if x.endsHere() {
		return
	}
	if f := x.findRule(); !f.none() {
		x.fail(f)
		return
	}
	action := x.match.Rule.Action
	x.converse()
	if t := x.patience(action); t > 0 {
		x.deadline = x.Loop.Now().Add(t)
		x.reqBody.hard, x.to.hard, x.respBody.hard = x.deadline, x.deadline, x.deadline
	}
	if action.Fault != nil {
		x.fail(ruleInvalid.as(action.Fault.Status))
		return
	}
	x.filters.Begin(&x.req, x.req.Scheme, x.match.Listener.Port, x.match.Prefix)
	if resp := action.Filters.Request(&x.filters); resp != nil {
		x.answerWith(resp)
		return
	}
	x.forward(action)
}

// findRule looks for the rule in the configuration that is in force now. When its
// listener is gone, the one that there was has the answer to a last request.
func (x *exchange) findRule() failure {
	state := x.State.Load()
	socket := state.Table.Socket(x.from.socket.Bind)
	found := socket.Match(&x.req, &x.match)
	if last := x.from.last; last != nil && x.match.Listener == nil {
		state, socket = last, last.Table.Socket(x.from.socket.Bind)
		found = socket.Match(&x.req, &x.match)
	}
	l := x.match.Listener
	if l == nil {
		return noRoute
	}
	x.log.Listener, x.identity = l.Name, state.Identities[l.Name]
	if x.from.misdirects(state, &socket, l, x.req.Host()) {
		x.match.Rule = nil
		return misdirected
	}
	if !found {
		return noRoute
	}
	rule := x.match.Rule
	x.log.Route, x.log.Rule, x.log.RuleName = rule.Route.Name, rule.Index, rule.Rule.Name
	return failure{}
}

// settle says what becomes of the client's connection.
func (x *exchange) settle() fate {
	switch {
	case x.aborted:
		return fateClose
	case x.log.Upgrade:
		return fateTaken
	case x.closing, !x.reqBody.complete():
		return fateLinger
	}
	return fateKeep
}

// clientGone runs when the client has reset the connection.
func (x *exchange) clientGone() {
	x.aborted = true
	x.up.cancel()
}

// record writes the access log and counts.
func (x *exchange) record() {
	x.log.Duration = time.Since(x.log.Start)
	x.log.RequestBytes, x.log.ResponseBytes = x.reqBody.taken, x.to.sent
	if x.aborted && x.log.Failure == "" {
		x.log.Failure = clientReset.reason
	}
	if x.log.Status == 0 {
		x.log.Status = clientReset.status // nobody was there to be answered
	}
	x.AccessLog.Log(x.ID, &x.log)
	if r := x.match.Rule; r != nil {
		r.Action.Metrics.Count(x.ID, &x.log)
	} else {
		x.Metrics.Route("").Count(x.ID, &x.log)
	}
}
