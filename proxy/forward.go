package proxy

import (
	"time"

	"github.com/sluicegateway/sluice/proxy/message"
)

// forward sends the request to a backend of the rule and brings the response
// back.
func (x *exchange) forward(action *Action) {
	target := action.target(x.Worker)
	if f := target.unfit(); !f.none() {
		x.fail(f)
		return
	}
	x.log.Backend = target.Backend.Name()
	if resp := target.Filters.Request(&x.filters); resp != nil {
		action.Filters.Response(&x.filters, resp)
		x.answerWith(resp)
		return
	}
	if !x.upgradable() {
		if x.stream != nil && x.req.Upgrade != "" {
			x.fail(clientMalformed) // a response of 2xx would be its tunnel
			return
		}
		x.req.Upgrade = ""
	}
	if action.GRPC {
		x.beginWeb()
	}
	if f := x.gatherBody(action, target); !f.none() {
		x.fail(f)
		return
	}
	x.mirror(action.Mirrors)
	x.mirror(target.Mirrors)
	began := time.Now()
	f := x.tries(action, target)
	if f.none() {
		f = x.relay(action, target)
	}
	x.stopUpload()
	x.up.letGo(false)
	x.log.UpstreamDuration = time.Since(began)
	if !f.none() {
		x.fail(f)
	}
}

// upgradable reports whether the request's Upgrade is one that is passed on:
// a WebSocket handshake (RFC 6455 section 4.1).
func (x *exchange) upgradable() bool {
	return x.req.Upgrade != "" && message.EqualFold(x.req.Upgrade, "websocket") && x.req.Method == "GET" &&
		x.protocol() != http10 && x.req.BodyLength == 0 && x.req.Header.Get("Sec-WebSocket-Version") != ""
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
			return requestTimeout
		}
	}
}

// mayHaveAnswered: a backend that refuses a body answers first and then closes,
// so a failed write may have a response waiting behind it.
func (x *exchange) mayHaveAnswered(f failure) bool { return f == upstreamReset }

// sleep waits between two tries; false if the request's time is over by then.
func (x *exchange) sleep(d time.Duration) bool {
	if !x.deadline.IsZero() && x.Loop.Now().Add(d).After(x.deadline) {
		return false
	}
	return x.Loop.Sleep(d) == nil && !x.aborted
}
