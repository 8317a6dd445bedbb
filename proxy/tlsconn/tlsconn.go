// Package tlsconn puts TLS on the connections of a loop.
//
// crypto/tls does it, unchanged. It holds locks of its own while it reads and
// writes, and a handler that waits for such a lock would stall its loop. So two
// rules hold here. What crypto/tls writes goes to a buffer and never waits; the
// buffer is sent when crypto/tls has returned (conn.go). And only one handler
// at a time is in a Read, as for every loop.Conn.
package tlsconn

import (
	"crypto/tls"
	"strings"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// side is what the connections of one loop have in common on one side of it:
// that of clients or that of backends.
type side struct {
	loop  loop.Loop
	spare [][]byte
}

// Server makes the TLS connections of one loop's clients, and belongs to it.
type Server struct {
	side
	turns turns
}

// NewServer makes a server of connections of l.
func NewServer(l loop.Loop) *Server {
	return &Server{side: side{loop: l}, turns: turns{loop: l}}
}

// A write encrypts up to chunk bytes and sends them together. The records that
// hold them fit into a buffer: the smallest of crypto/tls have 1,208 bytes, 29
// of which are not the data's.
const (
	chunk       = 32 << 10
	buffer      = chunk + 4<<10
	spareBuffer = 32
)

func (s *side) take() []byte {
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return b
	}
	return make([]byte, 0, buffer)
}

func (s *side) put(b []byte) {
	if cap(b) >= buffer && len(s.spare) < spareBuffer {
		s.spare = append(s.spare, b[:0])
	}
}

// MaxHandshake bounds what a client sends before its handshake is done, in
// bytes. A ClientHello with a hybrid key share has less than 2 KiB.
const MaxHandshake = 16 << 10

// settings are those of all connections: the versions and ciphers of Mozilla's
// intermediate configuration as far as crypto/tls has them, its default of key
// exchanges (hybrid post-quantum ones first), and no session tickets: one that
// another listener issued would open this one, and with the certificates of
// today a resumption saves no time. crypto/tls never renegotiates as a server.
var settings = &tls.Config{
	MinVersion: tls.VersionTLS12,
	CipherSuites: []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	},
	NextProtos:             []string{"http/1.1"},
	SessionTicketsDisabled: true,
	GetConfigForClient:     beforeHandshake,
	GetCertificate:         certificateFor,
}

// Handshake takes a connection over from its first byte and ends the handshake
// by the deadline. choose has the certificates for a server name, in lower case
// and empty where the client gives none; for a name without any the handshake
// is aborted. Handlers only. The error is an [*Error]; the connection then has
// been told why and is to be closed by the caller.
func (s *Server) Handshake(raw loop.Conn, deadline time.Time, choose func(name string) Certificates) (*Conn, error) {
	c := newConn(&s.side, raw)
	c.server, c.choose = s, choose
	c.tls = tls.Server((*transport)(c), settings)
	err := c.handshake(deadline, MaxHandshake)
	c.server, c.choose = nil, nil
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Abandon resets a connection whose handshake is under way, which then ends.
func (s *Server) Abandon(raw loop.Conn) {
	_ = raw.Abort() // fails only on a closed connection
	s.turns.lose(raw)
}

// maxName is the length of the longest domain name (RFC 1035 section 2.3.4).
// Connections remember their names, so no longer ones are served.
const maxName = 253

// beforeHandshake runs when the ClientHello is there and nothing costly was done.
func beforeHandshake(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c := (*Conn)(hello.Conn.(*transport))
	if len(hello.ServerName) <= maxName {
		c.name = strings.ToLower(hello.ServerName)
	}
	return nil, c.server.turns.wait(c.raw, c.writeBy)
}

// certificateFor returns nil for a name that is not served: crypto/tls then
// sends unrecognized_name (RFC 6066 section 3).
func certificateFor(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(hello.ServerName) > maxName {
		return nil, nil
	}
	c := (*Conn)(hello.Conn.(*transport))
	return c.choose(c.name).pick(hello), nil
}

// Certificates are what a listener shows, in the order of preference.
type Certificates []*tls.Certificate

// pick returns the first certificate that the client can use and that has the
// name it asks for; else the first that it can use; else the first.
func (cs Certificates) pick(hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(cs) == 0 {
		return nil
	}
	nameless := *hello
	nameless.ServerName = ""
	for _, asked := range []*tls.ClientHelloInfo{hello, &nameless} {
		for _, c := range cs {
			if asked.SupportsCertificate(c) == nil {
				return c
			}
		}
	}
	return cs[0]
}
