package tlsconn_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// protector makes records of TLS 1.3 (RFC 8446 section 5.2) that crypto/tls would
// not send, for a client that agreed on AES-128-GCM.
type protector struct {
	secret []byte
	seal   cipher.AEAD
	iv     []byte
	count  uint64
}

func expand(secret []byte, label string, length int) []byte {
	label = "tls13 " + label
	info := append(binary.BigEndian.AppendUint16(nil, uint16(length)), byte(len(label)))
	out, err := hkdf.Expand(sha256.New, secret, string(append(append(info, label...), 0)), length)
	if err != nil {
		panic(err)
	}
	return out
}

func protect(secret []byte) *protector {
	block, err := aes.NewCipher(expand(secret, "key", 16))
	if err != nil {
		panic(err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return &protector{secret: secret, seal: seal, iv: expand(secret, "iv", 12)}
}

func (p *protector) record(kind byte, content ...byte) []byte {
	head := []byte{23, 3, 3, 0, byte(len(content) + 1 + 16)}
	nonce := bytes.Clone(p.iv)
	for i, b := range binary.BigEndian.AppendUint64(nil, p.count) {
		nonce[4+i] ^= b
	}
	p.count++
	return p.seal.Seal(head, nonce, append(content, kind), head)
}

const (
	handshakeRecord = 22
	dataRecord      = 23
)

// updated is a KeyUpdate that asks for one in return, after which the keys are
// others (RFC 8446 sections 4.6.3 and 7.2).
func (p *protector) updated() []byte {
	update := p.record(handshakeRecord, 24, 0, 0, 1, 1)
	*p = *protect(expand(p.secret, "traffic upd", 32))
	return update
}

// A client that sends few bytes between records that cost sums and have no data
// is cut off, though crypto/tls sees each of them followed by data.
func TestUselessRecordsAreBounded(t *testing.T) {
	for name, useless := range map[string]func(*protector) []byte{
		"changes of keys": (*protector).updated,
		"empty records":   func(p *protector) []byte { return p.record(dataRecord) },
	} {
		for engine, make1 := range engines {
			t.Run(name+" on "+engine, func(t *testing.T) {
				l := make1(t)
				server, got := tlsconn.NewServer(l), make(chan int, 1)
				bound, err := l.Listen(netip.MustParseAddrPort("127.0.0.1:0"), func(raw loop.Conn) {
					l.Go(func() {
						defer raw.Close()
						read := 0
						defer func() { got <- read }()
						c, err := server.Handshake(raw, l.Now().Add(time.Minute), func(string) *tlsconn.Profile { return profile })
						for buffer := make([]byte, 100); err == nil; {
							var n int
							n, err = c.Read(buffer)
							read += n
						}
					})
				})
				if err != nil {
					t.Fatal(err)
				}
				var running sync.WaitGroup
				running.Go(func() { l.Run() })
				defer running.Wait()
				defer l.Stop()
				raw, err := net.Dial("tcp", bound.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer raw.Close()
				var log strings.Builder
				if err := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: &log}).Handshake(); err != nil {
					t.Fatal(err)
				}
				_, line, _ := strings.Cut(log.String(), "CLIENT_TRAFFIC_SECRET_0 ")
				secret, err := hex.DecodeString(strings.Fields(line)[1])
				if err != nil || len(secret) != 32 {
					t.Fatalf("a secret of %d bytes, %v", len(secret), err)
				}
				go io.Copy(io.Discard, raw)
				client := protect(secret)
				const rounds, enough = 5000, 2000
				for range rounds {
					if _, err = raw.Write(append(useless(client), client.record(dataRecord, 'x')...)); err != nil {
						break
					}
				}
				raw.(*net.TCPConn).CloseWrite()
				if read := <-got; read < 500 || read > enough {
					t.Errorf("the connection ended after %d of %d rounds", read, rounds)
				}
			})
		}
	}
}

// Many small records with data are what a terminal sends, and not useless.
func TestSmallRecordsAreNotUseless(t *testing.T) {
	loops, network := secure([]loop.Loop{engines["portable"](t)}, loop.HostNetwork{})
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
	const rounds = 5000
	server, read := <-accepted, make(chan error, 1)
	l.Post(func() {
		l.Go(func() {
			_, err := io.ReadFull(server, make([]byte, rounds))
			read <- err
		})
	})
	for range rounds {
		if _, err := dialed.Write([]byte{'x'}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}
