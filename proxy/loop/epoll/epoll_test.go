//go:build linux

package epoll_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/epoll"
	"github.com/sluicegateway/sluice/proxy/loop/looptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var engine = looptest.Engine{
	Splices: true,
	Make: func(t testing.TB, n int, onPanic func(any, []byte)) ([]loop.Loop, loop.Network) {
		loops, err := epoll.New(n, epoll.Options{OnPanic: onPanic})
		if err != nil {
			t.Fatal(err)
		}
		return loops, loop.HostNetwork{}
	},
}

func TestBehaviour(t *testing.T) { looptest.Run(t, engine) }

func BenchmarkLoop(b *testing.B) { looptest.Bench(b, engine) }
