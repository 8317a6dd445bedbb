package proxy

import (
	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/message"
)

// relay sends the backend's response to the client. A failure is one that can
// still be answered.
func (x *exchange) relay(action *Action, target *Target) failure {
	switch {
	case x.resp.Status == 101 && (!x.upgraded() || x.keyMisread()):
		return upstreamMalformed
	case x.stream != nil && x.req.Upgrade != "" && x.resp.Status/100 == 2: // it would be a tunnel's (RFC 8441 section 5)
		return upstreamMalformed
	}
	if !x.reqBody.complete() {
		x.closing = true // the client would have to be told how much of its body was read
	}
	// A backend that has declined an upgrade may take what follows for frames.
	reuse := !x.resp.Close && !x.resp.UntilClose && x.req.Upgrade == ""
	web := x.endWeb()
	target.Filters.Response(&x.filters, &x.resp)
	action.Filters.Response(&x.filters, &x.resp)
	if x.resp.Status == 101 {
		x.relayUpgrade()
		return failure{}
	}
	if err := x.beginResponse(); err != nil {
		x.cutShort(true, err)
		return failure{}
	}
	if written, err := x.relayBody(web); err != nil {
		x.cutShort(written, err)
		return failure{}
	}
	if trailer := x.respBody.trailer(); trailer != nil {
		x.noteCall(trailer)
	}
	x.stopUpload()
	x.up.letGo(reuse && x.up.sent && len(x.respBody.raw) == 0)
	return failure{}
}

func (x *exchange) relayBody(web bool) (written bool, err error) {
	if web {
		return x.sendWeb()
	}
	return copyBody(&x.to, &x.respBody)
}

// cutShort ends a response that cannot be completed: the client must see that.
func (x *exchange) cutShort(written bool, err error) {
	f := x.receiveFailure(err)
	if written {
		f = x.clientFailure(err)
	}
	x.log.Failure = f.reason
	if !written && x.endCall(f) {
		return
	}
	x.aborted = true
	x.client.Abort()
}

// beginResponse puts the response's head in front of its body.
func (x *exchange) beginResponse() error {
	resp := &x.resp
	x.advertise()
	x.settings.ResponseHeaders.Response(resp)
	if _, ok := resp.Header.Lookup("Date"); !ok {
		resp.Header.Add("Date", x.date.at(x.Loop.Now()))
	}
	if resp.BodyLength == message.LengthUnknown && x.protocol() == http10 {
		x.closing = true // the end of the connection is the end of the body
	}
	x.closing = x.closing || x.from.draining // a drain may have begun meanwhile
	resp.Close = x.closing
	if resp.Status != 426 { // RFC 9110 section 15.5.22: what to upgrade to
		resp.Upgrade = ""
	}
	x.log.Status = resp.Status
	if resp.Status == 200 && resp.BodyLength == 0 {
		x.noteCall(&resp.Header)
	}
	x.started = true
	return x.sendHead()
}

// sendHead sends the response's head, or has it gather with what follows it.
func (x *exchange) sendHead() error {
	resp := &x.resp
	if x.stream == nil {
		x.to.chunked = http1.Chunked(resp, x.req.Minor)
		x.to.out = http1.AppendResponse(x.to.out[:0], resp, x.req.Minor)
		return nil
	}
	x.to.ended = resp.Status >= 200 && resp.BodyLength == 0
	x.to.limit()
	return x.stream.WriteResponse(resp, x.to.ended)
}

// passInterim passes a 1xx response on (RFC 9110 section 15.2). 100 (Continue)
// also lets the upload begin.
func (x *exchange) passInterim() {
	if x.resp.Status == 100 {
		x.letContinue()
		return
	}
	if x.protocol() != http10 && x.sendHead() == nil {
		x.to.flush()
	}
}
