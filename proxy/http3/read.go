package http3

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/message"
)

// piece is what of a body goes from the goroutine that reads to the loop.
type piece struct {
	room [16 << 10]byte
	n    int
}

var pieces = sync.Pool{New: func() any { return new(piece) }}

func putPiece(p *piece) {
	if p != nil {
		pieces.Put(p)
	}
}

// feed reads the body, on a goroutine, and brings it to the loop piece by piece.
// One waits there at most; what the client may send beyond it is QUIC's to hold,
// and to bound.
func (st *Stream) feed() {
	for {
		p, trailer, err := st.nextPiece()
		if !st.session.loop.Post(func() { st.receive(p, trailer, err) }) || err != nil {
			return
		}
		if _, open := <-st.more; !open {
			return
		}
	}
}

// nextPiece reads some bytes, or finds the end: io.EOF, with the trailer if there
// is one. It takes memory only when bytes are there.
func (st *Stream) nextPiece() (*piece, *message.Header, error) {
	for st.in.left == 0 || st.ahead {
		if !st.ahead {
			if err := st.in.next(ofRequest); err != nil {
				return nil, nil, err
			}
		}
		st.ahead = false
		switch {
		case misplaced[st.in.kind]:
			return nil, nil, errMisplaced
		case st.in.kind == frameHeaders:
			return st.lastFrames()
		case st.in.left == 0:
			st.session.rude(rudeEmpty)
		}
		if st.in.left > 0 {
			break
		}
	}
	var one [1]byte
	if _, err := st.raw.Peek(one[:]); err != nil {
		return nil, nil, cut(1, err)
	}
	p := pieces.Get().(*piece)
	var err error
	if p.n, err = st.in.read(p.room[:]); err != nil {
		putPiece(p)
		return nil, nil, err
	}
	return p, nil, nil
}

// lastFrames reads the trailer, behind which nothing may come.
func (st *Stream) lastFrames() (*piece, *message.Header, error) {
	limits := st.session.limits.Head
	if st.in.left > uint64(limits.MaxBlock()) {
		return nil, nil, http2.ErrTooLarge
	}
	block, err := st.in.payload()
	if err != nil {
		return nil, nil, err
	}
	trailer := new(message.Header)
	if err := decode(block, http2.TrailerFields(limits, trailer)); err != nil {
		return nil, nil, err
	}
	switch err := st.in.next(ofRequest); {
	case err == io.EOF:
		return nil, trailer, io.EOF
	case err != nil:
		return nil, nil, err
	}
	return nil, nil, errOrder
}

// receive takes what feed has read.
func (st *Stream) receive(p *piece, trailer *message.Header, err error) {
	if st.closed || st.err != nil {
		putPiece(p)
		return
	}
	if st.expect != message.LengthUnknown {
		p, err = st.count(p, err)
	}
	switch {
	case err == nil:
		st.piece = p
		st.wakeReader()
	case err == io.EOF:
		st.trailer, st.remoteEnded = trailer, true
		st.wakeReader()
	default:
		st.failReading(err)
	}
}

// count holds a body to its Content-Length.
func (st *Stream) count(p *piece, err error) (*piece, error) {
	switch {
	case p != nil && int64(p.n) <= st.expect:
		st.expect -= int64(p.n)
		return p, err
	case p == nil && (err != io.EOF || st.expect == 0):
		return nil, err
	}
	putPiece(p)
	return nil, errLength
}

// failReading acts on what ended the client's side before its time.
func (st *Stream) failReading(err error) {
	s := st.session
	var wrong *Error
	var fields *http2.Error
	switch {
	case errors.As(err, &fields):
		wrong = errFields
	case !errors.As(err, &wrong):
		st.failRudely(causeOf(err))
		return
	}
	if !wrong.Stream {
		s.wrong(wrong)
	} else {
		s.rude(rudeMalformed)
		st.reset(wrong.Code)
	}
	st.fail(&StreamError{Code: wrong.Code})
}

// drop forgets what came and nobody will read.
func (st *Stream) drop() {
	putPiece(st.piece)
	st.piece, st.left = nil, nil
}

// Next is Read without a copy: it returns some bytes, which are valid until the
// next call. Handlers only.
func (st *Stream) Next() ([]byte, error) {
	for {
		switch {
		case st.closed:
			return nil, st.err
		case st.passed(st.readBy):
			return nil, os.ErrDeadlineExceeded
		}
		p, err := st.tryNext()
		if err != loop.ErrAgain {
			return p, err
		}
		if err := st.waitReadable(); err != nil {
			return nil, err
		}
	}
}

// tryNext returns what there is, and has more read.
func (st *Stream) tryNext() ([]byte, error) {
	if len(st.left) > 0 {
		p := st.left
		st.left = nil
		return p, nil
	}
	putPiece(st.taken)
	st.taken, st.piece = st.piece, nil
	if st.taken == nil {
		if err := st.endOf(); err != nil {
			return nil, err
		}
		return nil, loop.ErrAgain
	}
	select {
	case st.more <- struct{}{}:
	default:
	}
	return st.taken.room[:st.taken.n], nil
}

func (st *Stream) waitReadable() error {
	if st.reading {
		panic("loop: two handlers read from one stream")
	}
	if st.reader == nil {
		st.reader = st.session.loop.NewWaiter()
	}
	st.reading = true
	err := st.reader.Wait(st.readBy)
	st.reading = false
	if errors.Is(err, os.ErrDeadlineExceeded) && !st.passed(st.readBy) {
		return nil // it was moved on meanwhile
	}
	return err
}

// Buffered reports whether Next would not wait.
func (st *Stream) Buffered() bool {
	return len(st.left) > 0 || st.piece != nil || st.endOf() != nil
}

// Ended reports whether Next has given out all of a body that has come to its end.
func (st *Stream) Ended() bool { return st.remoteEnded && len(st.left) == 0 && st.piece == nil }

// Read implements loop.Conn.
func (st *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	data, err := st.Next()
	return st.copy(p, data), err
}

// TryRead implements loop.Conn.
func (st *Stream) TryRead(p []byte) (int, error) {
	if st.closed {
		return 0, st.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	data, err := st.tryNext()
	return st.copy(p, data), err
}

// copy gives p of data what fits, and keeps the rest.
func (st *Stream) copy(p, data []byte) int {
	n := copy(p, data)
	st.left = data[n:]
	return n
}

// Trailer is what came behind the body, after io.EOF; nil without.
func (st *Stream) Trailer() *message.Header { return st.trailer }

// SetReadDeadline implements loop.Conn.
func (st *Stream) SetReadDeadline(t time.Time) {
	st.readBy = t
	if st.reading {
		st.reader.Wake()
	}
	if st.notify != nil {
		st.limitNotify()
	}
}

// wakeReader tells whoever waits for bytes, or for the end.
func (st *Stream) wakeReader() {
	if st.reading {
		st.reader.Wake()
	}
	if st.notify != nil {
		st.session.loop.Post(st.callNotifyNow)
	}
}

// Notify implements loop.Conn.
func (st *Stream) Notify(fn func(err error)) {
	st.notify = fn
	if st.closed || st.Buffered() {
		st.session.loop.Post(st.callNotifyNow)
	}
	st.limitNotify()
}

// limitNotify sets the time of a Notify.
func (st *Stream) limitNotify() {
	left := st.readBy.Sub(st.session.loop.Now())
	switch {
	case st.readBy.IsZero() && st.notifyDue != nil:
		st.notifyDue.Stop()
	case st.readBy.IsZero():
	case st.notifyDue == nil:
		st.notifyDue = st.session.loop.AfterFunc(left, func() { st.callNotify(os.ErrDeadlineExceeded) })
	default:
		st.notifyDue.Reset(left)
	}
}

// callNotifyNow calls what Notify was given, unless somebody has read since.
func (st *Stream) callNotifyNow() {
	switch {
	case st.closed:
		st.callNotify(st.err)
	case st.Buffered():
		st.callNotify(nil)
	}
}

func (st *Stream) callNotify(err error) {
	fn := st.notify
	if st.StopNotify() {
		fn(err)
	}
}

// StopNotify implements loop.Conn.
func (st *Stream) StopNotify() bool {
	pending := st.notify != nil
	st.notify = nil
	if st.notifyDue != nil {
		st.notifyDue.Stop()
	}
	return pending
}
