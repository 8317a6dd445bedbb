package kube_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/control/snapshot"
)

func TestFirstChangeComesAtOnceAndTheNextTogether(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		w := follow(t, server)
		w.untilFirst()
		time.Sleep(time.Minute)
		before := w.count()

		start := time.Now()
		server.put(route("first"))
		synctest.Wait()
		if w.count() != before+1 || !w.times[before].Equal(start) {
			t.Fatalf("the first change is %d updates, after %v", w.count()-before, time.Since(start))
		}
		for i := range 4 {
			time.Sleep(time.Millisecond)
			server.put(route(fmt.Sprint("next-", i)))
		}
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
		if n := w.count() - before; n != 2 || len(w.updates[before+1]) != 4 {
			t.Errorf("four changes within 4 ms are %d updates, the first with %d changes", n-1, len(w.updates[before+1]))
		}
	})
}

func TestChangesGatherWhileAnUpdateRuns(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		w := follow(t, server)
		w.untilFirst()
		time.Sleep(time.Minute)
		block := make(chan struct{})
		w.mu.Lock()
		w.block = block
		w.mu.Unlock()

		server.put(route("running"))
		synctest.Wait()
		before := w.count()
		for generation := range 1000 {
			r := route(fmt.Sprint("o-", generation%10))
			r.Generation = int64(generation + 2)
			server.put(r)
		}
		server.remove(snapshot.KeyOf(route("o-9")))
		synctest.Wait()
		if w.count() != before {
			t.Fatal("two updates run at the same time")
		}
		close(block)
		w.until("the next update", func() bool { return w.count() == before+1 })
		if len(w.updates[before]) != 10 {
			t.Errorf("1001 changes of 10 routes are %d", len(w.updates[before]))
		}
		for _, c := range w.updates[before] {
			if c.Key.Name == "o-9" && c.Object != nil || c.Key.Name != "o-9" && c.Object.GetGeneration() < 990 {
				t.Errorf("%v is not in its last state", c.Key)
			}
		}
	})
}

func TestConstantStreamOfChangesStarvesNobody(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		w := follow(t, server)
		w.untilFirst()
		time.Sleep(time.Minute)
		before := w.count()
		for i := range 1000 {
			server.put(route(fmt.Sprint("o-", i)))
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if n := w.count() - before; n < 150 || n > 250 {
			t.Errorf("a second of changes is %d updates, want one each 5 ms", n)
		}
		for i := before + 1; i < w.count(); i++ {
			if gap := w.times[i].Sub(w.times[i-1]); gap > 6*time.Millisecond {
				t.Errorf("%v without an update", gap)
			}
		}
	})
}
