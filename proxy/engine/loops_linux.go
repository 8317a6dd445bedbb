package engine

import (
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/epoll"
	"github.com/sluicegateway/sluice/proxy/loop/portable"
)

// newLoops makes the fastest loops that this system has, unless others are asked for.
func newLoops(n int, o *Options) ([]loop.Loop, error) {
	if o.Portable || o.Network != nil {
		return portable.New(n, portable.Options{Network: o.Network, OnPanic: o.panicked, OnAcceptError: o.acceptFailed}), nil
	}
	return epoll.New(n, epoll.Options{OnPanic: o.panicked, OnAcceptError: o.acceptFailed})
}
