//go:build !race

package mux_test

import (
	"runtime"
	"testing"

	"github.com/sluicegateway/sluice/proxy/mux"
)

// Idle, a session holds itself and its tables, and no buffer.
func TestIdleMemory(t *testing.T) {
	const connections, bound = 400, 4 << 10
	w := newWorld(t, engines[len(engines)-1])
	addr := w.listen(nil, whole)
	var sessions []*mux.Session
	open := func(n int) {
		for range n {
			s, err := w.connect(addr)
			if err != nil {
				t.Error(err)
				return
			}
			x := exchange{request: request("GET", "/")}
			if err := x.run(s); err != nil {
				t.Error(err)
			}
			sessions = append(sessions, s)
		}
	}
	w.do(func() { open(10) })
	before := heap()
	w.do(func() { open(connections) })
	each := (heap() - before) / (2 * connections)
	t.Logf("%d bytes for each end of a connection, with its socket", each)
	if each > bound {
		t.Errorf("an idle session takes %d bytes, more than %d", each, bound)
	}
	runtime.KeepAlive(sessions)
}

func heap() int {
	runtime.GC()
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
