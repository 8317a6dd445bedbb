package mux_test

import (
	"testing"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/epoll"
	"github.com/sluicegateway/sluice/proxy/loop/looptest"
)

func init() {
	engines = append(engines, engine{name: "epoll", make: func() (loop.Loop, error) {
		loops, err := epoll.New(1, epoll.Options{})
		if err != nil {
			return nil, err
		}
		return loops[0], nil
	}})
}

func TestStreamOnEpoll(t *testing.T) {
	looptest.RunConns(t, looptest.Engine{
		Make: func(t testing.TB, n int, onPanic func(any, []byte)) ([]loop.Loop, loop.Network) {
			loops, err := epoll.New(n, epoll.Options{OnPanic: onPanic})
			if err != nil {
				t.Fatal(err)
			}
			return multiplexed(t, loops, loop.HostNetwork{})
		},
	})
}
