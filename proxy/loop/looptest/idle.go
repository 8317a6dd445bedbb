package looptest

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

var idleTests = map[string]func(*testing.T, Engine){
	"Notify tells of bytes once":                               testNotify,
	"Notify tells of the peer's end":                           testNotifyEOF,
	"Notify tells of the read deadline":                        testNotifyDeadline,
	"Notify has its deadline moved on":                         testNotifyDeadlineMoved,
	"Notify ignores a deadline that was taken back":            testNotifyDeadlineTakenBack,
	"Notify tells of the loop's end":                           testNotifyStopped,
	"Notify is silent when the bytes were read already":        testNotifyExact,
	"a closed connection's event does not reach its successor": testStaleEvent,
	"StopNotify leaves the bytes to the next read":             testStopNotify,
	"Close forgets a Notify":                                   testCloseForgetsNotify,
	"keep-alive: a handler only while there is something":      testKeepAlive,
}

// notified calls Notify and returns what it will tell.
func (f *fixture) notified(c loop.Conn) <-chan error {
	told := make(chan error, 2)
	f.post(func() { c.Notify(func(err error) { told <- err }) })
	return told
}

func testNotify(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	told := f.notified(server)
	say(t, client, "hello")
	if err := <-told; err != nil {
		t.Errorf("Notify: %v", err)
	}
	f.handle(func() { readWant(t, server, "hello") })
	say(t, client, "again")
	f.handle(func() { readWant(t, server, "again") })
	f.post(func() {
		if server.StopNotify() {
			t.Error("a Notify is pending after it was called")
		}
		if len(told) > 0 {
			t.Error("Notify was called twice")
		}
	})
}

func testNotifyEOF(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	told := f.notified(server)
	client.Close()
	if err := <-told; err != nil {
		t.Errorf("Notify: %v", err)
	}
	f.post(func() {
		if _, err := server.TryRead(make([]byte, 1)); err != io.EOF {
			t.Errorf("TryRead: %v, want io.EOF", err)
		}
	})
}

func testNotifyDeadline(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	f.post(func() { server.SetReadDeadline(f.loop.Now().Add(30 * time.Millisecond)) })
	if err := <-f.notified(server); err != os.ErrDeadlineExceeded {
		t.Errorf("Notify: %v, want os.ErrDeadlineExceeded", err)
	}
	f.post(func() { server.SetReadDeadline(time.Time{}) })
	told := f.notified(server)
	say(t, client, "x")
	if err := <-told; err != nil {
		t.Errorf("Notify after a new deadline: %v", err)
	}
	f.handle(func() { readWant(t, server, "x") })
}

func testNotifyDeadlineMoved(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	f.post(func() { server.SetReadDeadline(f.loop.Now().Add(30 * time.Millisecond)) })
	told := f.notified(server)
	f.post(func() { server.SetReadDeadline(f.loop.Now().Add(time.Hour)) })
	f.handle(func() { f.loop.Sleep(80 * time.Millisecond) })
	say(t, client, "x")
	if err := <-told; err != nil {
		t.Errorf("Notify: %v, want it to tell of the byte", err)
	}
}

func testNotifyDeadlineTakenBack(t *testing.T, e Engine) {
	f := start(t, e, 1)
	_, server := f.connect()
	f.post(func() {
		server.Notify(func(err error) { t.Errorf("Notify: %v", err) })
		server.SetReadDeadline(time.Unix(1, 0))
		time.Sleep(20 * time.Millisecond) // the loop is busy meanwhile
		server.SetReadDeadline(time.Time{})
	})
	f.handle(func() {
		f.loop.Sleep(30 * time.Millisecond)
		if !server.StopNotify() {
			t.Error("the Notify is gone")
		}
	})
}

func testNotifyStopped(t *testing.T, e Engine) {
	f := prepare(t, e, 1)
	f.run()
	_, server := f.connect()
	told := f.notified(server)
	f.stop()
	if err := <-told; err != loop.ErrStopped {
		t.Errorf("Notify: %v, want loop.ErrStopped", err)
	}
}

// The read fills its buffer and so does not show that nothing is left, and the
// second byte comes after the first one's event.
func testNotifyExact(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	read := make(chan struct{})
	f.post(func() {
		server.Notify(func(error) {
			say(t, client, "b")
			f.loop.Go(func() {
				defer close(read)
				readWant(t, server, "ab")
				server.Notify(func(error) {})
			})
		})
	})
	say(t, client, "a")
	<-read
	f.handle(func() {
		f.loop.Sleep(20 * time.Millisecond)
		if !server.StopNotify() {
			t.Error("Notify was called though all bytes had been read")
		}
	})
}

// The loop takes three events at once, in this order if it keeps it: the first has a connection closed, the
// second has another one accepted, which may get the descriptor that was just
// closed, and the third is for the closed one.
func testStaleEvent(t *testing.T, e Engine) {
	f := start(t, e, 1)
	firstClient, first := f.connect()
	closedClient, closed := f.connect()
	accepted := make(chan loop.Conn, 1)
	l := f.listen(f.loop, anyPort, func(c loop.Conn) {
		c.Notify(func(error) {})
		accepted <- c
	})
	f.post(func() {
		gone := false
		first.Notify(func(error) {
			closed.Close()
			gone = true
		})
		closed.Notify(func(error) { // some loops come to it first
			if gone {
				t.Error("Notify of a closed connection")
			}
		})
	})
	f.post(func() {
		say(t, firstClient, "x")
		f.dial(l.Addr())
		say(t, closedClient, "x")
	})
	successor := <-accepted
	f.handle(func() {
		f.loop.Sleep(20 * time.Millisecond)
		if !successor.StopNotify() {
			t.Error("Notify of a connection without bytes was called")
		}
	})
}

func testStopNotify(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	f.post(func() {
		server.Notify(func(err error) { t.Errorf("Notify was called after StopNotify: %v", err) })
		if !server.StopNotify() {
			t.Error("StopNotify: false, want true")
		}
		if server.StopNotify() {
			t.Error("a second StopNotify: true, want false")
		}
	})
	say(t, client, "hello")
	f.handle(func() { readWant(t, server, "hello") })
}

func testCloseForgetsNotify(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	f.post(func() {
		server.Notify(func(err error) { t.Errorf("Notify was called after Close: %v", err) })
		server.Close()
	})
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client's read: %v, want io.EOF", err)
	}
}

func testKeepAlive(t *testing.T, e Engine) {
	f := start(t, e, 1)
	l := f.listen(f.loop, anyPort, func(c loop.Conn) { serveIdle(c) })
	client := f.dial(l.Addr())
	for range 100 {
		say(t, client, "hello")
		hear(t, client, "hello")
	}
}

// serveIdle echoes with a handler only while there are bytes.
func serveIdle(c loop.Conn) {
	c.Notify(func(error) {
		c.Loop().Go(func() {
			buf := make([]byte, 64)
			n, err := c.Read(buf)
			if err != nil {
				c.Close()
				return
			}
			c.Write(buf[:n])
			serveIdle(c)
		})
	})
}
