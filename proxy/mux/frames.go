package mux

import (
	"time"

	"github.com/sluicegateway/sluice/proxy/http2"
)

// take acts on a frame.
func (s *Session) take(f *http2.Frame) {
	switch {
	case !s.input.hello && (f.Type != http2.FrameSettings || f.Flags.Has(http2.FlagAck)):
		s.fail(errNoSettings)
		return
	case s.input.block.open && (f.Type != http2.FrameContinuation || f.Stream != s.input.block.stream):
		s.fail(errBlockCut)
		return
	}
	switch f.Type {
	case http2.FrameData:
		s.takeData(f)
	case http2.FrameHeaders:
		s.takeHeaders(f)
	case http2.FrameContinuation:
		s.takeContinuation(f)
	case http2.FrameReset:
		s.takeReset(f)
	case http2.FrameSettings:
		s.takeSettings(f)
	case http2.FramePing:
		s.takePing(f)
	case http2.FrameGoAway:
		s.takeGoAway(f)
	case http2.FrameWindowUpdate:
		s.takeWindowUpdate(f)
	case http2.FramePriority:
		s.rude(rudeFrame)
		if err := f.CheckPriority(); err != nil {
			s.wrong(err)
		}
	default: // RFC 9113 section 5.5; PRIORITY_UPDATE of RFC 9218 is one of these
		s.rude(rudeFrame)
	}
}

// Errors of frames that come where they must not.
var (
	errNoSettings = &http2.Error{Code: http2.ProtocolError, Reason: "the first frame is not SETTINGS (RFC 9113 section 3.4)"}
	errBlockCut   = &http2.Error{Code: http2.ProtocolError, Reason: "a frame came between those of a header block (RFC 9113 section 4.3)"}
	errIdle       = &http2.Error{Code: http2.ProtocolError, Reason: "a frame came for a stream that was never opened (RFC 9113 section 5.1)"}
	errWindow     = &http2.Error{Code: http2.FlowControlError, Reason: "the peer sent more than the connection's window (RFC 9113 section 6.9.1)"}
	errOverflow   = &http2.Error{Code: http2.FlowControlError, Reason: "a window was opened beyond 2^31-1 (RFC 9113 section 6.9.1)"}
)

// Errors of streams, to be told with the stream's number.
const (
	reasonEnded    = "a frame came for a stream that has ended (RFC 9113 section 5.1)"
	reasonWindow   = "the peer sent more than the stream's window (RFC 9113 section 6.9.1)"
	reasonOverflow = "the stream's window was opened beyond 2^31-1 (RFC 9113 section 6.9.1)"
	reasonLength   = "the body has not the length that Content-Length says (RFC 9113 section 8.1.1)"
	reasonNoHead   = "DATA came before the final response (RFC 9113 section 8.1)"
)

func (s *Session) takeData(f *http2.Frame) {
	size := len(f.Payload)
	data, padding, err := f.Data()
	if err != nil {
		s.wrong(err)
		return
	}
	end := f.Flags.Has(http2.FlagEndStream)
	if len(data) == 0 && !end {
		s.rude(rudeEmpty)
	}
	if s.input.window -= size; s.input.window < 0 {
		s.fail(errWindow)
		return
	}
	st := s.find(f.Stream)
	switch {
	case st == nil && s.idle(f.Stream):
		s.fail(errIdle)
	case st == nil:
		s.giveBack(size)
		s.late(f.Stream, size)
	case st.err != nil && !st.reset, st.remoteEnded:
		s.giveBack(size)
		s.refuse(f.Stream, &http2.Error{Code: http2.StreamClosed, Stream: f.Stream, Reason: reasonEnded})
	case st.err != nil:
		s.giveBack(size)
		s.late(f.Stream, size)
	default:
		st.receive(data, padding, end)
	}
}

// giveBack returns bytes to the connection's window.
func (s *Session) giveBack(n int) {
	in := &s.input
	in.taken += n
	if in.taken < max(1, s.limits.Window/4) || s.state != stateOpen {
		return
	}
	n, in.taken = in.taken, 0
	in.window += n
	s.append(func(b []byte) []byte { return http2.AppendWindowUpdate(b, 0, uint32(n)) })
}

func (s *Session) takeReset(f *http2.Frame) {
	st := s.find(f.Stream)
	switch {
	case st == nil && s.idle(f.Stream):
		s.fail(errIdle)
		return
	case st == nil, st.err != nil:
		s.rude(rudeFrame)
		return
	case s.server() && !st.headed && s.loop.Now().Sub(st.began) < patience:
		s.rude(rudeReset)
	case !st.ended || !st.remoteEnded:
		s.rude(rudeFrame)
	}
	code := f.ErrCode()
	st.refused = code == http2.RefusedStream && !st.headed
	st.fail(&StreamError{Code: code, Reason: "reset by the peer"})
}

func (s *Session) takeSettings(f *http2.Frame) {
	in := &s.input
	if f.Flags.Has(http2.FlagAck) {
		if s.due.ack.IsZero() {
			s.rude(rudeSettings)
		}
		s.due.ack = time.Time{}
		return
	}
	if in.hello {
		s.rude(rudeSettings + len(s.streams)/10)
	}
	if err := f.CheckSettings(!s.server()); err != nil {
		s.wrong(err)
		return
	}
	for id, value := range f.Settings() {
		s.set(id, value)
	}
	s.control(http2.AppendSettingsAck)
	if !in.hello {
		in.hello = true
		s.due.hello = time.Time{}
		if s.server() {
			s.due.idle = s.loop.Now().Add(s.limits.KeepAlive)
		}
		s.wakeWaiters()
	}
}

// set puts a setting of the peer in force.
func (s *Session) set(id http2.SettingID, value uint32) {
	out := &s.output
	switch id {
	case http2.SettingHeaderTableSize:
		out.encoder.SetTableSize(value)
	case http2.SettingMaxConcurrentStreams:
		out.peerStreams = value
	case http2.SettingEnableConnectProtocol:
		out.peerUpgrades = value == 1
	case http2.SettingInitialWindowSize:
		more := int(value) - out.streamWindow
		out.streamWindow = int(value)
		for _, st := range s.streams { // RFC 9113 section 6.9.2: windows may become negative
			if st.sendWindow += more; st.sendWindow > http2.MaxWindow {
				s.fail(errOverflow)
				return
			}
			s.enqueue(st)
		}
	}
}

func (s *Session) takePing(f *http2.Frame) {
	s.chargePing()
	data := f.PingData()
	switch {
	case !f.Flags.Has(http2.FlagAck):
		s.control(func(b []byte) []byte { return http2.AppendPing(b, true, data) })
	case data == drainPing && !s.due.drain.IsZero():
		s.tellLast(http2.NoError, "")
	}
}

// takeGoAway lets the session end with its streams; those that the peer has not
// processed end now.
func (s *Session) takeGoAway(f *http2.Frame) {
	if s.rude(rudeFrame); s.state != stateOpen {
		return
	}
	s.leaving = true
	code := f.ErrCode()
	if code != http2.NoError {
		s.reason = "goaway_" + word(code)
		s.cause = &StreamError{Code: code, Reason: "the peer said GOAWAY"}
	}
	if !s.server() {
		for _, st := range s.streams {
			if st.id > f.LastStream() {
				st.refused = true
				st.fail(&StreamError{Code: http2.RefusedStream, Reason: "the peer says GOAWAY and has not processed it"})
			}
		}
	}
	s.endIfDone()
}

func (s *Session) takeWindowUpdate(f *http2.Frame) {
	s.chargeUpdate()
	st := s.find(f.Stream)
	if f.Stream != 0 && st == nil {
		if s.idle(f.Stream) {
			s.fail(errIdle)
		}
		return
	}
	n, err := f.WindowIncrement()
	switch {
	case err != nil:
		s.wrong(err)
	case f.Stream == 0:
		if s.output.window += int(n); s.output.window > http2.MaxWindow {
			s.fail(errOverflow)
		}
	default:
		if st.sendWindow += int(n); st.sendWindow > http2.MaxWindow {
			s.refuse(st.id, &http2.Error{Code: http2.FlowControlError, Stream: st.id, Reason: reasonOverflow})
			return
		}
		s.enqueue(st)
	}
}

// idle reports whether a stream was never opened.
func (s *Session) idle(id uint32) bool {
	return id > s.lastID && !(s.last && s.server()) || id%2 == 0
}

// find returns a stream that somebody still holds, or nil.
func (s *Session) find(id uint32) *Stream {
	low, high := 0, len(s.streams)
	for low < high {
		switch middle := (low + high) / 2; {
		case s.streams[middle].id == id:
			return s.streams[middle]
		case s.streams[middle].id < id:
			low = middle + 1
		default:
			high = middle
		}
	}
	return nil
}

// refuse resets a stream because of what the peer did. That is not for nothing:
// it makes us do work and drop it.
func (s *Session) refuse(id uint32, err *http2.Error) {
	s.rude(rudeMalformed)
	if s.state != stateOpen {
		return
	}
	st := s.find(id)
	switch {
	case st != nil && !st.reset:
		st.reset = true
		s.reset(id, err.Code, max(0, st.recvWindow))
		st.fail(err)
	case st == nil && s.idle(id): // it cannot be reset
		s.fail(&http2.Error{Code: err.Code, Reason: err.Reason})
	case st == nil:
		s.reset(id, err.Code, 0)
	}
}

// reset appends RST_STREAM. left is what the peer may have on its way.
func (s *Session) reset(id uint32, code http2.ErrCode, left int) {
	s.control(func(b []byte) []byte { return http2.AppendReset(b, id, code) })
	s.input.resets.add(id, left)
}

// late acts on DATA for a stream that is no more. What was on its way when we
// reset the stream is no fault of the peer (RFC 9113 section 5.1).
func (s *Session) late(id uint32, size int) {
	if r := s.input.resets.find(id); r != nil {
		if r.left -= size; r.left < 0 {
			s.rude(rudeFrame)
		}
		return
	}
	s.refuse(id, &http2.Error{Code: http2.StreamClosed, Stream: id, Reason: reasonEnded})
}

// resets remembers the streams that we have reset last.
type resets struct {
	recent []reset
	next   int
}

type reset struct {
	id   uint32
	left int // bytes that the peer may have sent before it knew
}

// maxResets is how many: more than a peer can have open.
const maxResets = 128

func (r *resets) add(id uint32, left int) {
	if len(r.recent) < maxResets {
		r.recent = append(r.recent, reset{id, left})
		return
	}
	r.recent[r.next] = reset{id, left}
	r.next = (r.next + 1) % maxResets
}

func (r *resets) find(id uint32) *reset {
	for i := range r.recent {
		if r.recent[i].id == id {
			return &r.recent[i]
		}
	}
	return nil
}
