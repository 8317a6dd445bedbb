package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
	"github.com/sluicegateway/sluice/proxy/loop/portable"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// The name of a ClientHello is found however its bytes come in, is what
// crypto/tls finds in it, and what is no ClientHello ends the handshake.
func FuzzServerName(f *testing.F) {
	for _, name := range []string{"web.example", "WEB.Example", "", "*.example", "xn--bcher-kva.example", "a\x00b", strings.Repeat("a.", 126) + "a", strings.Repeat("a.", 127) + "a"} {
		f.Add(helloFor(name), uint16(7))
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint16(1))
	network := memnet.New()
	l := portable.New(1, portable.Options{Network: network})[0]
	server, names := tlsconn.NewServer(l), make(chan []string, 1)
	bound, err := l.Listen(netip.MustParseAddrPort("127.0.0.1:443"), func(raw loop.Conn) {
		l.Go(func() {
			defer raw.Close()
			var asked []string
			defer func() { names <- asked }()
			_, err := server.Handshake(raw, l.Now().Add(time.Minute), func(name string) *tlsconn.Profile {
				asked = append(asked, name)
				return nil
			})
			if failed := new(tlsconn.Error); !errors.As(err, &failed) || failed.Reason == "" {
				f.Errorf("the handshake ended with %v", err)
			}
		})
	})
	if err != nil {
		f.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { l.Run() })
	f.Cleanup(func() {
		l.Stop()
		running.Wait()
	})
	f.Fuzz(func(t *testing.T, stream []byte, step uint16) {
		c, err := network.Dial(t.Context(), "tcp", bound.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go io.Copy(io.Discard, c)
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), int(step)+1)
			if _, err := c.Write(rest[:n]); err != nil {
				break // it has heard enough
			}
			rest = rest[n:]
		}
		c.(interface{ CloseWrite() error }).CloseWrite()
		want := nameIn(stream)
		if got := <-names; strings.Join(got, "|") != strings.Join(want, "|") || len(got) != len(want) {
			t.Errorf("asked for %q, want %q", got, want)
		}
	})
}

// nameIn is what crypto/tls finds and a listener may be asked for.
func nameIn(stream []byte) (names []string) {
	_ = tls.Server(&replay{keeper{}, bytes.NewReader(stream[:min(len(stream), tlsconn.MaxHandshake)])}, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if len(hello.ServerName) <= 253 {
				names = append(names, strings.ToLower(hello.ServerName))
			}
			return nil, errors.New("enough")
		},
	}).Handshake()
	return names
}

// replay is a client that has sent a stream.
type replay struct {
	keeper
	stream *bytes.Reader
}

func (r *replay) Read(p []byte) (int, error) { return r.stream.Read(p) }

// helloFor is the ClientHello of a client that asks for the name.
func helloFor(name string) []byte {
	var sent keeper
	_ = tls.Client(&sent, &tls.Config{ServerName: name}).Handshake() // fails for want of an answer
	return sent.bytes
}

// keeper keeps what is written and answers nothing.
type keeper struct {
	net.Conn
	bytes []byte
}

func (k *keeper) Write(p []byte) (int, error) {
	k.bytes = append(k.bytes, p...)
	return len(p), nil
}
func (k *keeper) Read([]byte) (int, error)         { return 0, io.EOF }
func (k *keeper) Close() error                     { return nil }
func (k *keeper) SetWriteDeadline(time.Time) error { return nil }
