package swaptest

import "time"

// The load on the listener that comes and goes: clients, how long each waits
// between two requests, and uploads that take longer than the listener lives.
const (
	visitors   = 4
	visitEvery = 10 * time.Millisecond
)

// startVisits sends requests to the listener that comes and goes. Until it begins
// to go none may fail. Then a client may find that nobody listens, before or, where
// the kernel resets what is queued on a socket that closes, just after it has
// connected; the latter is counted apart. Every response must be a good one.
func (l *load) startVisits() {
	for i := range visitors {
		c := newClient(l.t, "visitor of a listener that goes", i%2 == 0)
		l.browsing.Go(func() { l.visit(c) })
	}
	c := newClient(l.t, "upload to a listener that goes", true)
	l.streaming.Go(func() { l.visitLong(c) })
}

func (l *load) visit(c *client) {
	ticks := time.NewTicker(visitEvery)
	defer ticks.Stop()
	for gone := true; !gone || !l.draining(); {
		<-ticks.C
		if gone && !l.site.visitable.Load() {
			continue
		}
		l.counts.requests.Add(1)
		_, err := c.get(l.gateway.visited, "/")
		gone = l.departed(c, err)
	}
}

// visitLong uploads bodies that are under way when the listener goes.
func (l *load) visitLong(c *client) {
	for ; !l.draining(); l.moves.wait() {
		if l.site.visitable.Load() {
			l.counts.uploads.Add(1)
			l.departed(c, c.upload(l.gateway.visited, "/split/upload", l.moves))
		}
	}
}

// departed reports whether err says that the listener is gone, as it may be.
func (l *load) departed(c *client, err error) bool {
	going := !l.site.visitable.Load()
	switch {
	case going && isRefused(err):
		return true
	case going && isTurnedAway(err):
		l.counts.turnedAway.Add(1)
	case err != nil:
		l.counts.fail(c.who, err)
	}
	return err != nil && l.draining()
}
