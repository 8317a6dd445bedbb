package cli

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// What lives decides how much garbage may gather: a fixed room beside little, a
// share of much.
func TestGarbageMayGatherByWhatLives(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	paceGarbage()
	await := func(what string, holds func(percent int) bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; {
			runtime.GC()
			percent := debug.SetGCPercent(garbageShare)
			debug.SetGCPercent(percent)
			if holds(percent) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: garbage may gather to %d %%", what, percent)
			}
			runtime.Gosched()
		}
	}
	much := make([][]byte, 64)
	for i := range much {
		much[i] = make([]byte, 1<<20)
	}
	await("beside 64 MiB", func(percent int) bool { return percent == garbageShare })
	runtime.KeepAlive(much)
	much = nil
	await("beside little", func(percent int) bool { return percent > garbageShare })
}
