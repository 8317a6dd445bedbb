package tlsconn

import (
	"net"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// transport is the Conn as crypto/tls sees it from below: the net.Conn that
// carries its records.
type transport Conn

const (
	recordHeader = 5
	alertRecord  = 21
	// maxPending bounds what waits to be sent: a write, and answers that
	// crypto/tls gives to a peer that asks and does not read.
	maxPending = 2 * buffer
	// unlimited is Conn.left after the handshake.
	unlimited = -1
)

// noBytes is loop.ErrAgain in a form that crypto/tls does not remember.
type noBytes struct{}

func (noBytes) Error() string   { return loop.ErrAgain.Error() }
func (noBytes) Timeout() bool   { return true }
func (noBytes) Temporary() bool { return true }

var errNoBytes net.Error = noBytes{}

// Read implements net.Conn.
func (t *transport) Read(p []byte) (n int, err error) {
	if t.left != unlimited {
		if err := (*Conn)(t).flush(); err != nil { // nobody else is here to wait for a lock
			return 0, err
		}
		if t.left == 0 {
			return 0, errOversized
		}
		p = p[:min(len(p), t.left)]
	}
	if t.trying {
		n, err = t.raw.TryRead(p)
		if err == loop.ErrAgain {
			err = errNoBytes
		}
	} else {
		n, err = t.raw.Read(p)
	}
	if t.left != unlimited {
		t.left -= n
	}
	t.records.follow(p[:n])
	return n, err
}

// Write implements net.Conn. It never waits.
func (t *transport) Write(p []byte) (int, error) {
	if t.left != unlimited && len(p) == recordHeader+2 && p[0] == alertRecord {
		t.alert = p[recordHeader+1]
	}
	if len(t.out)+len(p) > maxPending {
		return 0, errFlooded
	}
	if t.out == nil {
		t.out = t.side.take()
	}
	t.out = append(t.out, p...)
	return len(p), nil
}

// Close implements net.Conn. crypto/tls is never asked to close.
func (t *transport) Close() error { return t.raw.Close() }

// LocalAddr implements net.Conn.
func (t *transport) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(t.raw.LocalAddr()) }

// RemoteAddr implements net.Conn.
func (t *transport) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(t.raw.RemoteAddr()) }

// SetDeadline implements net.Conn. Deadlines are the Conn's.
func (t *transport) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (t *transport) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (t *transport) SetWriteDeadline(time.Time) error { return nil }

// records counts the ends of records (RFC 8446 section 5.1) in what was read.
// crypto/tls reads when it has no whole record, so a read that brings more than
// one leaves some that it has and nobody has asked for.
type records struct {
	header [recordHeader]byte
	have   int // bytes of the header
	body   int // bytes of the body that are to come
	ended  int // by the last read
	total  int
}

// begun reports whether a record is there in part.
func (r *records) begun() bool { return r.have > 0 || r.body > 0 }

func (r *records) follow(p []byte) {
	r.ended = 0
	for len(p) > 0 {
		if r.body > 0 {
			n := min(r.body, len(p))
			p = p[n:]
			r.body -= n
		} else {
			n := copy(r.header[r.have:], p)
			p = p[n:]
			if r.have += n; r.have < recordHeader {
				return
			}
			r.have, r.body = 0, int(r.header[3])<<8|int(r.header[4])
		}
		if r.body == 0 {
			r.ended++
			r.total++
		}
	}
}
