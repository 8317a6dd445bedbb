package http3

import (
	"errors"
	"io"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/message"
)

// Errors of heads.
var (
	errCompression = &Error{Code: DecompressionFailed, Reason: "a block of fields is not QPACK, or refers to a table that has no room (RFC 9204)"}
	errFields      = &Error{Code: MessageError, Stream: true, Reason: "the fields of a message are malformed (RFC 9114 section 4.1.2)"}
	errLength      = &Error{Code: MessageError, Stream: true, Reason: "a body is not as long as Content-Length says (RFC 9114 section 4.1.2)"}
	errLate        = &Error{Code: RequestCancelled, Stream: true, Reason: "a head did not come in time"}
)

// begin reads the request's head, on a goroutine of its own, and has it served;
// it goes on to read the body.
func (st *Stream) begin() {
	s := st.session
	_ = st.raw.SetReadDeadline(time.Now().Add(s.limits.HeadTimeout)) // fails never
	if err := st.readHead(); err != nil {
		st.refuse(err)
		return
	}
	_ = st.raw.SetReadDeadline(time.Time{})
	if !s.loop.Post(func() { s.take(st) }) {
		return
	}
	if !st.remoteEnded {
		st.feed()
	}
}

// readHead decodes the request, and finds out whether it has ended with that.
func (st *Stream) readHead() error {
	s := st.session
	switch err := st.in.next(ofRequest); {
	case err == io.EOF:
		return errIncomplete
	case err != nil:
		return err
	case misplaced[st.in.kind]:
		return errMisplaced
	case st.in.kind != frameHeaders:
		return errOrder
	case st.in.left > uint64(s.limits.Head.MaxBlock()):
		return http2.ErrTooLarge
	}
	block, err := st.in.payload()
	if err != nil {
		return err
	}
	st.head = new(message.Request)
	fields := http2.RequestFields(s.limits.Head, st.head)
	if err := decode(block, fields); err != nil {
		return err
	}
	end := false
	if fields.MayEnd() {
		if end, err = st.endsNow(); err != nil {
			return err
		}
	}
	if err := fields.EndRequest(end, st.head); err != nil {
		return err
	}
	st.head.Major = 3
	st.remoteEnded, st.expect = end, st.head.BodyLength
	if st.websocket = st.head.Upgrade != ""; st.websocket {
		st.expect = message.LengthUnknown
	}
	return nil
}

func ofRequest(kind uint64) bool { return kind == frameData || kind == frameHeaders || misplaced[kind] }

// endsNow waits a little for the end of a request that seems to have no body.
func (st *Stream) endsNow() (bool, error) {
	_ = st.raw.SetReadDeadline(time.Now().Add(st.session.limits.EndWait))
	err := st.in.next(ofRequest)
	switch {
	case err == io.EOF:
		return true, nil
	case err != nil && late(err):
		return false, nil
	case err != nil:
		return false, err
	}
	st.ahead = true
	return false, nil
}

// decode takes the fields of a block. The decoder makes one at a time, and no
// more than the limits allow.
func decode(block []byte, fields *http2.Fields) error {
	next := qpack.NewDecoder().Decode(block)
	for {
		f, err := next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return errCompression
		}
		if err := fields.Take(f.Name, f.Value); err != nil {
			return err
		}
	}
}

// refuse ends a request that nobody will serve: it is answered where it is one
// that only this gateway does not take, and reset otherwise.
func (st *Stream) refuse(err error) {
	s := st.session
	var fields *http2.Error
	if errors.As(err, &fields) {
		s.loop.Post(func() { s.refused(fields.Status) })
	}
	switch wrong := (*Error)(nil); {
	case fields != nil && fields.Status != 0:
		s.rude(rudeMalformed)
		_ = st.raw.SetWriteDeadline(time.Now().Add(s.limits.LingerTime))
		answer := message.Response{Status: fields.Status}
		_, _ = st.raw.Write(appendResponse(nil, &answer, true, false)) // it may be gone
		st.raw.CancelRead(quic.StreamErrorCode(NoError))
		_ = st.raw.Close()
		st.raw.ReleaseStreamCredit()
	case fields != nil:
		s.rude(rudeMalformed)
		st.letGo(MessageError)
	case late(err):
		s.rude(rudeMalformed)
		st.letGo(errLate.Code)
	case errors.As(err, &wrong) && !wrong.Stream:
		s.wrong(wrong)
	case wrong != nil:
		s.rude(rudeMalformed)
		st.letGo(wrong.Code)
	default: // the client has reset it, or is gone
		s.rude(rudeReset)
		st.letGo(RequestCancelled)
	}
}
