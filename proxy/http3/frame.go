package http3

import (
	"errors"
	"io"
	"os"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// Types of frames (RFC 9114 section 7.2).
const (
	frameData     = 0x0
	frameHeaders  = 0x1
	frameSettings = 0x4
	frameGoAway   = 0x7
)

// misplaced are the types that no request stream has: those of control streams,
// pushes, and what HTTP/2 has in their place (RFC 9114 sections 7.2 and 7.2.8, RFC
// 9218 section 7.2).
var misplaced = map[uint64]bool{0x2: true, 0x3: true, 0x4: true, 0x5: true, 0x6: true, 0x7: true, 0x8: true, 0x9: true, 0xd: true, 0xf0700: true, 0xf0701: true}

// Errors of frames.
var (
	errTruncated  = &Error{Code: FrameError, Reason: "a stream ends within a frame (RFC 9114 section 7.1)"}
	errMisplaced  = &Error{Code: FrameUnexpected, Reason: "a frame is of a type that its stream must not have (RFC 9114 section 7.2)"}
	errOrder      = &Error{Code: FrameUnexpected, Reason: "the frames of a request are in a wrong order (RFC 9114 section 4.1)"}
	errIncomplete = &Error{Code: RequestIncomplete, Stream: true, Reason: "a request ends before its head"}
)

// source is the receiving side of a stream.
type source interface {
	io.Reader
	Peek([]byte) (int, error)
	CancelRead(quic.StreamErrorCode)
}

// frames reads the frames of a stream. It waits, and belongs to one goroutine.
type frames struct {
	raw  source
	kind uint64 // of the frame in work
	left uint64 // of its payload
	odd  func() // called for each frame of an unknown type
}

// next skips what is left of a frame and finds the next one that is known. It
// returns io.EOF at the end of the stream, if no frame is cut by it. What it has
// found before an error of a deadline is not lost.
func (f *frames) next(known func(kind uint64) bool) error {
	for {
		if err := f.skip(); err != nil {
			return err
		}
		kind, n, err := f.peek(0)
		if err != nil {
			return err
		}
		size, m, err := f.peek(n)
		if err != nil {
			return err
		}
		if _, err := io.ReadFull(f.raw, make([]byte, n+m)); err != nil { // they are there
			return err
		}
		f.kind, f.left = kind, size
		if known(kind) {
			return nil
		}
		f.odd()
	}
}

// peek looks at a varint behind some bytes of the frame's header; n is where it ends.
func (f *frames) peek(from int) (value uint64, n int, err error) {
	var b [16]byte
	if _, err := f.raw.Peek(b[:from+1]); err != nil {
		return 0, 0, cut(from, err)
	}
	size := 1 << (b[from] >> 6)
	if _, err := f.raw.Peek(b[:from+size]); err != nil {
		return 0, 0, cut(1, err)
	}
	value, _, err = quicvarint.Parse(b[from : from+size])
	return value, size, err
}

// cut is the error of a stream that may end only before a frame.
func cut(within int, err error) error {
	if err == io.EOF && within > 0 {
		return errTruncated
	}
	return err
}

// skip drops what is left of the frame.
func (f *frames) skip() error {
	var scratch [512]byte
	for f.left > 0 {
		if _, err := f.read(scratch[:]); err != nil {
			return err
		}
	}
	return nil
}

// read reads some of the frame's payload.
func (f *frames) read(p []byte) (int, error) {
	n, err := f.raw.Read(p[:min(uint64(len(p)), f.left)])
	f.left -= uint64(n)
	switch {
	case err == io.EOF && f.left > 0:
		return n, errTruncated
	case err == io.EOF:
		return n, nil // the next frame tells
	}
	return n, err
}

// payload reads the whole payload. What it keeps grows with what comes.
func (f *frames) payload() ([]byte, error) {
	p := make([]byte, 0, min(f.left, 1<<10))
	for f.left > 0 {
		if len(p) == cap(p) {
			p = append(p, 0)[:len(p)]
		}
		n, err := f.read(p[len(p):cap(p)])
		p = p[:len(p)+n]
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// appendHeader appends the header of a frame.
func appendHeader(dst []byte, kind uint64, size int) []byte {
	return quicvarint.Append(quicvarint.Append(dst, kind), uint64(size))
}

// late reports whether a wait has ended by its deadline.
func late(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
