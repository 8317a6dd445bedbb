package tlsconn

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// RecordTime is how long a record may take to come while nobody reads: what there
// is of it takes memory.
const RecordTime = 10 * time.Second

// closeTime is how long the peer may take to make room for the last bytes.
const closeTime = time.Second

// Conn is a connection in TLS. It implements loop.Conn.
type Conn struct {
	side   *side
	raw    loop.Conn
	tls    *tls.Conn
	closed error // what operations return after Close

	profile *Profile // of the listener that took the connection
	peer    Peer

	// The handshake's.
	server *Server // nil on the side of backends
	choose func(name string) *Profile
	began  time.Time
	left   int  // bytes that the peer may send, or unlimited
	alert  byte // that this side has sent in the clear

	readBy    time.Time
	reading   bool // a handler is in crypto/tls
	trying    bool // its reads are not to wait
	records   records
	useless   int   // records that had no data, or whose data is not read yet
	full      bool  // the last read filled its buffer: crypto/tls may have more
	readErr   error // the last
	early     [1]byte
	hasEarly  bool // early was read for a Notify
	notify    func(error)
	readable  func(error) // onReadable, made once
	partialBy time.Time   // when a record that has begun is to be there
	resumes   bool        // the peer may send tickets
	keep      int         // for trim: nothing of the handshake's

	writeBy  time.Time
	out      []byte // encrypted, and not sent yet
	sending  bool   // a handler sends what was in out
	sent     loop.Waiter
	writeErr error // the first
}

func newConn(s *side, raw loop.Conn) *Conn {
	c := &Conn{side: s, raw: raw}
	c.readable = c.onReadable
	return c
}

// handshake ends by the deadline, and takes no more bytes of the peer than limit.
// The error is an [*Error].
func (c *Conn) handshake(deadline time.Time, limit int) error {
	c.left, c.writeBy = limit, deadline
	c.raw.SetReadDeadline(deadline)
	c.raw.SetWriteDeadline(deadline)
	err := c.tls.Handshake()
	if sent := c.flush(); err == nil {
		err = sent
	}
	c.left = unlimited
	if err != nil {
		return &Error{Reason: c.reason(err), ServerName: c.peer.name, Err: err}
	}
	return nil
}

// Peer is what the handshake has shown of the client.
func (c *Conn) Peer() *Peer { return &c.peer }

// Protocol is the one that both sides agreed on (RFC 7301), empty for none.
func (c *Conn) Protocol() string { return c.tls.ConnectionState().NegotiatedProtocol }

// Read implements loop.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if !c.readBy.IsZero() && !c.Loop().Now().Before(c.readBy) && c.closed == nil {
		return 0, os.ErrDeadlineExceeded
	}
	if c.hasEarly && len(p) > 0 {
		return c.TryRead(p)
	}
	return c.read(p, false)
}

// TryRead implements loop.Conn.
func (c *Conn) TryRead(p []byte) (int, error) {
	if !c.hasEarly || len(p) == 0 || c.closed != nil {
		return c.read(p, true)
	}
	p[0], c.hasEarly = c.early[0], false
	n, _ := c.read(p[1:], true) // an error that counts is there again next time
	return 1 + n, nil
}

func (c *Conn) read(p []byte, try bool) (int, error) {
	switch {
	case c.closed != nil:
		return 0, c.closed
	case c.readErr != nil:
		return 0, c.readErr
	case len(p) == 0:
		return 0, nil
	case c.reading:
		panic("loop: two handlers read from one connection")
	}
	c.reading, c.trying = true, try
	before := c.records.total
	n, err := c.tls.Read(p)
	c.reading = false
	if !c.useful(c.records.total-before, n) {
		err = errUseless
	}
	c.full = n == len(p)
	c.answer()
	switch err {
	case nil:
	case errNoBytes:
		if err = loop.ErrAgain; n > 0 {
			err = nil
		}
	case os.ErrDeadlineExceeded:
	default:
		c.readErr = err
	}
	return n, err
}

// maxUseless is how many records without data a peer may send in the life of a
// connection: tickets, and changes of its keys, each of which takes sums on both
// sides and an answer. crypto/tls minds only those that follow each other.
const maxUseless = 1000

// useful counts records that have come in, less those that were read, and
// reports whether the peer has sent few that had nothing to read.
func (c *Conn) useful(came, read int) bool {
	if c.useless += came; read > 0 {
		c.useless = max(0, c.useless-1)
	}
	return c.useless <= maxUseless
}

// answer sends what crypto/tls has answered to the peer while it read.
func (c *Conn) answer() {
	if len(c.out) > 0 && !c.sending {
		c.Loop().Go(func() { _ = c.flush() }) // the next write tells
	}
}

// Notify implements loop.Conn. It is the loop's that works when crypto/tls has
// nothing left, and then waits for whole records.
func (c *Conn) Notify(fn func(error)) {
	c.notify = fn
	if c.closed == nil && !c.ready() {
		if !c.reading {
			c.trim(c.keep)
			c.keep = kept
		}
		c.raw.Notify(c.readable)
		return
	}
	c.Loop().Post(func() {
		if c.closed != nil || c.hasEarly || c.readErr != nil { // else somebody has read since
			c.callNotify(c.closed)
		}
	})
}

// ready reports whether a Read would not wait, as far as crypto/tls knows.
func (c *Conn) ready() bool {
	return c.hasEarly || c.readErr != nil || (c.full || c.records.ended > 1) && c.probe()
}

// probe looks for a byte, or for the end.
func (c *Conn) probe() bool {
	n, err := c.read(c.early[:], true)
	c.hasEarly = n > 0
	return err != loop.ErrAgain
}

func (c *Conn) onReadable(err error) {
	switch {
	case c.notify == nil:
	case err != nil || c.probe():
		c.callNotify(err)
	default:
		c.limitRecord()
		c.raw.Notify(c.readable)
	}
}

// limitRecord bounds the time of a record that has begun. Whole ones without
// data are a backend's tickets; clients have no reason to send any.
func (c *Conn) limitRecord() {
	switch {
	case c.resumes && !c.records.begun():
		if !c.partialBy.IsZero() {
			c.SetReadDeadline(c.readBy)
		}
	case c.partialBy.IsZero():
		c.partialBy = c.Loop().Now().Add(RecordTime)
		if c.readBy.IsZero() || c.partialBy.Before(c.readBy) {
			c.raw.SetReadDeadline(c.partialBy)
		}
	}
}

func (c *Conn) callNotify(err error) {
	fn := c.notify
	if c.StopNotify() {
		fn(err)
	}
}

// StopNotify implements loop.Conn.
func (c *Conn) StopNotify() bool {
	pending := c.notify != nil
	c.notify = nil
	c.raw.StopNotify()
	if !c.partialBy.IsZero() {
		c.SetReadDeadline(c.readBy)
	}
	return pending
}

// Write implements loop.Conn.
func (c *Conn) Write(p []byte) (n int, err error) {
	for {
		if c.closed != nil {
			return n, c.closed
		}
		part := p[n:min(n+chunk, len(p))]
		if _, err := c.tls.Write(part); err != nil {
			return n, err
		}
		if err := c.flush(); err != nil {
			return n, err
		}
		if n += len(part); n == len(p) {
			return n, nil
		}
	}
}

// flush sends what is in out, and waits for a handler that is doing so.
func (c *Conn) flush() error {
	for {
		switch {
		case c.writeErr != nil:
			return c.writeErr
		case c.sending:
			if c.sent == nil {
				c.sent = c.Loop().NewWaiter()
			}
			if err := c.sent.Wait(c.writeBy); err != nil {
				return err
			}
		case len(c.out) == 0:
			return nil
		default:
			c.send()
		}
	}
}

// send sends what is in out. Meanwhile crypto/tls may fill another one. An error
// is final: the peer has got a part of a record.
func (c *Conn) send() {
	sending := c.out
	c.out, c.sending = nil, true
	_, err := c.raw.Write(sending)
	c.sending, c.writeErr = false, err
	c.side.put(sending)
	if c.sent != nil {
		c.sent.Wake()
	}
}

// SetReadDeadline implements loop.Conn.
func (c *Conn) SetReadDeadline(t time.Time) {
	c.readBy, c.partialBy = t, time.Time{}
	c.raw.SetReadDeadline(t)
}

// SetWriteDeadline implements loop.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) {
	c.writeBy = t
	c.raw.SetWriteDeadline(t)
}

// OnAbort implements loop.Conn.
func (c *Conn) OnAbort(fn func()) { c.raw.OnAbort(fn) }

// Splice implements loop.Conn: it is not supported.
func (c *Conn) Splice(loop.Conn, int64, time.Duration) (int64, error) {
	return 0, loop.ErrUnsupported
}

// CloseWrite implements loop.Conn. The end of the stream leaves a moment later:
// it may have to wait, and the caller need not be a handler.
func (c *Conn) CloseWrite() error {
	if c.closed != nil {
		return c.closed
	}
	if err := c.tls.CloseWrite(); err != nil {
		return err
	}
	c.Loop().Go(func() {
		if c.flush() == nil {
			_ = c.raw.CloseWrite() // fails only on a closed connection
		}
	})
	return nil
}

// Close implements loop.Conn. The peer is told of it, unless it takes no bytes.
func (c *Conn) Close() error {
	if c.closed != nil {
		return c.closed
	}
	busy := c.reading || c.sending
	if !busy {
		_ = c.tls.CloseWrite() // what cannot be told is left out
	}
	c.end()
	if busy || len(c.out) == 0 {
		return c.raw.Close()
	}
	c.raw.SetWriteDeadline(c.Loop().Now().Add(closeTime))
	c.Loop().Go(func() {
		_ = c.flush()
		_ = c.raw.Close()
	})
	return nil
}

// Abort implements loop.Conn.
func (c *Conn) Abort() error {
	if c.closed != nil {
		return c.closed
	}
	c.end()
	return c.raw.Abort()
}

func (c *Conn) end() {
	c.closed = net.ErrClosed
	c.notify = nil
	c.raw.StopNotify()
	c.raw.OnAbort(nil)
}

// LocalAddr implements loop.Conn.
func (c *Conn) LocalAddr() netip.AddrPort { return c.raw.LocalAddr() }

// RemoteAddr implements loop.Conn.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.raw.RemoteAddr() }

// Loop implements loop.Conn.
func (c *Conn) Loop() loop.Loop { return c.side.loop }
