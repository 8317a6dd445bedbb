package proxy

import (
	"io"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/message"
)

// forward sends the request to a backend of the rule and brings the response
// back.
func (x *exchange) forward(action *Action) {
	target := action.target(x.Worker)
	switch {
	case target == nil:
		// Gateway API, HTTPRouteRule.backendRefs: no backend takes traffic.
		x.answer(500, "no_backend")
		return
	case target.Fault != nil:
		x.answer(target.Fault.Status, "backend_invalid")
		return
	}
	x.log.Backend = target.Backend.Name()
	if target.Backend.Protocol() == config.AppH2C {
		x.answer(500, "backend_protocol")
		return
	}
	if resp := target.Filters.Request(&x.filters); resp != nil {
		action.Filters.Response(&x.filters, resp)
		x.answerWith(resp)
		return
	}
	if !x.upgradable() {
		x.req.Upgrade = ""
	}
	if f := x.gatherBody(action, target); !f.none() {
		x.answer(f.status, f.reason)
		return
	}
	x.mirror(action.Mirrors)
	x.mirror(target.Mirrors)
	began := time.Now()
	if f := x.tries(action, target); !f.none() {
		x.stopUpload()
		x.up.letGo(false)
		x.log.UpstreamDuration = time.Since(began)
		x.answer(f.status, f.reason)
		return
	}
	x.relay(action, target)
	x.log.UpstreamDuration = time.Since(began)
}

// upgradable reports whether the request's Upgrade is one that is passed on:
// a WebSocket handshake (RFC 6455 section 4.1).
func (x *exchange) upgradable() bool {
	return x.req.Upgrade != "" && message.EqualFold(x.req.Upgrade, "websocket") && x.req.Method == "GET" &&
		x.req.Minor == 1 && x.req.BodyLength == 0 && x.req.Header.Get("Sec-WebSocket-Version") != ""
}

// tries sends the request until a response may be relayed.
func (x *exchange) tries(action *Action, target *Target) failure {
	p := retryPolicy{left: action.attemptsLeft(), failovers: connectFailovers, backoff: action.backoff()}
	for {
		x.log.Attempts++
		f := x.up.connect(target.Backend, p.fresh)
		connected := f.none()
		if connected {
			if f = x.up.send(); f.none() || x.mayHaveAnswered(f) {
				f = x.up.receive()
			}
		}
		if f.none() && !action.retries(x.resp.Status) {
			return f
		}
		wait, again := p.again(x, f, connected)
		if !again {
			return f
		}
		x.up.letGo(false)
		x.up.clear()
		x.respBody.release()
		if wait > 0 && !x.sleep(wait) {
			return failure{504, "request_timeout"}
		}
	}
}

// mayHaveAnswered: a backend that refuses a body answers first and then closes,
// so a failed write may have a response waiting behind it.
func (x *exchange) mayHaveAnswered(f failure) bool { return f.reason == "upstream_reset" }

// sleep waits between two tries; false if the request's time is over by then.
func (x *exchange) sleep(d time.Duration) bool {
	if !x.deadline.IsZero() && x.Loop.Now().Add(d).After(x.deadline) {
		return false
	}
	return x.Loop.Sleep(d) == nil && !x.aborted
}

// relay sends the backend's response to the client.
func (x *exchange) relay(action *Action, target *Target) {
	if x.resp.Status == 101 {
		x.relayUpgrade(action, target)
		return
	}
	if !x.reqBody.complete() {
		x.closing = true // the client would have to be told how much of its body was read
	}
	closes := x.resp.Close || x.resp.UntilClose
	target.Filters.Response(&x.filters, &x.resp)
	action.Filters.Response(&x.filters, &x.resp)
	x.beginResponse()
	written, err := copyBody(&x.to, &x.respBody)
	// A backend that has declined an upgrade may take what follows for frames.
	reuse := err == nil && x.up.sent && !closes && len(x.respBody.raw) == 0 && x.req.Upgrade == ""
	x.stopUpload()
	x.up.letGo(reuse)
	if err != nil {
		x.cutShort(written, err)
	}
}

// cutShort ends a response that cannot be completed: the client must see that.
func (x *exchange) cutShort(written bool, err error) {
	switch {
	case x.aborted:
	case written:
		x.log.Failure = "client_reset"
	case isMalformed(err):
		x.log.Failure = "upstream_malformed"
	default:
		x.log.Failure = x.up.receiveFailure(orEOF(err)).reason
	}
	x.aborted = true
	x.from.conn.Abort()
}

func isMalformed(err error) bool {
	_, ok := err.(*http1.Error)
	return ok
}

// orEOF turns the end of a body before its time into what it is on the wire.
func orEOF(err error) error {
	if err == errTruncated {
		return io.EOF
	}
	return err
}

// beginResponse puts the response's head in front of its body.
func (x *exchange) beginResponse() {
	resp := &x.resp
	if _, ok := resp.Header.Lookup("Date"); !ok {
		resp.Header.Add("Date", x.date.at(x.Loop.Now()))
	}
	if resp.BodyLength == message.LengthUnknown && x.req.Minor == 0 {
		x.closing = true // the end of the connection is the end of the body
	}
	x.to.chunked = http1.Chunked(resp, x.req.Minor)
	x.closing = x.closing || x.from.draining // a drain may have begun meanwhile
	resp.Close = x.closing
	if resp.Status != 426 { // RFC 9110 section 15.5.22: what to upgrade to
		resp.Upgrade = ""
	}
	x.to.out = http1.AppendResponse(x.to.out[:0], resp, x.req.Minor)
	x.log.Status = resp.Status
	x.started = true
}

// passInterim passes a 1xx response on (RFC 9110 section 15.2). 100 (Continue)
// also lets the upload begin.
func (x *exchange) passInterim() {
	if x.resp.Status == 100 {
		x.letContinue()
		return
	}
	if x.req.Minor == 0 {
		return
	}
	x.to.out = http1.AppendResponse(x.to.out[:0], &x.resp, x.req.Minor)
	x.to.flush()
}

// relayUpgrade answers 101 and lets the bytes flow.
func (x *exchange) relayUpgrade(action *Action, target *Target) {
	if x.req.Upgrade == "" || !message.EqualFold(x.resp.Upgrade, x.req.Upgrade) {
		x.up.letGo(false)
		x.answer(502, "upstream_malformed")
		return
	}
	target.Filters.Response(&x.filters, &x.resp)
	action.Filters.Response(&x.filters, &x.resp)
	x.to.out = http1.AppendResponse(x.to.out[:0], &x.resp, x.req.Minor)
	x.log.Status, x.log.Upgrade, x.started = 101, true, true
	if x.to.flush() != nil {
		x.up.letGo(false)
		x.log.Upgrade, x.aborted = false, true
		return
	}
	x.startTunnel()
}
