package proxy

import (
	"errors"
	"io"
	"os"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// spliceFrom is the number of bytes left from which moving them in the kernel
// costs less than copying them.
const spliceFrom = 64 << 10

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
	if dst.chunked || dst.stream != nil || src.framing != framingCounted || src.left < spliceFrom || len(src.raw) > 0 || src.copies {
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
