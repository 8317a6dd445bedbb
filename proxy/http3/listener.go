package http3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"
)

// ListenOptions say whom a Listener lets in. Its functions are called from
// goroutines of QUIC's and must not wait.
type ListenOptions struct {
	// TLS has the settings for each server name.
	TLS *tls.Config
	// Limits are those of a connection that begins.
	Limits func() *Limits
	// Handshakes is how many may be under way; more are refused. From a quarter
	// on, clients first prove that they are where they say (Retry, RFC 9000
	// section 8.1.2), so that nobody makes many with addresses of others.
	Handshakes int64
	// Busy reports whether there is no room for more connections at all.
	Busy func() bool
	// Accept gets each connection whose handshake is done.
	Accept func(*Conn)
	// Failed is told of the others: reason is one word, of few and fixed ones.
	Failed func(reason string, remote net.Addr, err error)
}

// Listener is a UDP socket. Its methods may be called from any goroutine, but for
// Resume and Pause, which one at a time calls.
type Listener struct {
	o          ListenOptions
	udp        *net.UDPConn
	transport  *quic.Transport
	listener   *quic.Listener // nil while it takes no connections
	handshakes atomic.Int64
	running    sync.WaitGroup
}

// Conn is a connection whose handshake is done.
type Conn struct{ quic *quic.Conn }

// Buffers is the size in bytes that both buffers of a socket should have; QUIC
// asks for it. The system may grant less.
const Buffers = 7 << 20

// Listen opens a socket, and takes connections.
func Listen(addr netip.AddrPort, o *ListenOptions) (*Listener, error) {
	network := "udp"
	if addr.Addr().Is4() {
		network = "udp4"
	}
	udp, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	silence()
	l := &Listener{o: *o, udp: udp}
	l.transport = &quic.Transport{
		Conn:                udp,
		ConnectionIDLength:  8,
		VerifySourceAddress: func(net.Addr) bool { return l.handshakes.Load() >= l.o.Handshakes/4 },
		ConnContext:         l.begin,
	}
	if err := l.Resume(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// silence keeps quic-go from a warning of its own about buffers. The variable is
// its only switch for that.
var silence = sync.OnceFunc(func() {
	os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
})

// Resume takes connections again after Pause.
func (l *Listener) Resume() error {
	settings := l.o.Limits().settings()
	settings.GetConfigForClient = func(*quic.ClientInfo) (*quic.Config, error) { return l.o.Limits().settings(), nil }
	listener, err := l.transport.Listen(l.o.TLS, settings)
	if err != nil {
		return err
	}
	l.listener = listener
	l.running.Go(func() { l.accept(listener) })
	return nil
}

// Pause takes no more connections; those that there are go on.
func (l *Listener) Pause() {
	if l.listener != nil {
		_ = l.listener.Close() // fails never
		l.listener = nil
	}
}

// Close ends all connections at once and closes the socket.
func (l *Listener) Close() error {
	l.Pause()
	err := errors.Join(l.transport.Close(), l.udp.Close())
	l.running.Wait()
	return err
}

// ReadBuffer is the size of the socket's receive buffer in bytes, 0 if the system
// does not tell.
func (l *Listener) ReadBuffer() int { return readBuffer(l.udp) }

func (l *Listener) accept(listener *quic.Listener) {
	for {
		c, err := listener.Accept(context.Background())
		if err != nil { // it is closed
			return
		}
		if h, ok := c.Context().Value(handshakeKey{}).(*handshake); ok && h.end() {
			l.o.Accept(&Conn{c})
		}
	}
}

// handshake is one that is under way.
type handshake struct {
	listener *Listener
	ended    atomic.Bool
}

type handshakeKey struct{}

// end reports whether it had not ended before.
func (h *handshake) end() bool {
	if h.ended.Swap(true) {
		return false
	}
	h.listener.handshakes.Add(-1)
	return true
}

var errBusy = errors.New("there are too many connections")

// begin counts a handshake that a client begins.
func (l *Listener) begin(ctx context.Context, client *quic.ClientInfo) (context.Context, error) {
	if l.o.Busy() {
		return nil, errBusy
	}
	if l.handshakes.Add(1) > l.o.Handshakes {
		l.handshakes.Add(-1)
		return nil, errBusy
	}
	h := &handshake{listener: l}
	context.AfterFunc(ctx, func() {
		if h.end() {
			err := context.Cause(ctx)
			l.o.Failed(failureOf(err), client.RemoteAddr, err)
		}
	})
	return context.WithValue(ctx, handshakeKey{}, h), nil
}

// failureOf says in one word why a handshake failed.
func failureOf(err error) string {
	_, slow := errors.AsType[*quic.HandshakeTimeoutError](err)
	_, idle := errors.AsType[*quic.IdleTimeoutError](err)
	transport, wrong := errors.AsType[*quic.TransportError](err)
	switch {
	case slow || idle:
		return "timeout"
	case wrong && transport.ErrorCode.IsCryptoError() && transport.Remote:
		return "refused_by_client"
	case wrong && transport.Remote, errors.Is(err, quic.ErrTransportClosed):
		return "closed"
	}
	return "failed"
}

// Refuse ends a connection for which there is no room.
func (c *Conn) Refuse() {
	_ = c.quic.CloseWithError(quic.ApplicationErrorCode(ExcessiveLoad), "too many connections") // it may have ended
}

// RemoteAddr is where the client is now.
func (c *Conn) RemoteAddr() netip.AddrPort { return addrPort(c.quic.RemoteAddr()) }

// State is that of its TLS.
func (c *Conn) State() tls.ConnectionState { return c.quic.ConnectionState().TLS }

// addrPort is the address of a socket of QUIC's.
func addrPort(addr net.Addr) netip.AddrPort {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		panic(fmt.Sprintf("http3: an address is a %T", addr)) // all sockets are of Listen's
	}
	at := udp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
