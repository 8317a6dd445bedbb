package mux

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/loop"
)

// inbound is what a session knows of the peer's frames.
type inbound struct {
	readable func(error) // onReadable, made once
	preface  string      // what is still to come of it
	hello    bool        // the peer's first SETTINGS have come
	waiters  []loop.Waiter
	partial  []byte // of a frame
	frame    http2.Frame
	block    headerBlock
	decoder  *http2.Decoder
	window   int // what the peer may send on all streams
	taken    int // of that, what handlers have taken and was not given back
	resets   resets
}

func (in *inbound) start(s *Session) {
	in.readable = s.onReadable
	in.decoder = http2.NewDecoder(s.limits.Head)
	in.window = max(s.limits.Window, http2.DefaultWindow)
}

// release lets the memory go that frames to come would need.
func (in *inbound) release() {
	put(in.partial)
	in.partial, in.block = nil, headerBlock{}
}

// wait has onReadable called when there is something to read.
func (s *Session) wait() {
	if s.state == stateEnded {
		return
	}
	s.arm()
	s.conn.Notify(s.input.readable)
}

// onReadable takes a share of what there is. It runs outside any handler.
func (s *Session) onReadable(err error) {
	switch {
	case s.state == stateEnded:
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.expire()
		s.wait()
		return
	case err != nil:
		s.lose("stopped", err)
		return
	}
	buffer := inputs.Get().(*input)
	sound := false
	defer func() {
		inputs.Put(buffer)
		if !sound { // a panic, which would leave the session without a Notify
			s.lose("panic", nil)
		}
	}()
	err = s.read(buffer)
	sound = true
	if err != nil && !errors.Is(err, loop.ErrAgain) {
		s.hangUp(err)
		return
	}
	s.wait()
}

func (s *Session) read(buffer *input) (err error) {
	n := copy(buffer[:], s.input.partial)
	s.input.partial = s.input.partial[:0]
	for limit := n + share; n < limit && err == nil; {
		var more int
		more, err = s.conn.TryRead(buffer[n:limit])
		n += more
	}
	if s.state == stateEnding {
		if s.lingers -= n; s.lingers < 0 {
			return io.EOF
		}
		return err
	}
	s.receive(buffer[:n])
	return err
}

// hangUp ends the session because the connection has.
func (s *Session) hangUp(err error) {
	switch {
	case err != io.EOF:
		s.lose("reset", err)
	case slices.ContainsFunc(s.streams, func(st *Stream) bool { return st.err == nil }):
		s.lose("closed", io.ErrUnexpectedEOF)
	default:
		s.lose("", nil)
	}
}

// receive takes the frames in p and keeps what is left of one.
func (s *Session) receive(p []byte) {
	p = s.takePreface(p)
	for s.state == stateOpen && s.input.preface == "" {
		f, n, err := http2.ParseFrame(p, http2.MinMaxFrameSize)
		if n == 0 && err == nil {
			break
		}
		p = p[n:]
		s.input.frame = f
		if err != nil {
			s.wrong(err)
		} else {
			s.take(&s.input.frame)
		}
		if !s.input.block.open {
			s.due.frame = time.Time{}
		}
	}
	s.input.frame = http2.Frame{}
	if s.state == stateOpen {
		s.keep(p)
		s.pump()
	}
}

// takePreface takes what p has of the client's preface.
func (s *Session) takePreface(p []byte) []byte {
	n := min(len(p), len(s.input.preface))
	if !strings.HasPrefix(s.input.preface, string(p[:n])) {
		s.fail(errPreface)
		return nil
	}
	s.input.preface = s.input.preface[n:]
	return p[n:]
}

// keep keeps a frame's beginning, and sets the time that its end may take:
// that of DATA begins again with each read.
func (s *Session) keep(p []byte) {
	in := &s.input
	if len(p) == 0 {
		put(in.partial)
		in.partial = nil
	} else {
		in.partial = append(grow(in.partial, len(p)), p...)
	}
	now := s.loop.Now()
	switch {
	case len(p) > 3 && http2.FrameType(p[3]) == http2.FrameData:
		s.due.frame = now.Add(s.limits.WriteIdle)
	case (len(p) > 0 || in.block.open) && s.due.frame.IsZero():
		s.due.frame = now.Add(s.limits.HeadTimeout)
	}
}

// wrong acts on an error of ParseFrame or of a frame's content.
func (s *Session) wrong(err error) {
	if e := peerError(err); e.Stream == 0 {
		s.fail(e)
	} else {
		s.refuse(e.Stream, e)
	}
}

// peerError is an error of package http2, which has no others than *http2.Error.
func peerError(err error) *http2.Error {
	if err == nil {
		return nil
	}
	return err.(*http2.Error)
}

// due has the times at which the session loses patience; zero for none.
type due struct {
	hello  time.Time // the peer's first SETTINGS
	ack    time.Time // its answer to ours
	frame  time.Time // the rest of a frame or header block
	idle   time.Time // a stream
	drain  time.Time // the answer to drainPing
	linger time.Time // the end of the connection
	armed  time.Time // the connection's read deadline
}

// arm sets the connection's deadline, unless an earlier one is set: when that
// passes, it is set anew.
func (s *Session) arm() {
	d := &s.due
	var next time.Time
	for _, t := range [...]time.Time{d.hello, d.ack, d.frame, d.idle, d.drain, d.linger} {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if s.state != stateEnded && !next.IsZero() && (d.armed.IsZero() || next.Before(d.armed)) {
		d.armed = next
		s.conn.SetReadDeadline(next)
	}
}

// Errors of peers that take too long, or begin wrong.
var (
	errPreface = &http2.Error{Code: http2.ProtocolError, Reason: "the connection does not begin with the preface (RFC 9113 section 3.4)"}
	errSilent  = &http2.Error{Code: http2.SettingsTimeout, Reason: "no SETTINGS, or no answer to ours, came in time (RFC 9113 section 6.5.3)"}
	errSlow    = &http2.Error{Code: http2.EnhanceYourCalm, Reason: "a frame or header block did not end in time"}
)

// expire acts on what is due.
func (s *Session) expire() {
	now := s.loop.Now()
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	d := &s.due
	d.armed = time.Time{}
	s.conn.SetReadDeadline(time.Time{})
	switch {
	case past(d.linger):
		s.lose("", nil)
	case past(d.hello), past(d.ack):
		s.fail(errSilent)
	case past(d.frame):
		s.fail(errSlow)
	case past(d.drain):
		s.tellLast(http2.NoError, "")
	case past(d.idle):
		if d.idle = (time.Time{}); s.Streams() == 0 {
			s.end(http2.NoError, "", nil)
		}
	}
}
