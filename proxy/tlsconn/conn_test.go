package tlsconn_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/looptest"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
	"github.com/sluicegateway/sluice/proxy/loop/portable"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A connection in TLS keeps the contract of loops, as one in clear text does.
func TestConnOnHostNetwork(t *testing.T) {
	looptest.RunConns(t, looptest.Engine{
		Records: true,
		Make: func(_ testing.TB, n int, onPanic func(any, []byte)) ([]loop.Loop, loop.Network) {
			return secure(portable.New(n, portable.Options{OnPanic: onPanic}), loop.HostNetwork{})
		},
	})
}

func TestConnInBubble(t *testing.T) {
	looptest.RunConns(t, looptest.Engine{
		Records: true,
		Bubble:  true,
		Make: func(_ testing.TB, n int, onPanic func(any, []byte)) ([]loop.Loop, loop.Network) {
			network := memnet.New()
			return secure(portable.New(n, portable.Options{Network: network, OnPanic: onPanic}), network)
		},
	})
}

// engines make a loop each.
var engines = map[string]func(t *testing.T) loop.Loop{
	"portable": func(*testing.T) loop.Loop { return portable.New(1, portable.Options{})[0] },
}

// crypto/tls locks its output while it writes, and again when a read has to
// answer. A reader must not wait for that lock while a writer waits for room:
// both run on one loop, which would stand still.
func TestReadersDoNotWaitForWriters(t *testing.T) {
	for name, make1 := range engines {
		t.Run(name, func(t *testing.T) {
			loops, network := secure([]loop.Loop{make1(t)}, loop.HostNetwork{})
			l := loops[0]
			accepted := make(chan loop.Conn, 1)
			bound, err := l.Listen(netip.MustParseAddrPort("127.0.0.1:0"), func(c loop.Conn) { accepted <- c })
			if err != nil {
				t.Fatal(err)
			}
			var running sync.WaitGroup
			running.Go(func() { l.Run() })
			defer running.Wait()
			defer l.Stop()
			dialed, err := network.Dial(t.Context(), "tcp", bound.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer dialed.Close()
			server := <-accepted
			written, read := make(chan error, 1), make(chan error, 1)
			l.Post(func() {
				l.Go(func() {
					_, err := server.Write(make([]byte, 64<<20))
					written <- err
				})
				l.Go(func() {
					_, err := server.Read(make([]byte, 1))
					read <- err
				})
			})
			// A record that cannot be decrypted is answered with an alert.
			forged := append([]byte{23, 3, 3, 0, 64}, make([]byte, 64)...)
			if _, err := dialed.(*client).raw.Write(forged); err != nil {
				t.Fatal(err)
			}
			if err := <-read; err == nil {
				t.Error("a forged record was read")
			}
			answered := make(chan bool, 1)
			l.Post(func() { answered <- true })
			<-answered
			dialed.(*client).SetLinger(0)
			dialed.Close()
			if err := <-written; err == nil {
				t.Error("all was written to a client that reads nothing")
			}
		})
	}
}

// certificate is that of most tests.
var certificate = func() *tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return selfSigned(key)
}()

// selfSigned makes a certificate that signs itself.
func selfSigned(key crypto.Signer) *tls.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"backend.example"}, NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour)}
	leaf, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: key}
}

// profile shows the certificate to everybody.
var profile = showing(certificate)

func showing(c *tls.Certificate) *tlsconn.Profile {
	return tlsconn.NewProfile(&tlsconn.Options{Certificates: tlsconn.Certificates{tlsconn.NewCertificate(c)}})
}

// secure puts TLS on what loops accept, and on what their clients dial.
func secure(loops []loop.Loop, network loop.Network) ([]loop.Loop, loop.Network) {
	var secured []loop.Loop
	for _, l := range loops {
		secured = append(secured, secureLoop{l, tlsconn.NewServer(l)})
	}
	return secured, secureNetwork{network}
}

type secureLoop struct {
	loop.Loop
	server *tlsconn.Server
}

func (l secureLoop) Listen(addr netip.AddrPort, accept func(loop.Conn)) (loop.Listener, error) {
	return l.Loop.Listen(addr, func(raw loop.Conn) {
		l.Go(func() {
			c, err := l.server.Handshake(raw, l.Now().Add(time.Minute), func(string) *tlsconn.Profile { return profile })
			if err != nil {
				raw.Close()
				return
			}
			raw.SetReadDeadline(time.Time{})
			raw.SetWriteDeadline(time.Time{})
			l.Post(func() { accept(c) })
		})
	})
}

type secureNetwork struct{ loop.Network }

func (n secureNetwork) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	raw, err := n.Network.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &client{tls.Client(raw, &tls.Config{InsecureSkipVerify: true}), raw, false}
	go c.Handshake()
	return c, nil
}

// client has what tests ask of a net.TCPConn.
type client struct {
	*tls.Conn
	raw    net.Conn
	resets bool
}

func (c *client) SetLinger(sec int) error {
	c.resets = sec == 0
	return c.raw.(interface{ SetLinger(int) error }).SetLinger(sec)
}

// Close says nothing before a reset.
func (c *client) Close() error {
	if c.resets {
		return c.raw.Close()
	}
	return c.Conn.Close()
}
