package mux_test

import (
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/epoll"
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
