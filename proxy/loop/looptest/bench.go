package looptest

import (
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// Bench measures what handlers do all the time. In steady state none of it
// allocates on loops that are made for speed.
func Bench(b *testing.B, e Engine) {
	for name, bench := range map[string]func(*testing.B, *fixture){
		"echo":               benchEcho,
		"echo, idle between": benchIdleEcho,
		"wait and wake":      benchWake,
		"timer":              benchTimer,
		"post":               benchPost,
		"await":              benchAwait,
	} {
		b.Run(name, func(b *testing.B) {
			f := prepare(b, e, 1)
			f.run()
			defer f.stop()
			b.ReportAllocs()
			bench(b, f)
		})
	}
}

// benchEcho is one connection, whose handler parks in Read with a deadline.
func benchEcho(b *testing.B, f *fixture) {
	client, server := f.connect()
	f.begin(func() {
		buf := make([]byte, 1024)
		for {
			server.SetReadDeadline(f.loop.Now().Add(time.Minute))
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			server.Write(buf[:n])
		}
	})
	pingPong(b, client)
}

// benchIdleEcho has a handler for each message only.
func benchIdleEcho(b *testing.B, f *fixture) {
	client, server := f.connect()
	buf := make([]byte, 1024)
	var idle func(error)
	serve := func() {
		n, err := server.TryRead(buf)
		if err != nil && err != loop.ErrAgain {
			server.Close()
			return
		}
		server.Write(buf[:n])
		server.SetReadDeadline(f.loop.Now().Add(time.Minute))
		server.Notify(idle)
	}
	idle = func(error) { f.loop.Go(serve) }
	f.post(func() { server.Notify(idle) })
	pingPong(b, client)
}

type readWriter interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
}

func pingPong(b *testing.B, c readWriter) {
	message := make([]byte, 128)
	for b.Loop() {
		if _, err := c.Write(message); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(message); err != nil {
			b.Fatal(err)
		}
	}
}

// benchWake is two handlers that wake each other.
func benchWake(b *testing.B, f *fixture) {
	f.handle(func() {
		here, there := f.loop.NewWaiter(), f.loop.NewWaiter()
		f.loop.Go(func() {
			for there.Wait(time.Time{}) == nil {
				here.Wake()
			}
		})
		for b.Loop() {
			there.Wake()
			here.Wait(time.Time{})
		}
	})
}

func benchTimer(b *testing.B, f *fixture) {
	f.post(func() {
		timer := f.loop.AfterFunc(time.Minute, func() {})
		for b.Loop() {
			timer.Reset(time.Minute)
			timer.Stop()
		}
	})
}

func benchPost(b *testing.B, f *fixture) {
	done := make(chan struct{})
	fn := func() { done <- struct{}{} }
	for b.Loop() {
		f.loop.Post(fn)
		<-done
	}
}

func benchAwait(b *testing.B, f *fixture) {
	f.handle(func() {
		for b.Loop() {
			f.loop.Await(func() {})
		}
	})
}
