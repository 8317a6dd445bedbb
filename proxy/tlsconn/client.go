package tlsconn

import (
	"crypto/tls"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// Client makes the TLS connections of one loop to backends, and belongs to it.
type Client struct{ side }

// NewClient makes a client for connections of l.
func NewClient(l loop.Loop) *Client { return &Client{side{loop: l}} }

// maxAnswer bounds what a backend sends before the handshake is done, in bytes.
const maxAnswer = 64 << 10

// Handshake takes a connection over before its first byte and ends the handshake
// by the deadline; verification and protocols are those of the settings, which
// are not changed, and whose session cache may be shared by loops. Handlers only.
// The error is an [*Error]; the connection is then to be closed by the caller.
func (c *Client) Handshake(raw loop.Conn, deadline time.Time, settings *tls.Config) (*Conn, error) {
	conn := newConn(&c.side, raw)
	conn.peer.name, conn.resumes = settings.ServerName, true
	conn.tls = tls.Client((*transport)(conn), settings)
	if err := conn.handshake(deadline, maxAnswer); err != nil {
		return nil, err
	}
	return conn, nil
}
