package engine

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/sluicegateway/sluice/proxy"
)

// How full memory may be, in hundredths of its limit, before connections are no
// longer kept for another request and before requests are refused, and how often
// that is looked at.
const (
	memoryTight    = 95
	memoryFull     = 98
	memoryInterval = 250 * time.Millisecond
)

// Memory says how many bytes the process uses and how many it may use.
type Memory func() (used, limit uint64)

// goMemory is what the Go runtime counts, against GOMEMLIMIT.
func goMemory() Memory {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	return func() (used, limit uint64) {
		metrics.Read(samples)
		return samples[0].Value.Uint64() - samples[1].Value.Uint64(), uint64(debug.SetMemoryLimit(-1))
	}
}

// watchMemory tells the workers how tight memory is, until ctx ends.
// Where there is no limit there is nothing to watch.
func (e *Engine) watchMemory(ctx context.Context, memory Memory) {
	if _, limit := memory(); limit == math.MaxInt64 {
		return
	}
	e.running.Go(func() {
		ticker := time.NewTicker(memoryInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				e.setPressure(memory())
			}
		}
	})
}

func (e *Engine) setPressure(used, limit uint64) {
	pressure := proxy.MemoryPlenty
	switch percent := used * 100 / limit; {
	case percent >= memoryFull:
		pressure = proxy.MemoryFull
	case percent >= memoryTight:
		pressure = proxy.MemoryTight
	}
	if before := e.shared.Memory.Swap(int32(pressure)); before != int32(pressure) {
		e.shared.Log.Warn("memory is "+pressure.String(), "used", used, "limit", limit)
	}
}
