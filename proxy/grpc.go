package proxy

import (
	"time"

	"github.com/sluicegateway/sluice/proxy/grpc"
	"github.com/sluicegateway/sluice/proxy/message"
)

const contentType = "Content-Type"

// failCall answers a call of gRPC with the failure: its clients read a status of
// their own. It reports whether the request is one.
func (x *exchange) failCall(f failure) bool {
	asked := x.req.Header.Get(contentType)
	web, isWeb := grpc.WebOf(asked)
	switch {
	case x.web != nil:
		web, isWeb = *x.web, true
	case !isWeb && !grpc.Is(asked):
		return false
	}
	x.resp.Reset()
	grpc.SetStatus(&x.resp, grpc.CodeOf(f.status), statusText(f.status))
	if isWeb {
		asked = web.ResponseType()
	}
	x.resp.Header.Set(contentType, asked) // some clients take no other one
	x.sendAnswer("")
	return true
}

// endCall ends a call whose response breaks off with a status instead of a
// reset, which would tell the client nothing. It reports whether it could.
func (x *exchange) endCall(f failure) bool {
	if x.stream == nil || x.aborted || x.resp.BodyLength != message.LengthUnknown || !grpc.Is(x.resp.Header.Get(contentType)) {
		return false
	}
	x.to.hard = time.Time{}
	trailer := grpc.Trailer(grpc.CodeOf(f.status), statusText(f.status))
	x.noteCall(&trailer)
	return x.to.finish(&trailer) == nil
}

// noteCall keeps the status of a call for the access log.
func (x *exchange) noteCall(h *message.Header) {
	if code, ok := grpc.StatusOf(h); ok {
		x.log.Call, x.log.GRPCStatus = true, int(code)
	}
}

// converse lets a side of a call be silent for as long as the other one is not,
// and both for as long as a backend may be: who watches something asks once.
func (x *exchange) converse() {
	if x.stream == nil || !grpc.Is(x.req.Header.Get(contentType)) {
		return
	}
	x.reqBody.idle = x.Limits.UpstreamIdle
	x.reqBody.partner, x.respBody.partner = &x.respBody, &x.reqBody
}

// patience is how long the exchange may take: what the rule says, and a call's
// grpc-timeout where that is less. Zero is without a bound.
func (x *exchange) patience(action *Action) time.Duration {
	bound := action.Timeouts.Request
	value, ok := x.req.Header.Lookup("Grpc-Timeout")
	if !ok {
		return bound
	}
	asked := x.req.Header.Get(contentType)
	if _, web := grpc.WebOf(asked); !web && !grpc.Is(asked) {
		return bound
	}
	timeout, ok := grpc.Timeout(value)
	switch {
	case !ok:
		return bound
	case bound == 0:
		return max(timeout, 1)
	}
	return max(min(timeout, bound), 1)
}
