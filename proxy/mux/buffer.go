package mux

import (
	"sync"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/message"
)

// share is how many bytes a session reads in a turn at most.
const share = 64 << 10

// frameRoom is the size of the largest frame that a peer may send.
const frameRoom = http2.FrameHeaderLen + http2.MinMaxFrameSize

// input is where a session reads to: what was left of a frame, and its share.
type input [frameRoom + share]byte

// Memory is pooled for all loops: a pool of sync keeps it by processor. Nothing
// in these pools knows a loop.
var (
	inputs    = sync.Pool{New: func() any { return new(input) }}
	pages     = sync.Pool{New: func() any { return new([4 << 10]byte) }}
	frames    = sync.Pool{New: func() any { return new([frameRoom]byte) }}
	blocks    = sync.Pool{New: func() any { return new([largest]byte) }}
	requests  = sync.Pool{New: func() any { return new(message.Request) }}
	responses = sync.Pool{New: func() any { return new(message.Response) }}
)

// small is what is allocated to need: a pooled buffer for a few bytes would be a
// present to those who send many small pieces.
const small = 1 << 10

// largest is the size of the largest buffers that are pooled.
const largest = 64 << 10

// take returns an empty buffer with room for n bytes.
func take(n int) []byte {
	switch {
	case n <= small:
		return make([]byte, 0, n)
	case n <= 4<<10:
		return pages.Get().(*[4 << 10]byte)[:0]
	case n <= frameRoom:
		return frames.Get().(*[frameRoom]byte)[:0]
	case n <= largest:
		return blocks.Get().(*[largest]byte)[:0]
	}
	return make([]byte, 0, n)
}

// put gives a buffer back that nobody uses any more.
func put(b []byte) {
	switch cap(b) {
	case 4 << 10:
		pages.Put((*[4 << 10]byte)(b[:cap(b)]))
	case frameRoom:
		frames.Put((*[frameRoom]byte)(b[:cap(b)]))
	case largest:
		blocks.Put((*[largest]byte)(b[:cap(b)]))
	}
}

// grow returns b with room for n more bytes.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	larger := take(max(len(b)+n, min(2*cap(b), largest)))
	larger = append(larger, b...)
	put(b)
	return larger
}
