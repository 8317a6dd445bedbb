package looptest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
)

var endTests = map[string]func(*testing.T, Engine){
	"half-close leaves the other direction open":     testHalfClose,
	"the peer's half-close is an end, not an abort":  testPeerHalfClose,
	"abort resets the peer":                          testAbort,
	"the peer's reset fails a waiting read":          testPeerReset,
	"OnAbort tells of a reset":                       testOnAbort,
	"OnAbort tells of a reset that came before it":   testOnAbortLate,
	"OnAbort tells of a reset after a body was read": testOnAbortAfterBody,
	"OnAbort can be taken back":                      testOnAbortTakenBack,
	"close wakes a waiting reader":                   testCloseWakes,
	"a closed connection refuses everything":         testClosed,
}

func testHalfClose(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	done := f.begin(func() {
		server.Write([]byte("bye"))
		if err := server.CloseWrite(); err != nil {
			t.Errorf("CloseWrite: %v", err)
		}
		readWant(t, server, "still here")
	})
	if got, err := io.ReadAll(client); string(got) != "bye" || err != nil {
		t.Errorf("read %q, %v; want bye and the end", got, err)
	}
	say(t, client, "still here")
	<-done
}

func testPeerHalfClose(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	say(t, client, "request")
	client.(interface{ CloseWrite() error }).CloseWrite()
	f.handle(func() {
		server.OnAbort(func() { t.Error("OnAbort was called for a half-close") })
		if got, err := io.ReadAll(server); string(got) != "request" || err != nil {
			t.Errorf("Read %q, %v; want request and the end", got, err)
		}
		server.Write([]byte("response"))
		server.CloseWrite()
	})
	if got, err := io.ReadAll(client); string(got) != "response" || err != nil {
		t.Errorf("read %q, %v; want response and the end", got, err)
	}
	f.handle(func() { server.Close() })
}

func testAbort(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	f.handle(func() { server.Abort() })
	if _, err := client.Read(make([]byte, 1)); !isReset(err) {
		t.Errorf("the client's read: %v, want a reset", err)
	}
}

// reset closes a client's connection with a reset.
func reset(c net.Conn) {
	c.(interface{ SetLinger(int) error }).SetLinger(0)
	c.Close()
}

func testPeerReset(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	done := f.begin(func() {
		if _, err := server.Read(make([]byte, 1)); !isReset(err) {
			t.Errorf("Read: %v, want a reset", err)
		}
	})
	reset(client)
	<-done
}

func testOnAbort(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	aborted := make(chan struct{})
	f.post(func() { server.OnAbort(func() { close(aborted) }) })
	reset(client)
	<-aborted
}

func testOnAbortLate(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	reset(client)
	f.handle(func() { server.Read(make([]byte, 1)) })
	aborted := make(chan struct{})
	f.post(func() { server.OnAbort(func() { close(aborted) }) })
	<-aborted
}

func testOnAbortAfterBody(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	aborted := make(chan struct{})
	done := f.begin(func() {
		server.OnAbort(func() { close(aborted) })
		for range 100 {
			readWant(t, server, "piece")
		}
	})
	for range 100 {
		say(t, client, "piece")
	}
	<-done
	reset(client)
	<-aborted
}

func testOnAbortTakenBack(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	f.post(func() {
		server.OnAbort(func() { t.Error("OnAbort was called after it was taken back") })
		server.OnAbort(nil)
	})
	reset(client)
	f.handle(func() { server.Read(make([]byte, 1)) })
}

func testCloseWakes(t *testing.T, e Engine) {
	f := start(t, e, 1)
	_, server := f.connect()
	f.handle(func() {
		f.loop.Go(func() { server.Close() })
		if _, err := server.Read(make([]byte, 1)); err != net.ErrClosed {
			t.Errorf("Read: %v, want net.ErrClosed", err)
		}
	})
}

func testClosed(t *testing.T, e Engine) {
	f := start(t, e, 1)
	_, server := f.connect()
	notified := make(chan error, 1)
	f.handle(func() {
		server.Close()
		_, readErr := server.Read(make([]byte, 1))
		_, tryErr := server.TryRead(make([]byte, 1))
		_, writeErr := server.Write([]byte("x"))
		for _, err := range []error{readErr, tryErr, writeErr, server.CloseWrite(), server.Close(), server.Abort()} {
			if err != net.ErrClosed {
				t.Errorf("after Close: %v, want net.ErrClosed", err)
			}
		}
		server.Notify(func(err error) { notified <- err })
	})
	if err := <-notified; err != net.ErrClosed {
		t.Errorf("Notify after Close: %v, want net.ErrClosed", err)
	}
}

// origin listens beside the loops and serves each connection.
func (f *fixture) origin(serve func(net.Conn)) netip.AddrPort {
	f.t.Helper()
	l, err := f.network.Listen(anyPort)
	if err != nil {
		f.t.Fatal(err)
	}
	f.serveOrigin(l, serve)
	return addrOf(l)
}

func (f *fixture) serveOrigin(l net.Listener, serve func(net.Conn)) {
	f.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
}

func testDial(t *testing.T, e Engine) {
	f := start(t, e, 1)
	addr := f.origin(func(c net.Conn) { io.Copy(c, c) })
	f.handle(func() {
		c, err := f.loop.Dial("tcp", addr.String(), f.loop.Now().Add(10e9))
		if err != nil {
			t.Errorf("Dial: %v", err)
			return
		}
		defer c.Close()
		if c.RemoteAddr() != addr {
			t.Errorf("RemoteAddr %v, want %v", c.RemoteAddr(), addr)
		}
		c.Write([]byte("hello"))
		readWant(t, c, "hello")
	})
}

func testDialUnix(t *testing.T, e Engine) {
	f := start(t, e, 1)
	path := filepath.Join(t.TempDir(), "s")
	l, err := f.listenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	f.serveOrigin(l, func(c net.Conn) { io.Copy(c, c) })
	f.handle(func() {
		c, err := f.loop.Dial("unix", path, f.loop.Now().Add(10e9))
		if err != nil {
			t.Errorf("Dial: %v", err)
			return
		}
		defer c.Close()
		if c.RemoteAddr().IsValid() || c.LocalAddr().IsValid() {
			t.Errorf("a unix socket has the addresses %v and %v", c.LocalAddr(), c.RemoteAddr())
		}
		c.Write([]byte("hello"))
		readWant(t, c, "hello")
	})
}

func (f *fixture) listenUnix(path string) (net.Listener, error) {
	if n, ok := f.network.(interface {
		ListenUnix(string) (net.Listener, error)
	}); ok {
		return n.ListenUnix(path)
	}
	return net.Listen("unix", path)
}

func testDialUnixMissing(t *testing.T, e Engine) {
	f := start(t, e, 1)
	path := filepath.Join(t.TempDir(), "missing")
	f.handle(func() {
		if c, err := f.loop.Dial("unix", path, f.loop.Now().Add(10e9)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Dial: %v, %v; want ENOENT", c, err)
		}
	})
}

func testDialRefused(t *testing.T, e Engine) {
	f := start(t, e, 1)
	l, err := f.network.Listen(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	f.handle(func() {
		c, err := f.loop.Dial("tcp", l.Addr().String(), f.loop.Now().Add(10e9))
		if !isRefused(err) {
			t.Errorf("Dial: %v, %v; want ECONNREFUSED", c, err)
		}
	})
	if _, err := f.network.Dial(context.Background(), "tcp", l.Addr().String()); !isRefused(err) {
		t.Errorf("the port is taken: %v", err)
	}
}

func isRefused(err error) bool {
	return err != nil && errors.Is(err, syscall.ECONNREFUSED)
}

func addrOf(l net.Listener) netip.AddrPort {
	return netip.MustParseAddrPort(l.Addr().String())
}
