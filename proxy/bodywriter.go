package proxy

import (
	"time"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/message"
)

// bodyWriter writes a message to a connection: a head, then a body with its
// framing. Bytes gather in out and leave in as few writes as possible; those of
// a stream gather in its connection.
type bodyWriter struct {
	worker  *Worker
	conn    loop.Conn
	stream  stream // conn, where it is one
	ended   bool   // the stream ends with the message's head
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
	switch {
	case w.stream != nil && len(data) > 0:
		return w.write(data)
	case w.stream != nil:
		return nil
	case w.chunked:
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
	switch {
	case w.ended:
		return nil
	case w.stream != nil:
		w.limit()
		return w.stream.End(trailer)
	case w.chunked:
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
	w.limit()
	_, err := w.conn.Write(p)
	return err
}

// limit bounds the next write.
func (w *bodyWriter) limit() {
	w.conn.SetWriteDeadline(earlier(w.worker.Loop.Now().Add(w.idle), w.hard))
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
	*w = bodyWriter{worker: w.worker, conn: w.conn, stream: w.stream, idle: w.idle, out: w.out[:0]}
}
