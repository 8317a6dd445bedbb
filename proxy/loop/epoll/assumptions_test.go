//go:build linux

package epoll_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"iter"
	"math/big"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What the loops lean on without any documentation's promise. A Go version or a
// kernel that changes it fails here, with the reason.

// nested returns an epoll instance inside the runtime's poller and the write
// end of a pipe that it watches.
func nested(t *testing.T) (epfd int, file *os.File, raw syscall.RawConn, w int) {
	t.Helper()
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(epfd, true); err != nil {
		t.Fatal(err)
	}
	file = os.NewFile(uintptr(epfd), "epoll")
	t.Cleanup(func() { file.Close() })
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fds[0])}
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fds[0], &ev); err != nil {
		t.Fatal(err)
	}
	raw, err = file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return epfd, file, raw, fds[1]
}

func TestRuntimePollerWakesForNestedEpoll(t *testing.T) {
	epfd, file, raw, w := nested(t)
	if err := file.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatalf("the epoll descriptor is not in the runtime's poller: %v", err)
	}
	for range 3 {
		looked := make(chan struct{}, 10)
		go func() {
			<-looked // the loop has found nothing, and parks
			unix.Write(w, []byte("x"))
		}()
		var events [4]unix.EpollEvent
		n := 0
		err := raw.Read(func(uintptr) bool {
			n, _ = unix.EpollWait(epfd, events[:], 0)
			looked <- struct{}{}
			return n > 0
		})
		if n != 1 || err != nil {
			t.Fatalf("RawConn.Read ended with %d events, %v", n, err)
		}
	}
}

func TestRawConnReadDoesNotLookAfterItsDeadline(t *testing.T) {
	_, file, raw, _ := nested(t)
	if err := file.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	called := 0
	look := func(uintptr) bool { called++; return true }
	if err := raw.Read(look); err != os.ErrDeadlineExceeded || called != 0 {
		t.Errorf("after the deadline: %v, %d calls; want os.ErrDeadlineExceeded unwrapped, none", err, called)
	}
	if err := file.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := raw.Read(look); err != nil || called != 1 {
		t.Errorf("after the deadline was taken away: %v, %d calls; want one", err, called)
	}
}

func TestCoroutineMayBeResumedByAnyGoroutine(t *testing.T) {
	next, stop := iter.Pull(func(yield func(int) bool) {
		for i := 0; yield(i); i++ {
		}
	})
	defer stop()
	for want := range 3 {
		got := make(chan int)
		go func() {
			v, _ := next()
			got <- v
		}()
		if v := <-got; v != want {
			t.Errorf("next: %d, want %d", v, want)
		}
	}
}

func TestCoroutineSwitchDoesNotAllocate(t *testing.T) {
	next, stop := iter.Pull(func(yield func(struct{}) bool) {
		for yield(struct{}{}) {
		}
	})
	defer stop()
	if allocs := testing.AllocsPerRun(100, func() { next() }); allocs != 0 {
		t.Errorf("%v allocations a switch, want 0", allocs)
	}
}

func TestAcceptedSocketsInheritNoDelay(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
		unix.Listen(fd, 1),
	); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(client)
	if err := unix.Connect(client, sa); err != nil {
		t.Fatal(err)
	}
	conn, _, err := unix.Accept(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(conn)
	if on, err := unix.GetsockoptInt(conn, unix.IPPROTO_TCP, unix.TCP_NODELAY); on == 0 || err != nil {
		t.Errorf("TCP_NODELAY of an accepted socket: %d, %v", on, err)
	}
}

// An idle TLS connection is read without waiting: its Read meets an error that
// is temporary, and must be able to go on after it, even inside a record.
func TestTemporaryErrorsDoNotStickInTLS(t *testing.T) {
	client, server := tlsPair(t)
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	n, failures := 0, 0
	for n == 0 {
		var err error
		n, err = server.Read(buf)
		if err == nil {
			continue
		}
		if !errors.Is(err, errAgain) {
			t.Fatalf("Read: %v, want the connection's own error", err)
		}
		failures++
		server.NetConn().(*drip).allowed = 1 // a byte more of the record
	}
	if !bytes.Equal(buf[:n], []byte("hello")) || failures < 5 {
		t.Errorf("read %q after %d failures", buf[:n], failures)
	}
}

// drip is a connection that reads only as many bytes as are allowed.
type drip struct {
	net.Conn
	dripping bool
	allowed  int
}

func (d *drip) Read(p []byte) (int, error) {
	if !d.dripping {
		return d.Conn.Read(p)
	}
	if d.allowed == 0 {
		return 0, errAgain
	}
	n, err := d.Conn.Read(p[:min(len(p), d.allowed)])
	d.allowed -= n
	return n, err
}

var errAgain = again{}

// again is what a connection's Read returns instead of waiting.
type again struct{}

func (again) Error() string   { return "no bytes yet" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// tlsPair returns both ends of a TLS connection after the handshake; the
// server's drips from then on.
func tlsPair(t *testing.T) (client, server *tls.Conn) {
	t.Helper()
	a, b := tcpPair(t)
	slow := &drip{Conn: b}
	client = tls.Client(a, &tls.Config{InsecureSkipVerify: true})
	server = tls.Server(slow, &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}, SessionTicketsDisabled: true})
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	if err := errors.Join(server.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	slow.dripping = true
	return client, server
}

func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
