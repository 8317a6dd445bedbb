package mux_test

import (
	"io"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"

	"github.com/sluicegateway/sluice/proxy/loop/memnet"
	"github.com/sluicegateway/sluice/proxy/loop/portable"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// Whatever bytes follow the preface, the session ends with the connection, and
// its streams with it.
func FuzzServer(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x04\x01\x05\x00\x00\x00\x01\x82\x84\x86\x41"))
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"))
	f.Fuzz(func(t *testing.T, frames []byte) {
		synctest.Test(t, func(t *testing.T) {
			network := memnet.New()
			w := &world{TB: t, loop: portable.New(1, portable.Options{Network: network})[0], network: network, ended: make(chan ending, 1)}
			defer w.run()()
			open := 0
			addr := w.listen(nil, func(st *mux.Stream) {
				open++
				defer func() { open-- }()
				echo(st)
			})
			c := w.dial(addr)
			go io.Copy(io.Discard, c)
			io.WriteString(c, http2.ClientPreface)
			c.Write(frames)
			c.(*memnet.Conn).CloseWrite()
			<-w.ended
			w.settle()
			w.post(func() {
				if open != 0 {
					t.Errorf("%d handlers are left", open)
				}
			})
		})
	})
}
