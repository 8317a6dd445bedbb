//go:build !linux

package engine

import (
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/portable"
)

func newLoops(n int, o *Options) ([]loop.Loop, error) {
	return portable.New(n, portable.Options{Network: o.Network, OnPanic: o.panicked, OnAcceptError: o.acceptFailed}), nil
}
