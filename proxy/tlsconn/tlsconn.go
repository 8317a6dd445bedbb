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

// Handshake takes a connection over from its first byte and ends the handshake
// by the deadline. choose has the profile for a server name, in lower case and
// empty where the client gives none; without one the handshake is aborted.
// Handlers only. The error is an [*Error]; the connection then has been told why
// and is to be closed by the caller.
func (s *Server) Handshake(raw loop.Conn, deadline time.Time, choose func(name string) *Profile) (*Conn, error) {
	c := newConn(&s.side, raw)
	c.server, c.choose, c.began = s, choose, s.loop.Now()
	c.tls = tls.Server((*transport)(c), unserved)
	err := c.handshake(deadline, MaxHandshake)
	c.server, c.choose = nil, nil
	if err != nil {
		return nil, err
	}
	c.peer.chains = c.profile.chainsOf(c.tls.ConnectionState())
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

// unserved is how a name that no listener takes is answered: without a
// certificate crypto/tls sends unrecognized_name (RFC 6066 section 3). It has no
// session tickets, so crypto/tls never makes keys of its own for any.
var unserved = &tls.Config{
	MinVersion:             tls.VersionTLS12,
	CipherSuites:           intermediate,
	NextProtos:             usual,
	SessionTicketsDisabled: true,
	GetConfigForClient:     beforeHandshake,
	GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil },
}

// beforeHandshake runs when the ClientHello is there and nothing costly was done.
func beforeHandshake(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c := (*Conn)(hello.Conn.(*transport))
	named := len(hello.ServerName) <= maxName
	if named {
		c.peer.name = strings.ToLower(hello.ServerName)
	}
	if err := c.server.turns.wait(c.raw, c.writeBy); err != nil {
		return nil, err
	}
	if named {
		c.profile = c.choose(c.peer.name)
	}
	if c.profile == nil {
		return nil, nil
	}
	if d := c.profile.time; d > 0 {
		c.writeBy = c.began.Add(d)
		c.raw.SetReadDeadline(c.writeBy)
		c.raw.SetWriteDeadline(c.writeBy)
	}
	return c.profile.settingsFor(hello), nil
}
