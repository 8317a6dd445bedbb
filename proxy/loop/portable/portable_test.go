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

func TestHostNetwork(t *testing.T) {
	looptest.Run(t, looptest.Engine{Make: func(t *testing.T, n int, onPanic func(any, []byte)) ([]loop.Loop, loop.Network) {
		return portable.New(n, portable.Options{OnPanic: onPanic}), loop.HostNetwork{}
	}})
}

func TestInBubble(t *testing.T) {
	looptest.Run(t, looptest.Engine{Bubble: true, Make: func(t *testing.T, n int, onPanic func(any, []byte)) ([]loop.Loop, loop.Network) {
		network := memnet.New()
		return portable.New(n, portable.Options{Network: network, OnPanic: onPanic}), network
	}})
}
