package proxy

import "time"

// connectFailovers is how many other endpoints are tried, without any retry in
// the rule, when one cannot be connected to or refuses a stream: nothing was
// sent, or looked at, so it is safe.
const connectFailovers = 2

// retryPolicy decides about another try.
type retryPolicy struct {
	left      int // by the rule
	failovers int
	stale     bool // a pooled connection turned out dead before
	fresh     bool // do not take a pooled connection
	backoff   time.Duration
}

// again reports whether to try once more, and after what wait. f is the
// failure, none if the status was one to retry.
func (p *retryPolicy) again(x *exchange, f failure, connected bool) (time.Duration, bool) {
	if x.aborted || !x.uploadErr.none() || !x.replayable && connected {
		return 0, false
	}
	switch {
	case f.none():
		return p.ruled(x.repeatable())
	case (!connected && f != noEndpoints || x.up.refused()) && p.failovers > 0:
		p.failovers--
		return 0, true
	case !connected:
		return p.ruled(f.status == 503 || f.status == 504)
	case x.up.reused && !x.up.answered && !p.stale && x.repeatable() && f.status == 502:
		// The backend closed the connection while it was idle.
		p.stale, p.fresh = true, true
		return 0, true
	}
	return p.ruled(x.repeatable() && !x.up.answered)
}

// ruled uses one of the rule's retries up.
func (p *retryPolicy) ruled(safe bool) (time.Duration, bool) {
	if !safe || p.left == 0 {
		return 0, false
	}
	p.left--
	return p.backoff, true
}

// repeatable reports whether the method may be sent twice (RFC 9110 section 9.2.2).
func (x *exchange) repeatable() bool {
	switch x.req.Method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}
