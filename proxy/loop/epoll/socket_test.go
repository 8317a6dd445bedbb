//go:build linux

package epoll_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/epoll"
)

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// run makes n loops and runs them until the test ends.
func run(t *testing.T, n int, options epoll.Options) []loop.Loop {
	t.Helper()
	loops, err := epoll.New(n, options)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, n)
	for _, l := range loops {
		go func() { ended <- l.Run() }()
	}
	t.Cleanup(func() {
		for _, l := range loops {
			l.Stop()
		}
		for range loops {
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	})
	return loops
}

// on runs fn on l, outside any handler, to its end.
func on(l loop.Loop, fn func()) {
	done := make(chan struct{})
	l.Post(func() {
		defer close(done)
		fn()
	})
	<-done
}

// handle runs fn as a handler to its end.
func handle(l loop.Loop, fn func()) {
	done := make(chan struct{})
	l.Post(func() {
		l.Go(func() {
			defer close(done)
			fn()
		})
	})
	<-done
}

func listen(t *testing.T, l loop.Loop, addr netip.AddrPort, accept func(loop.Conn)) (s loop.Listener) {
	t.Helper()
	var err error
	on(l, func() { s, err = l.Listen(addr, accept) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func dial(t *testing.T, addr netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Two events come in one turn, and the function for the first reads what the
// second is about.
func TestNotifyIsSilentAboutBytesReadInTheSameTurn(t *testing.T) {
	l := run(t, 1, epoll.Options{})[0]
	accepted := make(chan loop.Conn, 1)
	addr := listen(t, l, anyPort, func(c loop.Conn) { accepted <- c }).Addr()
	firstClient, first := dial(t, addr), <-accepted
	secondClient, second := dial(t, addr), <-accepted

	secondClient.Write([]byte("x"))
	handle(l, func() { second.Read(make([]byte, 1)) }) // a full buffer: there may be more
	on(l, func() {
		first.Notify(func(error) {
			if n, err := second.TryRead(make([]byte, 8)); n != 1 || err != nil {
				t.Errorf("TryRead: %d, %v; want the byte", n, err)
			}
			second.Notify(func(error) {})
		})
		firstClient.Write([]byte("x"))
		secondClient.Write([]byte("x"))
	})
	handle(l, func() {
		l.Sleep(20 * time.Millisecond)
		if !second.StopNotify() {
			t.Error("Notify was called though the byte had been read")
		}
	})
}

// The kernel's hash may give all connections to one loop; with few of them that
// would leave a processor idle.
func TestFewConnectionsAreBalanced(t *testing.T) {
	loops := run(t, 2, epoll.Options{})
	accepted := make(chan loop.Loop, 1)
	accept := func(c loop.Conn) { accepted <- c.Loop() }
	addr := listen(t, loops[0], anyPort, accept).Addr()
	listen(t, loops[1], addr, accept)
	counts := make(map[loop.Loop]int)
	for range 8 {
		dial(t, addr)
		counts[<-accepted]++
	}
	if counts[loops[0]] != 4 {
		t.Errorf("the loops have %d and %d connections, want 4 and 4", counts[loops[0]], counts[loops[1]])
	}
}

// The rest of the burst must not look for connections at a descriptor that is
// closed, and may be another socket's by then.
func TestBurstEndsWithItsListener(t *testing.T) {
	l := run(t, 1, epoll.Options{OnAcceptError: func(_ netip.AddrPort, err error) {
		t.Errorf("OnAcceptError: %v", err)
	}})[0]
	accepted := make(chan struct{}, 3)
	var s loop.Listener
	s = listen(t, l, anyPort, func(loop.Conn) {
		s.Close()
		accepted <- struct{}{}
	})
	on(l, func() {
		for range cap(accepted) {
			dial(t, s.Addr())
		}
	})
	for range cap(accepted) {
		<-accepted
	}
}

func TestAcceptRestsWithoutDescriptors(t *testing.T) {
	failed := make(chan error, 16)
	loops := run(t, 1, epoll.Options{OnAcceptError: func(_ netip.AddrPort, err error) { failed <- err }})
	accepted := make(chan struct{}, 1)
	addr := listen(t, loops[0], anyPort, func(loop.Conn) { accepted <- struct{}{} }).Addr()
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(client)

	restore := exhaustDescriptors(t)
	err = unix.Connect(client, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
	got := <-failed
	restore()
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(got, syscall.EMFILE) {
		t.Errorf("OnAcceptError got %v, want EMFILE", got)
	}
	<-accepted
}

// exhaustDescriptors lowers the limit until no descriptor can be opened.
func exhaustDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 0, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
}

// silent returns an address whose queue is full, so that connecting hangs.
func silent(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(sa.(*unix.SockaddrInet4).Port))
	dial(t, addr) // fills the queue
	return addr.String()
}

func TestDialDeadline(t *testing.T) {
	l := run(t, 1, epoll.Options{})[0]
	addr := silent(t)
	handle(l, func() {
		c, err := l.Dial("tcp", addr, l.Now().Add(50*time.Millisecond))
		if err != os.ErrDeadlineExceeded {
			t.Errorf("Dial: %v, %v; want os.ErrDeadlineExceeded", c, err)
		}
	})
}

func TestDialEndsWithTheLoop(t *testing.T) {
	l := run(t, 1, epoll.Options{})[0]
	addr := silent(t)
	handle(l, func() {
		l.Go(l.Stop)
		if c, err := l.Dial("tcp", addr, time.Time{}); err != loop.ErrStopped {
			t.Errorf("Dial: %v, %v; want loop.ErrStopped", c, err)
		}
	})
}

// A unix socket whose queue is full has no event for room in it.
func TestDialUnixWaitsForTheQueue(t *testing.T) {
	l := run(t, 1, epoll.Options{})[0]
	path := t.TempDir() + "/s"
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	handle(l, func() {
		if _, err := l.Dial("unix", path, time.Time{}); err != nil {
			t.Errorf("the first Dial: %v", err)
		}
		if _, err := l.Dial("unix", path, l.Now().Add(30*time.Millisecond)); err != os.ErrDeadlineExceeded {
			t.Errorf("Dial to a full queue: %v, want os.ErrDeadlineExceeded", err)
		}
		l.AfterFunc(30*time.Millisecond, func() {
			if conn, _, err := unix.Accept(fd); err == nil {
				defer unix.Close(conn)
			}
		})
		if _, err := l.Dial("unix", path, l.Now().Add(10*time.Second)); err != nil {
			t.Errorf("Dial when there is room again: %v", err)
		}
	})
}

func TestWildcardListensOnBothFamilies(t *testing.T) {
	l := run(t, 1, epoll.Options{})[0]
	accepted := make(chan netip.AddrPort, 1)
	port := listen(t, l, netip.MustParseAddrPort("[::]:0"), func(c loop.Conn) { accepted <- c.RemoteAddr() }).Addr().Port()
	for _, ip := range []string{"127.0.0.1", "::1"} {
		addr := netip.AddrPortFrom(netip.MustParseAddr(ip), port)
		client := dial(t, addr)
		if got, want := (<-accepted).String(), client.LocalAddr().String(); got != want {
			t.Errorf("RemoteAddr %s, want %s", got, want)
		}
	}
}

// A specific address may be served beside all addresses of the same port.
func TestSpecificAddressBesideWildcard(t *testing.T) {
	l := run(t, 1, epoll.Options{})[0]
	accepted := make(chan string, 1)
	all := listen(t, l, netip.MustParseAddrPort("0.0.0.0:0"), func(loop.Conn) { accepted <- "all" })
	one := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), all.Addr().Port())
	listen(t, l, one, func(loop.Conn) { accepted <- "one" })
	dial(t, one)
	if got := <-accepted; got != "one" {
		t.Errorf("the listener for %s accepted, want the specific one", got)
	}
	dial(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), all.Addr().Port()))
	if got := <-accepted; got != "all" {
		t.Errorf("the listener for %s accepted, want that for all", got)
	}
}

// Another program that allows sharing is still another program.
func TestAddressOfAReusePortProgramIsRefused(t *testing.T) {
	other := run(t, 1, epoll.Options{})[0]
	addr := listen(t, other, anyPort, func(loop.Conn) {}).Addr()
	l := run(t, 1, epoll.Options{})[0]
	on(l, func() {
		if _, err := l.Listen(addr, func(loop.Conn) {}); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("Listen: %v, want EADDRINUSE", err)
		}
	})
}

func TestDescriptorsAreGivenBack(t *testing.T) {
	before := descriptors(t)
	t.Run("loops", func(t *testing.T) {
		loops := run(t, 2, epoll.Options{})
		accepted := make(chan loop.Conn, 1)
		addr := listen(t, loops[0], anyPort, func(c loop.Conn) { accepted <- c }).Addr()
		for range 10 {
			dial(t, addr)
			<-accepted
		}
		handle(loops[0], func() { splicePast(t, loops[0], addr, accepted) })
	})
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

// splicePast leaves a pipe behind that has bytes in it, for want of a reader.
func splicePast(t *testing.T, l loop.Loop, addr netip.AddrPort, accepted <-chan loop.Conn) {
	client, err := l.Dial("tcp", addr.String(), time.Time{})
	if err != nil {
		t.Errorf("Dial: %v", err)
		return
	}
	l.Sleep(20 * time.Millisecond)
	server := <-accepted
	l.Go(func() { client.Write(make([]byte, 16<<20)) })
	server.SetWriteDeadline(l.Now().Add(50 * time.Millisecond))
	if n, err := server.Splice(server, 1<<40, 0); err != os.ErrDeadlineExceeded {
		t.Errorf("Splice: %d, %v; want os.ErrDeadlineExceeded", n, err)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// The turn after the one in which "a" came begins with a timer that is due
// already, so it waits for no event: those of the turn before are not to be
// seen again.
func TestEventsAreSeenOnce(t *testing.T) {
	l := run(t, 1, epoll.Options{})[0]
	accepted := make(chan loop.Conn, 1)
	s := listen(t, l, anyPort, func(c loop.Conn) { accepted <- c })
	client := dial(t, s.Addr())
	c := <-accepted
	due, read := make(chan struct{}), make(chan struct{})
	on(l, func() {
		c.Notify(func(error) {
			l.Go(func() {
				defer close(read)
				if _, err := c.Read(make([]byte, 8)); err != nil {
					t.Errorf("Read: %v", err)
				}
				c.Notify(func(err error) { t.Errorf("Notify of a connection without bytes was called: %v", err) })
				l.AfterFunc(0, func() { close(due) })
				time.Sleep(30 * time.Millisecond) // the handler is busy until the timer is due
			})
		})
	})
	if _, err := client.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	<-read
	<-due
	on(l, func() {
		if !c.StopNotify() {
			t.Error("the Notify is gone")
		}
	})
}

// A read ends before urgent data (RFC 9293 section 3.8.5) and does not fill its
// buffer, though more bytes are there.
func TestUrgentData(t *testing.T) {
	l := run(t, 1, epoll.Options{})[0]
	client, c := withUrgentData(t, l)
	defer client.Close()
	handle(l, func() {
		c.SetReadDeadline(l.Now().Add(5 * time.Second))
		got := make([]byte, 4)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "abcd" {
			t.Errorf("read %q, %v; want abcd", got, err)
		}
	})
}

// The kernel's splice never passes urgent data.
func TestSpliceOfUrgentData(t *testing.T) {
	l := run(t, 1, epoll.Options{})[0]
	client, from := withUrgentData(t, l)
	client.Close()
	accepted := make(chan loop.Conn, 1)
	s := listen(t, l, anyPort, func(c loop.Conn) { accepted <- c })
	sink, to := dial(t, s.Addr()), <-accepted
	handle(l, func() {
		from.SetReadDeadline(l.Now().Add(5 * time.Second))
		if n, err := to.Splice(from, 1<<40, 0); n != 4 || err != io.EOF {
			t.Errorf("Splice: %d, %v; want 4, io.EOF", n, err)
		}
		to.Close()
	})
	if got, err := io.ReadAll(sink); string(got) != "abcd" || err != nil {
		t.Errorf("got %q, %v; want abcd", got, err)
	}
}

// withUrgentData connects to l, which finds "ab", an urgent byte and "cd" at once.
func withUrgentData(t *testing.T, l loop.Loop) (net.Conn, loop.Conn) {
	t.Helper()
	accepted := make(chan loop.Conn, 1)
	s := listen(t, l, anyPort, func(c loop.Conn) { accepted <- c })
	client, c := dial(t, s.Addr()), <-accepted
	raw, err := client.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	send := func(text string, flags int) {
		err := raw.Control(func(fd uintptr) {
			if err := unix.Sendto(int(fd), []byte(text), flags, nil); err != nil {
				t.Errorf("sendto: %v", err)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
	on(l, func() {
		send("ab", 0)
		send("!", unix.MSG_OOB)
		send("cd", 0)
	})
	return client, c
}

// A handler whose peer takes bytes as fast as it writes never waits for room.
func TestWriterLetsOthersRun(t *testing.T) {
	t.Run("many bytes", func(t *testing.T) { testWriterLetsOthersRun(t, 1<<10, 1<<10) })
	t.Run("many writes", func(t *testing.T) { testWriterLetsOthersRun(t, 1<<12, 1) })
}

func testWriterLetsOthersRun(t *testing.T, writes, size int) {
	l := run(t, 1, epoll.Options{})[0]
	accepted := make(chan loop.Conn, 1)
	s := listen(t, l, anyPort, func(c loop.Conn) { accepted <- c })
	client := dial(t, s.Addr())
	c := <-accepted
	var drained sync.WaitGroup
	drained.Go(func() { io.Copy(io.Discard, client) })
	handle(l, func() {
		defer c.Close()
		ran := false
		l.Post(func() { ran = true })
		for range writes {
			if _, err := c.Write(make([]byte, size)); err != nil {
				t.Errorf("Write: %v", err)
			}
		}
		if !ran {
			t.Errorf("nothing else ran during %d writes of %d bytes", writes, size)
		}
	})
	drained.Wait()
}
