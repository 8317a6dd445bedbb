package looptest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

var connTests = map[string]func(*testing.T, Engine){
	"bytes come back from an echo":                   testEcho,
	"addresses are those of the peers":               testAddresses,
	"read deadline ends a waiting read":              testReadDeadline,
	"read deadline that has passed refuses bytes":    testPassedDeadline,
	"read deadline set by another handler wakes":     testDeadlineFromOutside,
	"read deadline that is moved on does not fire":   testDeadlineMovedOn,
	"write deadline ends a write that nobody reads":  testWriteDeadline,
	"a slow reader holds the writer back":            testBackPressure,
	"large bodies arrive whole in both directions":   testLargeTransfer,
	"splice moves bytes, or says that it cannot":     testSplice,
	"splice ends with the source":                    testSpliceEOF,
	"a failed splice leaves nothing to the next one": testSpliceFailure,
	"splice keeps the deadline while bytes move":     testSpliceDeadline,
	"TryRead does not wait":                          testTryRead,
}

func echo(c loop.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func testEcho(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client := f.dial(f.serve(echo))
	for _, message := range []string{"one", "two", "three"} {
		say(t, client, message)
		hear(t, client, message)
	}
}

func say(t testing.TB, c net.Conn, message string) {
	t.Helper()
	if _, err := io.WriteString(c, message); err != nil {
		t.Fatalf("write %q: %v", message, err)
	}
}

func hear(t testing.TB, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func testAddresses(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	if got, want := server.RemoteAddr().String(), client.LocalAddr().String(); got != want {
		t.Errorf("RemoteAddr %s, want %s", got, want)
	}
	if got, want := server.LocalAddr().String(), client.RemoteAddr().String(); got != want {
		t.Errorf("LocalAddr %s, want %s", got, want)
	}
}

func testReadDeadline(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	f.handle(func() {
		server.SetReadDeadline(f.loop.Now().Add(30 * time.Millisecond))
		if _, err := server.Read(make([]byte, 1)); err != os.ErrDeadlineExceeded {
			t.Errorf("Read: %v, want os.ErrDeadlineExceeded", err)
		}
		server.SetReadDeadline(time.Time{})
	})
	say(t, client, "x")
	f.handle(func() { readWant(t, server, "x") })
}

// readWant reads on the loop. It may be called in handlers.
func readWant(t testing.TB, c loop.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("Read %q, %v; want %q", got, err, want)
	}
}

func testPassedDeadline(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	say(t, client, "x")
	f.handle(func() {
		server.SetReadDeadline(time.Unix(1, 0))
		if _, err := server.Read(make([]byte, 1)); err != os.ErrDeadlineExceeded {
			t.Errorf("Read: %v, want os.ErrDeadlineExceeded", err)
		}
		server.SetReadDeadline(time.Time{})
		readWant(t, server, "x")
	})
}

func testDeadlineFromOutside(t *testing.T, e Engine) {
	f := start(t, e, 1)
	_, server := f.connect()
	f.handle(func() {
		f.loop.Go(func() { server.SetReadDeadline(time.Unix(1, 0)) })
		if _, err := server.Read(make([]byte, 1)); err != os.ErrDeadlineExceeded {
			t.Errorf("Read: %v, want os.ErrDeadlineExceeded", err)
		}
	})
}

func testDeadlineMovedOn(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	done := f.begin(func() {
		server.SetReadDeadline(f.loop.Now().Add(30 * time.Millisecond))
		f.loop.Go(func() {
			server.SetReadDeadline(f.loop.Now().Add(time.Hour))
			f.loop.AfterFunc(60*time.Millisecond, func() { f.loop.Go(func() { server.Write([]byte("go")) }) })
		})
		readWant(t, server, "x")
	})
	hear(t, client, "go")
	say(t, client, "x")
	<-done
}

func testWriteDeadline(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	var n int
	f.handle(func() {
		server.SetWriteDeadline(f.loop.Now().Add(50 * time.Millisecond))
		var err error
		n, err = server.Write(make([]byte, 32<<20))
		if err != os.ErrDeadlineExceeded || n == 32<<20 {
			t.Errorf("Write: %d, %v; want some bytes and os.ErrDeadlineExceeded", n, err)
		}
		server.Close()
	})
	got, err := io.Copy(io.Discard, client)
	if e.Records && int(got) >= n && err == io.ErrUnexpectedEOF {
		return
	}
	if err != nil || int(got) != n {
		t.Errorf("the client got %d bytes, %v; Write had said %d", got, err, n)
	}
}

func testBackPressure(t *testing.T, e Engine) {
	const size = 32 << 20
	f := start(t, e, 1)
	client, server := f.connect()
	written := false
	done := f.begin(func() {
		if n, err := server.Write(make([]byte, size)); n != size || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
		written = true
	})
	f.post(func() {
		if written {
			t.Error("32 MiB were written though nobody reads")
		}
	})
	if n, err := io.CopyN(io.Discard, client, size); err != nil {
		t.Errorf("read %d of %d: %v", n, size, err)
	}
	<-done
}

func testLargeTransfer(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client := f.dial(f.serve(echo))
	sent := pattern(5 << 20)
	go func() {
		client.Write(sent)
		client.(interface{ CloseWrite() error }).CloseWrite()
	}()
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came back of %d, %v", len(got), len(sent), err)
	}
}

// pattern returns n bytes that show a swapped or lost piece.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return p
}

func testFairness(t *testing.T, e Engine) {
	f := start(t, e, 1)
	accepted := make(chan loop.Conn, 1)
	addr := f.listen(f.loop, anyPort, func(c loop.Conn) { accepted <- c }).Addr()
	var client loop.Conn
	f.handle(func() {
		var err error
		if client, err = f.loop.Dial("tcp", addr.String(), time.Time{}); err != nil {
			t.Errorf("Dial: %v", err)
		}
	})
	server := <-accepted
	f.handle(func() {
		buf := make([]byte, 16<<10)
		exchange := func() { // finds what it needs, without waiting
			client.Write(buf)
			io.ReadFull(server, buf)
		}
		exchange()
		others := false
		f.loop.Go(func() { others = true })
		for i := 0; i < 10_000 && !others; i++ {
			exchange()
		}
		if !others {
			t.Error("no other handler ran while this one moved 160 MB")
		}
	})
}

// spliced connects source → loop → sink, starts move on the loop, and returns
// the outer ends.
func spliced(f *fixture, move func(from, to loop.Conn)) (source, sink net.Conn, done <-chan struct{}) {
	source, from := f.connect()
	sink, to := f.connect()
	return source, sink, f.begin(func() { move(from, to) })
}

func testSplice(t *testing.T, e Engine) {
	f := start(t, e, 1)
	sent := pattern(3 << 20)
	source, sink, done := spliced(f, func(from, to loop.Conn) {
		n, err := to.Splice(from, int64(len(sent)), 0)
		if !e.Splices {
			if n != 0 || err != loop.ErrUnsupported {
				t.Errorf("Splice: %d, %v; want loop.ErrUnsupported", n, err)
			}
			_, err = io.Copy(struct{ io.Writer }{to}, io.LimitReader(from, int64(len(sent))))
		}
		if err != nil {
			t.Errorf("Splice: %d, %v", n, err)
		}
		readWant(t, from, "rest")
	})
	go func() {
		source.Write(sent)
		source.Write([]byte("rest"))
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(sink, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("the bytes did not come through: %v", err)
	}
	<-done
}

func testSpliceEOF(t *testing.T, e Engine) {
	if !e.Splices {
		t.Skip("this implementation does not splice")
	}
	f := start(t, e, 1)
	source, sink, done := spliced(f, func(from, to loop.Conn) {
		if n, err := to.Splice(from, 1<<40, 0); n != 5 || err != io.EOF {
			t.Errorf("Splice: %d, %v; want 5, io.EOF", n, err)
		}
		to.CloseWrite()
	})
	say(t, source, "hello")
	source.Close()
	if got, err := io.ReadAll(sink); string(got) != "hello" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	<-done
}

func testSpliceFailure(t *testing.T, e Engine) {
	if !e.Splices {
		t.Skip("this implementation does not splice")
	}
	f := start(t, e, 1)
	source, _, failed := spliced(f, func(from, to loop.Conn) {
		to.SetWriteDeadline(f.loop.Now().Add(50 * time.Millisecond))
		if n, err := to.Splice(from, 1<<40, 0); err != os.ErrDeadlineExceeded {
			t.Errorf("Splice to a sink that does not read: %d, %v; want os.ErrDeadlineExceeded", n, err)
		}
	})
	go source.Write(make([]byte, 32<<20))
	<-failed
	source, sink, done := spliced(f, func(from, to loop.Conn) { to.Splice(from, 5, 0) })
	say(t, source, "hello")
	hear(t, sink, "hello")
	<-done
}

func testSpliceDeadline(t *testing.T, e Engine) {
	if !e.Splices {
		t.Skip("this implementation does not splice")
	}
	f := start(t, e, 1)
	source, sink, done := spliced(f, func(from, to loop.Conn) {
		from.SetReadDeadline(f.loop.Now().Add(time.Hour))
		n, err := to.Splice(from, 1<<40, 50*time.Millisecond)
		if n != 10 || err != os.ErrDeadlineExceeded {
			t.Errorf("Splice: %d, %v; want 10, os.ErrDeadlineExceeded", n, err)
		}
	})
	for range 2 {
		say(t, source, "hello")
		hear(t, sink, "hello")
	}
	<-done
}

func testTryRead(t *testing.T, e Engine) {
	f := start(t, e, 1)
	client, server := f.connect()
	var got []byte
	all := make(chan struct{})
	var try func(error)
	try = func(error) {
		buf := make([]byte, 64)
		n, err := server.TryRead(buf)
		if err != nil && err != loop.ErrAgain {
			t.Errorf("TryRead: %v", err)
		}
		if got = append(got, buf[:n]...); len(got) == 10 {
			close(all)
			return
		}
		server.Notify(try)
	}
	f.post(func() { try(nil) })
	say(t, client, "hello")
	say(t, client, "world")
	<-all
	if string(got) != "helloworld" {
		t.Errorf("TryRead got %q", got)
	}
}

// isReset reports whether err is what a peer's reset causes.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
