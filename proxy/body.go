package proxy

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/sluicegateway/sluice/proxy/grpc"
	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/message"
)

// errTruncated is a body that ended before its framing said so.
var errTruncated = errors.New("the body ended early")

// body reads the body of a message from a connection: bytes come out, framing
// stays behind (RFC 9112 section 6).
type body struct {
	worker *Worker
	conn   loop.Conn
	stream stream // conn, where it is one
	// idle bounds each wait for bytes; hard, if not zero, all of them.
	idle time.Duration
	hard time.Time
	// partner, if there is one, is the body of the other direction: while bytes
	// come there, the wait goes on. last is when some came here.
	partner *body
	last    time.Time

	framing  framing
	left     int64 // of a counted body
	chunks   http1.ChunkDecoder
	raw      []byte // read from conn and not yet taken
	ahead    []byte // taken to know whether there is any; next returns it
	aheadErr error
	scratch  []byte // where more is read to; from the worker's pool, taken late
	taken    int64  // bytes given out
	ended    bool
	copies   bool // the connections cannot splice

	// text, where it is not nil, reads the body out of base64, into plain.
	text  *grpc.TextDecoder
	plain []byte
}

type framing uint8

const (
	framingCounted framing = iota
	framingChunked
	framingUntilClose
	framingStream // the connection has it
)

// start begins a body; raw is what was read behind the head.
func (b *body) start(c loop.Conn, length int64, untilClose bool, raw []byte) {
	b.conn, b.raw, b.left, b.taken, b.copies = c, raw, length, 0, false
	b.framing = framingCounted
	switch {
	case untilClose:
		b.framing = framingUntilClose
	case length == message.LengthUnknown:
		b.framing = framingChunked
		b.chunks.Reset()
	}
	b.ended = length == 0 && !untilClose
}

// startStream begins a body that is what a stream still brings, if anything.
func (b *body) startStream(s stream, empty bool) {
	b.conn, b.stream, b.framing, b.taken, b.ended = s, s, framingStream, 0, empty
}

// next returns some bytes of the body, valid until the next call, or io.EOF
// after the last one.
func (b *body) next() ([]byte, error) {
	if b.text == nil {
		return b.encoded()
	}
	for {
		data, err := b.encoded()
		if err != nil && err != io.EOF {
			return nil, err
		}
		plain, bad := b.text.Append(b.plain[:0], data)
		if bad == nil && b.ended {
			bad = b.text.End()
		}
		b.plain = plain
		switch {
		case bad != nil:
			return nil, bad
		case err != nil || len(plain) > 0:
			return plain, err
		}
	}
}

// encoded returns the next bytes as they came.
func (b *body) encoded() ([]byte, error) {
	if b.framing == framingStream {
		return b.nextOfStream()
	}
	for {
		data, err := b.ahead, b.aheadErr
		b.ahead, b.aheadErr = nil, nil
		if len(data) == 0 && err == nil {
			if b.ended {
				return nil, io.EOF
			}
			data, err = b.take()
		}
		if err != nil || len(data) > 0 {
			b.taken += int64(len(data))
			return data, err
		}
		if b.ended {
			return nil, io.EOF
		}
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
}

func (b *body) nextOfStream() ([]byte, error) {
	if data := b.ahead; len(data) > 0 {
		b.ahead = nil
		b.taken += int64(len(data))
		return data, nil
	}
	if b.ended {
		return nil, io.EOF
	}
	data, err := b.wait()
	for err != nil && errors.Is(err, os.ErrDeadlineExceeded) && b.accompanied() {
		data, err = b.wait()
	}
	if b.partner != nil {
		b.last = b.worker.Loop.Now()
	}
	b.taken += int64(len(data))
	b.ended = err == io.EOF
	return data, err
}

func (b *body) wait() ([]byte, error) {
	if !b.stream.Buffered() {
		b.limit()
	}
	return b.stream.Next()
}

// accompanied reports whether the wait goes on after its time, because bytes
// came from the other side meanwhile.
func (b *body) accompanied() bool {
	now := b.worker.Loop.Now()
	return b.partner != nil && now.Sub(b.partner.last) < b.idle && (b.hard.IsZero() || now.Before(b.hard))
}

// whole returns a body that a stream has brought to its end already, of at most
// limit bytes, without a copy; nothing if there is more of it, or more to come.
func (b *body) whole(limit int) ([]byte, error) {
	if !b.stream.Buffered() {
		return nil, nil
	}
	data, err := b.stream.Next()
	b.ended = err == io.EOF
	switch {
	case b.ended:
		return nil, nil
	case err != nil:
		return nil, err
	case len(data) > limit || !b.stream.Ended():
		b.ahead = data
		return nil, nil
	}
	b.taken += int64(len(data))
	b.ended = true
	return data, nil
}

// limit bounds the next wait.
func (b *body) limit() {
	b.conn.SetReadDeadline(earlier(b.worker.Loop.Now().Add(b.idle), b.hard))
}

// take returns what raw holds of the body.
func (b *body) take() ([]byte, error) {
	if len(b.raw) == 0 {
		return nil, nil
	}
	switch b.framing {
	case framingCounted:
		data := b.raw[:min(int64(len(b.raw)), b.left)]
		b.raw = b.raw[len(data):]
		b.left -= int64(len(data))
		b.ended = b.left == 0
		return data, nil
	case framingUntilClose:
		data := b.raw
		b.raw = nil
		return data, nil
	}
	for len(b.raw) > 0 {
		data, n, err := b.chunks.Decode(b.raw)
		b.raw = b.raw[n:]
		if err != nil {
			return nil, err
		}
		if b.ended = b.chunks.Done(); len(data) > 0 || b.ended || n == 0 {
			return data, nil
		}
	}
	return nil, nil
}

// fill waits for more raw bytes.
func (b *body) fill() error {
	if b.scratch == nil {
		b.scratch = b.worker.takeLarge()
	}
	kept := copy(b.scratch, b.raw)
	room := b.scratch[kept:]
	if b.framing == framingCounted && int64(len(room)) > b.left {
		room = room[:b.left] // what follows the body belongs to the next message
	}
	b.limit()
	n, err := b.conn.Read(room)
	b.raw = b.scratch[:kept+n]
	switch {
	case n > 0:
		return nil
	case err == io.EOF && b.framing == framingUntilClose:
		b.ended = true
		return nil
	case err == io.EOF:
		return errTruncated
	}
	return err
}

// buffered reports whether next has bytes, or the end, without waiting. What is
// left in raw of chunks may be framing without any.
func (b *body) buffered() bool {
	switch {
	case b.ended:
		return true
	case b.framing == framingStream:
		return len(b.ahead) > 0 || b.stream.Buffered()
	case b.framing != framingChunked:
		return len(b.raw) > 0
	}
	if len(b.ahead) == 0 && b.aheadErr == nil {
		b.ahead, b.aheadErr = b.take()
	}
	return b.ended || len(b.ahead) > 0 || b.aheadErr != nil
}

// complete reports whether the body was read to its end.
func (b *body) complete() bool { return b.ended }

// trailer returns the trailer fields of a body that has ended, nil if its
// framing has none.
func (b *body) trailer() *message.Header {
	switch b.framing {
	case framingChunked:
		return b.chunks.Trailer()
	case framingStream:
		return b.stream.Trailer()
	}
	return nil
}

// release gives the scratch buffer back; what next returned is no longer valid.
func (b *body) release() {
	if b.scratch != nil {
		b.worker.putLarge(b.scratch)
	}
	b.scratch, b.raw, b.conn, b.stream, b.hard = nil, nil, nil, nil, time.Time{}
	b.ahead, b.aheadErr = nil, nil
	b.text, b.plain = nil, nil
	b.partner, b.last = nil, time.Time{}
}

// earlier returns the earlier of two times, of which b may be zero for none.
func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
