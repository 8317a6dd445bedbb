package portable_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/looptest"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
	"github.com/sluicegateway/sluice/proxy/loop/portable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var onHost = looptest.Engine{
	Make: func(_ testing.TB, n int, onPanic func(any, []byte)) ([]loop.Loop, loop.Network) {
		return portable.New(n, portable.Options{OnPanic: onPanic}), loop.HostNetwork{}
	},
}

var inMemory = looptest.Engine{
	Bubble: true,
	Make: func(_ testing.TB, n int, onPanic func(any, []byte)) ([]loop.Loop, loop.Network) {
		network := memnet.New()
		return portable.New(n, portable.Options{Network: network, OnPanic: onPanic}), network
	},
}

func TestHostNetwork(t *testing.T) { looptest.Run(t, onHost) }

func TestInBubble(t *testing.T) { looptest.Run(t, inMemory) }

func BenchmarkLoop(b *testing.B) { looptest.Bench(b, onHost) }
