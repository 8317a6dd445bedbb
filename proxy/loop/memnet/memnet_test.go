package memnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"github.com/sluicegateway/sluice/proxy/loop/memnet"
)

func TestConnKeepsTheContractOfNet(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := memnet.Pipe()
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

var addr = netip.MustParseAddrPort("10.0.0.1:80")

// connect returns both ends of a connection through a listener.
func connect(t *testing.T, n *memnet.Network, l net.Listener, to string) (client, server net.Conn) {
	t.Helper()
	client, err := n.Dial(context.Background(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestAddresses(t *testing.T) {
	n := memnet.New()
	l, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	client, server := connect(t, n, l, "10.0.0.1:80")
	if got := client.RemoteAddr().String(); got != "10.0.0.1:80" {
		t.Errorf("the client's remote address is %s", got)
	}
	if got, want := server.RemoteAddr().String(), client.LocalAddr().String(); got != want {
		t.Errorf("the server's remote address is %s, want %s", got, want)
	}
}

func TestListen(t *testing.T) {
	for _, c := range []struct {
		name, listen, dial string
		want               error
	}{
		{"the very address", "10.0.0.1:80", "10.0.0.1:80", nil},
		{"another address", "10.0.0.1:80", "10.0.0.2:80", syscall.ECONNREFUSED},
		{"another port", "10.0.0.1:80", "10.0.0.1:81", syscall.ECONNREFUSED},
		{"all of IPv4", "0.0.0.0:80", "10.0.0.1:80", nil},
		{"all of both", "[::]:80", "10.0.0.1:80", nil},
		{"all of IPv6", "[::]:80", "[fd00::1]:80", nil},
		{"IPv4 is not IPv6", "0.0.0.0:80", "[fd00::1]:80", syscall.ECONNREFUSED},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := memnet.New()
			if _, err := n.Listen(netip.MustParseAddrPort(c.listen)); err != nil {
				t.Fatal(err)
			}
			if _, err := n.Dial(context.Background(), "tcp", c.dial); !errors.Is(err, c.want) {
				t.Errorf("dial: %v, want %v", err, c.want)
			}
		})
	}
}

func TestAddressInUse(t *testing.T) {
	n := memnet.New()
	l, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Listen(addr); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second Listen: %v, want EADDRINUSE", err)
	}
	l.Close()
	if _, err := n.Listen(addr); err != nil {
		t.Errorf("Listen after Close: %v", err)
	}
}

func TestFullQueueHoldsDialsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		l, err := n.Listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		dial := func() error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_, err := n.Dial(ctx, "tcp", addr.String())
			return err
		}
		for dial() == nil { // until the queue is full
		}
		if err := dial(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial to a full queue: %v, want the context's deadline", err)
		}
		go l.Accept()
		if err := dial(); err != nil {
			t.Errorf("dial after an Accept: %v", err)
		}
	})
}

func TestListenerClose(t *testing.T) {
	n := memnet.New()
	l, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	queued, err := n.Dial(context.Background(), "tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := queued.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a queued connection reads %v, want ECONNRESET", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v, want net.ErrClosed", err)
	}
}

func TestAcceptDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := memnet.New().Listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		l.(*memnet.Listener).SetDeadline(time.Now().Add(time.Hour))
		if _, err := l.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Accept: %v, want os.ErrDeadlineExceeded", err)
		}
	})
}

func TestUnix(t *testing.T) {
	n := memnet.New()
	if _, err := n.Dial(context.Background(), "unix", "/run/s"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("dial without a listener: %v, want ENOENT", err)
	}
	if _, err := n.ListenUnix("/run/s"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Dial(context.Background(), "unix", "/run/s"); err != nil {
		t.Errorf("dial: %v", err)
	}
}

func TestHalfClose(t *testing.T) {
	a, b := memnet.Pipe()
	io.WriteString(a, "last")
	a.CloseWrite()
	if got, err := io.ReadAll(b); string(got) != "last" || err != nil {
		t.Errorf("read %q, %v; want last and the end", got, err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after CloseWrite: %v, want EPIPE", err)
	}
	io.WriteString(b, "answer")
	b.Close()
	if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
		t.Errorf("read %q, %v; want answer and the end", got, err)
	}
}

// RFC 9293 section 3.6.1: a close that leaves bytes unread is a reset.
func TestCloseWithUnreadBytesResets(t *testing.T) {
	a, b := memnet.Pipe()
	io.WriteString(a, "unread")
	io.WriteString(b, "lost")
	b.Close()
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v, want ECONNRESET", err)
	}
}

func TestLingerZeroResets(t *testing.T) {
	a, b := memnet.Pipe()
	b.SetLinger(0)
	b.Close()
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v, want ECONNRESET", err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("write: %v, want ECONNRESET", err)
	}
}

func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		a.SetWriteDeadline(time.Now().Add(time.Hour))
		n, err := a.Write(make([]byte, 1<<20))
		if n != 64<<10 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %d, %v; want 64 KiB and os.ErrDeadlineExceeded", n, err)
		}
		a.SetWriteDeadline(time.Time{})
		io.ReadFull(b, make([]byte, 100))
		if n, err := a.Write(make([]byte, 100)); n != 100 || err != nil {
			t.Errorf("write where there is room: %d, %v", n, err)
		}
	})
}
