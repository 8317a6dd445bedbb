package mux

import (
	"time"

	"github.com/sluicegateway/sluice/proxy/http2"
)

// Rude frames are those that cost us and get their sender nothing. Each has a
// price in points; a completed request earns one back, and time earns all back
// in forgetTime. Who has spent three quarters of the budget is told to go; who
// has spent it all is cut off.
const (
	rudeFrame     = 1   // PING, PRIORITY, GOAWAY, unknown types, what is for closed streams, WINDOW_UPDATE without need
	rudeReset     = 4   // of a request that has no response yet, within patience
	rudeRefused   = 2   // a stream above the limit
	rudeSettings  = 5   // and one more for every ten streams that they concern
	rudeMalformed = 5   // what makes us reset a stream
	rudeEmpty     = 10  // DATA, HEADERS or CONTINUATION that carry and end nothing
	rudeStall     = 200 // a stream whose window stayed closed while data waited

	forgetTime = 30 * time.Second
	// patience is what tells those who reset to harm from those who wait in vain.
	patience = time.Second
)

// A peer may send updatesPerData WINDOW_UPDATE for each DATA that it got, and
// for each stream.
const (
	updatesPerData = 10
	maxUpdates     = 10_000
)

// score counts the points of a session.
type score struct {
	points  int
	at      time.Time // when they were brought up to date
	updates int       // WINDOW_UPDATEs that are free
	pinged  bool      // a PING has come since DATA was sent
}

// rude charges points to the peer.
func (s *Session) rude(points int) {
	budget := s.limits.Rudeness
	now := s.loop.Now()
	earned := int(now.Sub(s.score.at) * time.Duration(budget) / forgetTime)
	if earned > 0 || s.score.at.IsZero() {
		s.score.points = max(0, s.score.points-earned)
		s.score.at = now
	}
	s.score.points += points
	switch {
	case s.score.points >= budget:
		s.fail(errRude)
	case s.score.points >= budget-budget/4:
		s.calm()
	}
}

var errRude = &http2.Error{Code: http2.EnhanceYourCalm, Reason: "the peer sends too much that costs and leads to nothing"}

// earn credits a completed request.
func (s *Session) earn() { s.score.points = max(0, s.score.points-1) }

// allowUpdates credits WINDOW_UPDATEs.
func (s *Session) allowUpdates() {
	s.score.updates = min(s.score.updates+updatesPerData, maxUpdates)
}

// chargePing takes the PING that is free for each DATA: those of gRPC measure the
// way with one, and may do so thousands of times a second.
func (s *Session) chargePing() {
	if s.score.pinged {
		s.rude(rudeFrame)
	}
	s.score.pinged = true
}

// chargeUpdate takes one of them.
func (s *Session) chargeUpdate() {
	if s.score.updates > 0 {
		s.score.updates--
		return
	}
	s.rude(rudeFrame)
}
