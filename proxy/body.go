package proxy

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/message"
)

// errTruncated is a body that ended before its framing said so.
var errTruncated = errors.New("the body ended early")

// spliceFrom is the number of bytes left from which moving them in the kernel
// costs less than copying them.
const spliceFrom = 64 << 10

// body reads the body of a message from a connection: bytes come out, framing
// stays behind (RFC 9112 section 6).
type body struct {
	worker *Worker
	conn   loop.Conn
	// idle bounds each wait for bytes; hard, if not zero, all of them.
	idle time.Duration
	hard time.Time

	framing framing
	left    int64 // of a counted body
	chunks  http1.ChunkDecoder
	raw     []byte // read from conn and not yet taken
	scratch []byte // where more is read to; from the worker's pool, taken late
	taken   int64  // bytes given out
	ended   bool
	copies  bool // the connections cannot splice
}

type framing uint8

const (
	framingCounted framing = iota
	framingChunked
	framingUntilClose
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

// next returns some bytes of the body, valid until the next call, or io.EOF
// after the last one.
func (b *body) next() ([]byte, error) {
	for {
		if b.ended {
			return nil, io.EOF
		}
		data, err := b.take()
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
	b.conn.SetReadDeadline(earlier(b.worker.Loop.Now().Add(b.idle), b.hard))
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

// buffered reports whether next has bytes, or the end, without waiting.
func (b *body) buffered() bool { return b.ended || len(b.raw) > 0 }

// complete reports whether the body was read to its end.
func (b *body) complete() bool { return b.ended }

// trailer returns the trailer fields of a chunked body that has ended.
func (b *body) trailer() *message.Header {
	if b.framing != framingChunked {
		return nil
	}
	return b.chunks.Trailer()
}

// release gives the scratch buffer back; what next returned is no longer valid.
func (b *body) release() {
	if b.scratch != nil {
		b.worker.putLarge(b.scratch)
	}
	b.scratch, b.raw, b.conn, b.hard = nil, nil, nil, time.Time{}
}

// bodyWriter writes a message to a connection: a head, then a body with its
// framing. Bytes gather in out and leave in as few writes as possible.
type bodyWriter struct {
	worker  *Worker
	conn    loop.Conn
	idle    time.Duration
	hard    time.Time
	chunked bool
	out     []byte
	small   []byte // out's own memory, while out is a large buffer of the worker's
	sent    int64  // bytes of the body
}

// frame is more than a chunk's size line and its two line ends.
const frame = 32

// put adds bytes of the body; they leave with the next flush at the latest.
func (w *bodyWriter) put(data []byte) error {
	w.sent += int64(len(data))
	if w.chunked {
		return w.putChunks(data)
	}
	if len(w.out)+len(data) > cap(w.out) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if len(data) > cap(w.out) {
		return w.write(data)
	}
	w.out = append(w.out, data...)
	return nil
}

// putChunks adds data in chunks of at most what out holds, so that a chunk is
// written at once with its frame.
func (w *bodyWriter) putChunks(data []byte) error {
	if len(data)+frame > cap(w.out) && w.small == nil {
		w.small = w.out
		w.out = append(w.worker.takeLarge()[:0], w.small...)
	}
	for len(data) > 0 {
		room := cap(w.out) - len(w.out) - frame
		if room < len(data) && len(w.out) > 0 {
			if err := w.flush(); err != nil {
				return err
			}
			continue
		}
		n := min(room, len(data))
		w.out = http1.AppendChunk(w.out, data[:n])
		data = data[n:]
	}
	return nil
}

// finish ends the body and flushes.
func (w *bodyWriter) finish(trailer *message.Header) error {
	if w.chunked {
		w.out = http1.AppendLastChunk(w.out, trailer)
	}
	return w.flush()
}

// flush writes what has gathered.
func (w *bodyWriter) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	err := w.write(w.out)
	w.out = w.out[:0]
	return err
}

func (w *bodyWriter) write(p []byte) error {
	w.conn.SetWriteDeadline(earlier(w.worker.Loop.Now().Add(w.idle), w.hard))
	_, err := w.conn.Write(p)
	return err
}

// release forgets the message. Of out, no more than size bytes are kept.
func (w *bodyWriter) release(size int) {
	if w.small != nil {
		w.worker.putLarge(w.out[:largeBuffer])
		w.out = w.small
	}
	if cap(w.out) > size {
		w.out = make([]byte, 0, size)
	}
	*w = bodyWriter{worker: w.worker, conn: w.conn, idle: w.idle, out: w.out[:0]}
}

// copyBody moves a body to its end. The error is that of the reader, or, with
// written true, that of the writer.
func copyBody(dst *bodyWriter, src *body) (written bool, err error) {
	for {
		if moved, written, err := spliceBody(dst, src); moved || err != nil {
			return written, err
		}
		data, err := src.next()
		if err == io.EOF {
			return true, dst.finish(src.trailer())
		}
		if err != nil {
			return false, err
		}
		if err := dst.put(data); err != nil {
			return true, err
		}
		if !src.buffered() {
			if err := dst.flush(); err != nil {
				return true, err
			}
		}
	}
}

// spliceBody moves the rest of a large counted body in the kernel, if both
// connections can. It reports whether it moved all of it, and, as copyBody,
// whose error it was.
func spliceBody(dst *bodyWriter, src *body) (moved, written bool, err error) {
	if dst.chunked || src.framing != framingCounted || src.left < spliceFrom || len(src.raw) > 0 || src.copies {
		return false, false, nil
	}
	if !src.hard.IsZero() || !dst.hard.IsZero() {
		return false, false, nil // progress in the kernel would move these deadlines
	}
	if err := dst.flush(); err != nil {
		return false, true, err
	}
	now := src.worker.Loop.Now()
	src.conn.SetReadDeadline(now.Add(src.idle))
	dst.conn.SetWriteDeadline(now.Add(dst.idle))
	n, err := dst.conn.Splice(src.conn, src.left, min(src.idle, dst.idle))
	src.left -= n
	src.taken += n
	dst.sent += n
	src.ended = src.left == 0
	switch {
	case src.ended:
		return true, true, nil
	case errors.Is(err, loop.ErrUnsupported):
		src.copies = true
		return false, false, nil
	case err == nil || err == io.EOF:
		return false, false, errTruncated
	}
	return false, !src.failed(err), err
}

// failed reports whether it was this body's connection, and not the other one,
// that ended a splice: one that timed out is silent, one that broke is broken.
func (b *body) failed(err error) bool {
	_, now := b.conn.TryRead(b.worker.scratch[:1])
	silent := errors.Is(now, loop.ErrAgain)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return silent
	}
	return now != nil && !silent
}

// earlier returns the earlier of two times, of which b may be zero for none.
func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
