package http3

import (
	"sync"
	"time"
)

// Rude is what costs us and gets its sender nothing. Each has a price in points;
// a completed request earns one back, and time earns all back in forgetTime. Who
// has spent three quarters of the budget is told to go; who has spent it all is
// cut off.
const (
	rudeFrame     = 1  // of an unknown type, or beside the requests
	rudeRefused   = 2  // a request above the limit
	rudeReset     = 4  // of a request that has no response yet
	rudeStream    = 5  // one of an unknown type
	rudeMalformed = 5  // what makes us reset a stream
	rudeEmpty     = 10 // DATA that carries nothing

	forgetTime = 30 * time.Second
)

var errRude = &Error{Code: ExcessiveLoad, Reason: "the peer sends too much that costs and leads to nothing"}

// score counts the points of a session, on any goroutine.
type score struct {
	mu     sync.Mutex
	points int
	at     time.Time // when they were brought up to date
}

// add charges points and returns how many there are.
func (s *score) add(points, budget int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	earned := int(now.Sub(s.at) * time.Duration(budget) / forgetTime)
	if s.at.IsZero() || earned > 0 {
		s.points, s.at = max(0, s.points-earned), now
	}
	s.points = max(0, s.points+points)
	return s.points
}

// rude charges points to the client. It may be called from any goroutine.
func (s *Session) rude(points int) {
	budget := s.limits.Rudeness
	switch total := s.score.add(points, budget); {
	case total >= budget:
		s.wrong(errRude)
	case total >= budget-budget/4:
		s.loop.Post(s.Drain)
	}
}

// earn credits a completed request.
func (s *Session) earn() { s.score.add(-1, s.limits.Rudeness) }
