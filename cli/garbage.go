package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// How much garbage may gather before it is collected: a share of what lives, in
// percent, which keeps large configurations small, but never so few bytes that
// TLS handshakes, which leave some tens of kilobytes each, would have it collected
// all the time.
const (
	garbageShare = 25
	garbageRoom  = 8 << 20
)

// quietTime is how long no collection was needed until one is made all the same:
// what a burst of work has left is given back.
const quietTime = 10 * time.Second

// garbagePace sets the share anew after each collection.
type garbagePace struct {
	live    [1]metrics.Sample
	percent int
	quiet   *time.Timer
	resting atomic.Bool // the collection was not needed
}

// paceGarbage begins with the share alone, for what only starts.
func paceGarbage() {
	p := &garbagePace{live: [1]metrics.Sample{{Name: "/gc/heap/live:bytes"}}, percent: garbageShare}
	p.quiet = time.AfterFunc(quietTime, p.rest)
	debug.SetGCPercent(garbageShare)
	p.await()
}

// await has adjust called after the next collection: that of an object which
// nobody refers to.
func (p *garbagePace) await() {
	type collected struct{ _ *garbagePace }
	runtime.AddCleanup(new(collected), func(p *garbagePace) {
		p.adjust()
		p.await()
		if !p.resting.Swap(false) {
			p.quiet.Reset(quietTime)
		}
	}, p)
}

func (p *garbagePace) adjust() {
	metrics.Read(p.live[:])
	live := p.live[0].Value.Uint64()
	percent := max(garbageShare, int(garbageRoom*100/max(live, 1<<20)))
	if percent < p.percent*9/10 || percent > p.percent*11/10 { // each change stops the world
		p.percent = percent
		debug.SetGCPercent(percent)
	}
}

func (p *garbagePace) rest() {
	p.resting.Store(true)
	debug.FreeOSMemory()
}
