package mux

import (
	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/message"
)

// headerBlock is one that has begun and whose end has not come.
type headerBlock struct {
	open   bool
	stream uint32
	end    bool // it ends the peer's side of the stream
	wrong  *http2.Error
	bytes  []byte
	frames int
}

// Errors of heads.
var (
	errLongBlock  = &http2.Error{Code: http2.EnhanceYourCalm, Reason: "a header block is larger, or in more frames, than the limits"}
	errNoHeaders  = &http2.Error{Code: http2.ProtocolError, Reason: "CONTINUATION came without HEADERS (RFC 9113 section 6.10)"}
	errStreamID   = &http2.Error{Code: http2.ProtocolError, Reason: "a stream was opened that is not the client's to open (RFC 9113 section 5.1.1)"}
	errClosedHead = &http2.Error{Code: http2.StreamClosed, Reason: "HEADERS came for a stream that has ended (RFC 9113 section 5.1)"}
)

const (
	reasonTrailer  = "a second header block does not end the stream (RFC 9113 section 8.1)"
	reasonInterim  = "too many interim responses, or one that ends the stream"
	reasonTooMany  = "more streams than SETTINGS_MAX_CONCURRENT_STREAMS"
	lastIdentifier = http2.MaxStream - 2000 // streams are few from here on
)

func (s *Session) takeHeaders(f *http2.Frame) {
	fragment, err := f.HeaderFragment()
	wrong := peerError(err)
	if wrong != nil && wrong.Stream == 0 {
		s.wrong(err)
		return
	}
	s.input.block = headerBlock{stream: f.Stream, end: f.Flags.Has(http2.FlagEndStream), wrong: wrong}
	if f.Flags.Has(http2.FlagEndHeaders) {
		s.takeBlock(fragment)
		return
	}
	s.input.block.open = true
	s.addToBlock(fragment)
}

func (s *Session) takeContinuation(f *http2.Frame) {
	b := &s.input.block
	if !b.open {
		s.fail(errNoHeaders)
		return
	}
	s.addToBlock(f.Payload)
	if s.state == stateOpen && f.Flags.Has(http2.FlagEndHeaders) {
		b.open = false
		s.takeBlock(b.bytes)
		put(b.bytes)
		b.bytes = nil
	}
}

// addToBlock keeps a part of a block. One that may still be answered with 431 is
// larger than the limit, but not by much.
func (s *Session) addToBlock(fragment []byte) {
	b := &s.input.block
	if b.frames++; b.frames > s.limits.HeadFrames || len(b.bytes)+len(fragment) > 2*s.limits.Head.Bytes {
		s.fail(errLongBlock)
		return
	}
	if len(fragment) == 0 {
		s.rude(rudeEmpty)
	}
	b.bytes = append(grow(b.bytes, len(fragment)), fragment...)
}

// takeBlock acts on a whole header block. Whatever becomes of it, the decoder
// must see it.
func (s *Session) takeBlock(block []byte) {
	b := &s.input.block
	st := s.find(b.stream)
	switch {
	case b.stream%2 == 0:
		s.fail(errStreamID)
	case b.wrong != nil:
		s.skip(block)
		s.open(b.stream)
		s.refuse(b.stream, b.wrong)
	case st != nil:
		s.takeMore(st, block)
	case s.server() && b.stream > s.lastID:
		s.takeRequest(block)
	case b.stream > s.lastID:
		s.fail(errIdle)
	case s.server() && s.input.resets.find(b.stream) == nil:
		s.fail(errClosedHead)
	default: // it crossed our reset
		s.skip(block)
		s.rude(rudeFrame)
	}
}

func (s *Session) skip(block []byte) {
	if err := s.input.decoder.Skip(block); err != nil {
		s.wrong(err)
	}
}

// open notes that the client has opened a stream.
func (s *Session) open(id uint32) {
	if s.server() && !s.last && id > s.lastID {
		s.lastID = id
		if id > lastIdentifier {
			s.Drain()
		}
	}
}

// takeRequest opens a stream for a request.
func (s *Session) takeRequest(block []byte) {
	id, end := s.input.block.stream, s.input.block.end
	if s.last { // it crossed our GOAWAY
		s.skip(block)
		s.rude(rudeFrame)
		return
	}
	s.open(id)
	if len(s.streams) >= s.limits.Streams {
		s.skip(block)
		s.rude(rudeRefused)
		s.reset(id, http2.RefusedStream, s.limits.StreamWindow)
		return
	}
	head := requests.Get().(*message.Request)
	if err := s.input.decoder.Request(block, end, head); err != nil {
		head.Reset()
		requests.Put(head)
		s.refuseRequest(id, end, err)
		return
	}
	st := &Stream{session: s, head: head, expect: head.BodyLength, remoteEnded: end, websocket: head.Upgrade != ""}
	if st.websocket {
		st.expect = unknown
	}
	st.begin(id)
	s.serve(st)
}

// refuseRequest answers a request that is well-formed and not served, and resets
// what is malformed.
func (s *Session) refuseRequest(id uint32, end bool, err error) {
	wrong := peerError(err)
	if wrong.Stream == 0 {
		s.wrong(err)
		return
	}
	s.refused(wrong.Status)
	if wrong.Status == 0 {
		s.refuse(id, wrong.At(id))
		return
	}
	s.rude(rudeMalformed)
	answer := message.Response{Status: wrong.Status, DeclaredLength: 0}
	s.control(func(b []byte) []byte {
		return s.output.encoder.AppendResponse(b, &answer, id, true, false, http2.MinMaxFrameSize)
	})
	if !end {
		s.reset(id, http2.NoError, s.limits.StreamWindow)
	}
}

// takeMore takes a block for a stream that is open: a response, or trailers.
func (s *Session) takeMore(st *Stream, block []byte) {
	end := s.input.block.end
	switch {
	case st.reset: // it crossed our reset
		s.skip(block)
		s.rude(rudeFrame)
	case st.err != nil, st.remoteEnded:
		s.skip(block)
		s.refuse(st.id, &http2.Error{Code: http2.StreamClosed, Stream: st.id, Reason: reasonEnded})
	case !s.server() && !st.headed:
		s.takeResponse(st, block, end)
	case !end:
		s.skip(block)
		s.refuse(st.id, &http2.Error{Code: http2.ProtocolError, Stream: st.id, Reason: reasonTrailer})
	default:
		trailer := &message.Header{Fields: make([]message.Field, 0, trailerFields)}
		if err := s.input.decoder.Trailer(block, trailer); err != nil {
			s.wrongBlock(st, err)
			return
		}
		st.trailer = trailer
		st.receiveEnd()
	}
}

// trailerFields is how many most trailers have at most.
const trailerFields = 4

// maxHeads is how many heads of responses wait for their reader.
const maxHeads = 16

func (s *Session) takeResponse(st *Stream, block []byte, end bool) {
	head := responses.Get().(*message.Response)
	if err := s.input.decoder.Response(block, end, st.method, st.websocket, head); err != nil {
		head.Reset()
		responses.Put(head)
		s.wrongBlock(st, err)
		return
	}
	interim := head.Status < 200 && head.Status != 101
	if interim && (end || len(st.heads) >= maxHeads) {
		s.refuse(st.id, &http2.Error{Code: http2.ProtocolError, Stream: st.id, Reason: reasonInterim})
		return
	}
	if st.heads == nil {
		st.heads = st.firstHead[:0]
	}
	st.heads = append(st.heads, head)
	if !interim {
		st.headed = true
		if st.expect = head.BodyLength; head.Status == 101 {
			st.expect = unknown
		}
	}
	if end {
		st.receiveEnd()
	}
	st.wakeReader()
}

// wrongBlock resets a stream whose header block is malformed.
func (s *Session) wrongBlock(st *Stream, err error) {
	s.wrong(peerError(err).At(st.id))
}
