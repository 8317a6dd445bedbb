package tlsconn_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
	"github.com/sluicegateway/sluice/proxy/loop/portable"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// trusting trusts the tests' certificate and asks for a name that it has.
func trusting() *tls.Config {
	roots := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		panic(err)
	}
	roots.AddCert(leaf)
	return &tls.Config{ServerName: "backend.example", RootCAs: roots}
}

// dialing runs fn in a handler that has connected, in fake time, to a backend
// which serve is.
func dialing(t *testing.T, serve func(net.Conn), fn func(raw loop.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		listener, err := network.Listen(netip.MustParseAddrPort("192.0.2.1:443"))
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		l := portable.New(1, portable.Options{Network: network})[0]
		var running sync.WaitGroup
		running.Go(func() { l.Run() })
		running.Go(func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				running.Go(func() {
					defer c.Close()
					serve(c)
				})
			}
		})
		done := make(chan bool)
		l.Post(func() {
			l.Go(func() {
				defer close(done)
				raw, err := l.Dial("tcp", "192.0.2.1:443", l.Now().Add(time.Second))
				if err != nil {
					t.Error(err)
					return
				}
				fn(raw)
				raw.Close()
			})
		})
		<-done
		l.Stop()
		listener.Close()
		running.Wait()
	})
}

// echoing is a backend in TLS.
func echoing(settings *tls.Config) func(net.Conn) {
	settings.Certificates = []tls.Certificate{*certificate}
	return func(raw net.Conn) {
		c := tls.Server(raw, settings)
		io.Copy(c, c)
		c.Close()
	}
}

func TestClientAgreesOnAProtocol(t *testing.T) {
	dialing(t, echoing(&tls.Config{NextProtos: []string{"h2", "http/1.1"}}), func(raw loop.Conn) {
		settings := trusting()
		settings.NextProtos = []string{"http/1.1", "h2"}
		c, err := tlsconn.NewClient(raw.Loop()).Handshake(raw, raw.Loop().Now().Add(time.Minute), settings)
		if err != nil {
			t.Fatal(err)
		}
		if c.Protocol() != "h2" || c.Peer().ServerName() != "backend.example" {
			t.Errorf("protocol %q of %q", c.Protocol(), c.Peer().ServerName())
		}
		got := make([]byte, 5)
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
			t.Errorf("got %q, %v", got, err)
		}
		c.Close()
	})
}

func TestClientSaysWhyAHandshakeFailed(t *testing.T) {
	for name, test := range map[string]struct {
		serve  func(net.Conn)
		change func(*tls.Config)
		reason string
	}{
		"another name":      {echoing(&tls.Config{}), func(c *tls.Config) { c.ServerName = "other.example" }, tlsconn.ReasonUntrusted},
		"another authority": {echoing(&tls.Config{}), func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, tlsconn.ReasonUntrusted},
		"another protocol":  {echoing(&tls.Config{NextProtos: []string{"http/1.1"}}), func(c *tls.Config) { c.NextProtos = []string{"h2-only"} }, tlsconn.ReasonNoProtocol},
		"no common version": {echoing(&tls.Config{MaxVersion: tls.VersionTLS12}), func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, "refused_by_backend"},
		"silence":           {func(c net.Conn) { io.Copy(io.Discard, c) }, func(*tls.Config) {}, "timeout"},
		"the end":           {func(c net.Conn) { c.Read(make([]byte, 1)) }, func(*tls.Config) {}, "closed"},
		"no TLS":            {func(c net.Conn) { io.WriteString(c, "\x00\x00\x00\x00\x00"); io.Copy(io.Discard, c) }, func(*tls.Config) {}, "not_tls"},
		"no end":            {func(c net.Conn) { flood(c) }, func(*tls.Config) {}, "oversized"},
	} {
		t.Run(name, func(t *testing.T) {
			dialing(t, test.serve, func(raw loop.Conn) {
				settings := trusting()
				test.change(settings)
				_, err := tlsconn.NewClient(raw.Loop()).Handshake(raw, raw.Loop().Now().Add(time.Minute), settings)
				var failed *tlsconn.Error
				if !errors.As(err, &failed) || failed.Reason != test.reason {
					t.Errorf("got %v with reason %q, want %q", err, failed.Reason, test.reason)
				}
			})
		})
	}
}

// flood sends a handshake message that claims to be large, without an end.
func flood(c net.Conn) {
	record := append([]byte{22, 3, 3, 0x40, 0}, make([]byte, 0x4000)...)
	record[5], record[6], record[7], record[8] = 2, 0, 0xff, 0xff
	for err := error(nil); err == nil; {
		_, err = c.Write(record)
	}
}

// A backend's tickets come when nobody reads. They are no data, and take no
// time away from a connection that idles; a record that does not end does.
func TestTicketsDoNotEndIdleConnections(t *testing.T) {
	for name, test := range map[string]struct {
		rest []byte // that the backend sends in the clear, beside its tickets
		idle time.Duration
	}{
		"tickets":       {nil, time.Hour},
		"half a record": {[]byte{23, 3, 3, 1, 0}, tlsconn.RecordTime},
	} {
		t.Run(name, func(t *testing.T) {
			serve := func(raw net.Conn) {
				c := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{*certificate}})
				c.Handshake()
				raw.Write(test.rest)
				io.Copy(io.Discard, raw)
			}
			dialing(t, serve, func(raw loop.Conn) {
				l, cache := raw.Loop(), new(tickets)
				settings := trusting()
				settings.ClientSessionCache = cache
				c, err := tlsconn.NewClient(l).Handshake(raw, l.Now().Add(time.Minute), settings)
				if err != nil {
					t.Fatal(err)
				}
				begin, ended := l.Now(), l.NewWaiter()
				c.SetReadDeadline(begin.Add(time.Hour))
				c.Notify(func(error) { ended.Wake() })
				if err := ended.Wait(time.Time{}); err != nil {
					t.Fatal(err)
				}
				if took := l.Now().Sub(begin); took < test.idle || took > test.idle+time.Second {
					t.Errorf("the connection ended after %v, want %v", took, test.idle)
				}
				if cache.kept == 0 {
					t.Error("no ticket was kept")
				}
				c.Close()
			})
		})
	}
}

// tickets counts them.
type tickets struct{ kept int }

func (*tickets) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (c *tickets) Put(string, *tls.ClientSessionState) { c.kept++ }
