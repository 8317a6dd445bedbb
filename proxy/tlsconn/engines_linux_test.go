package tlsconn_test

import (
	"testing"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/epoll"
	"github.com/sluicegateway/sluice/proxy/loop/looptest"
)

func init() {
	engines["epoll"] = func(t *testing.T) loop.Loop {
		loops, err := epoll.New(1, epoll.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return loops[0]
	}
}

func TestConnOnEpoll(t *testing.T) {
	looptest.RunConns(t, looptest.Engine{
		Records: true,
		Make: func(t testing.TB, n int, onPanic func(any, []byte)) ([]loop.Loop, loop.Network) {
			loops, err := epoll.New(n, epoll.Options{OnPanic: onPanic})
			if err != nil {
				t.Fatal(err)
			}
			return secure(loops, loop.HostNetwork{})
		},
	})
}
