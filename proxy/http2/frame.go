package http2

import (
	"encoding/binary"
	"iter"
)

// FrameType is the type of a frame (RFC 9113 section 6).
type FrameType uint8

// Types of RFC 9113 section 6. Frames of other types must be ignored.
const (
	FrameData FrameType = iota
	FrameHeaders
	FramePriority
	FrameReset
	FrameSettings
	FramePushPromise
	FramePing
	FrameGoAway
	FrameWindowUpdate
	FrameContinuation
)

// Flags are the flags of a frame; what a bit means depends on the type.
type Flags uint8

// Flags of RFC 9113 section 6.
const (
	FlagEndStream  Flags = 0x1 // DATA, HEADERS
	FlagAck        Flags = 0x1 // SETTINGS, PING
	FlagEndHeaders Flags = 0x4 // HEADERS, CONTINUATION
	FlagPadded     Flags = 0x8 // DATA, HEADERS
	FlagPriority   Flags = 0x20
)

// Has reports whether all flags of want are set.
func (f Flags) Has(want Flags) bool { return f&want == want }

// Frame is one frame. Payload is a view of the bytes that it was parsed from.
type Frame struct {
	Type    FrameType
	Flags   Flags
	Stream  uint32
	Payload []byte
}

// Errors of frames.
var (
	errFrameSize  = &Error{Code: FrameSizeError, Reason: "a frame is larger than SETTINGS_MAX_FRAME_SIZE (RFC 9113 section 4.2)"}
	errFixedSize  = &Error{Code: FrameSizeError, Reason: "a frame has not the size that its type has (RFC 9113 section 6)"}
	errNoStream   = &Error{Code: ProtocolError, Reason: "a frame that is of a stream came on stream 0 (RFC 9113 section 6)"}
	errOnStream   = &Error{Code: ProtocolError, Reason: "a frame that is of the connection came on a stream (RFC 9113 section 6)"}
	errPush       = &Error{Code: ProtocolError, Reason: "PUSH_PROMISE came, and push is never allowed (RFC 9113 section 8.4)"}
	errPadding    = &Error{Code: ProtocolError, Reason: "padding is longer than its frame (RFC 9113 section 6.1)"}
	errNoWindow   = &Error{Code: ProtocolError, Reason: "WINDOW_UPDATE adds nothing (RFC 9113 section 6.9)"}
	errSettingBit = &Error{Code: ProtocolError, Reason: "a setting that is 0 or 1 is neither (RFC 9113 section 6.5.2)"}
	errServerPush = &Error{Code: ProtocolError, Reason: "a server set SETTINGS_ENABLE_PUSH to 1 (RFC 9113 section 6.5.2)"}
	errWindowSize = &Error{Code: FlowControlError, Reason: "SETTINGS_INITIAL_WINDOW_SIZE is above 2^31-1 (RFC 9113 section 6.5.2)"}
	errMaxFrame   = &Error{Code: ProtocolError, Reason: "SETTINGS_MAX_FRAME_SIZE is not in 2^14 to 2^24-1 (RFC 9113 section 6.5.2)"}
)

// ParseFrame parses the frame that p starts with. n is its length, header
// included, or 0 where p does not hold all of it yet. maxPayload is what our
// SETTINGS_MAX_FRAME_SIZE allows.
//
// An *Error of the connection comes as soon as the frame's header is there. One
// of a stream comes with n set, when the frame can be skipped.
func ParseFrame(p []byte, maxPayload uint32) (f Frame, n int, err error) {
	if len(p) < FrameHeaderLen {
		return Frame{}, 0, nil
	}
	size := uint32(p[0])<<16 | uint32(p[1])<<8 | uint32(p[2])
	f = Frame{Type: FrameType(p[3]), Flags: Flags(p[4]), Stream: binary.BigEndian.Uint32(p[5:]) & MaxStream}
	if size > maxPayload {
		return f, 0, errFrameSize
	}
	if err := f.check(size); err != nil {
		return f, 0, err
	}
	if n = FrameHeaderLen + int(size); len(p) < n {
		return f, 0, nil
	}
	f.Payload = p[FrameHeaderLen:n:n]
	if f.Type == FramePriority && size != 5 {
		return f, n, &Error{Code: FrameSizeError, Stream: f.Stream, Reason: "PRIORITY is not 5 bytes long (RFC 9113 section 6.3)"}
	}
	return f, n, nil
}

// check holds what the header of a frame alone tells to be wrong with the connection.
func (f *Frame) check(size uint32) error {
	wrongSize, ofStream := false, false
	switch f.Type {
	case FrameData, FramePriority, FrameContinuation:
		ofStream = true
	case FrameHeaders:
		ofStream = true
		wrongSize = f.Flags.Has(FlagPriority) && size < 5
	case FrameReset:
		ofStream = true
		wrongSize = size != 4
	case FrameSettings:
		wrongSize = size%6 != 0 || f.Flags.Has(FlagAck) && size != 0
	case FramePushPromise:
		return errPush
	case FramePing:
		wrongSize = size != 8
	case FrameGoAway:
		wrongSize = size < 8
	case FrameWindowUpdate:
		ofStream = f.Stream != 0 // it may be of either
		wrongSize = size != 4
	default:
		return nil
	}
	switch {
	case ofStream && f.Stream == 0:
		return errNoStream
	case !ofStream && f.Stream != 0:
		return errOnStream
	case wrongSize:
		return errFixedSize
	}
	return nil
}

// Data is the content of a DATA frame. padding is the number of the other bytes
// of its payload: they count for flow control as data does (RFC 9113 section 6.1).
func (f *Frame) Data() (data []byte, padding int, err error) {
	data, err = f.unpadded()
	return data, len(f.Payload) - len(data), err
}

// unpadded is the payload without its padding.
func (f *Frame) unpadded() ([]byte, error) {
	if !f.Flags.Has(FlagPadded) {
		return f.Payload, nil
	}
	if len(f.Payload) == 0 {
		return nil, errFixedSize
	}
	padding, rest := int(f.Payload[0]), f.Payload[1:]
	if padding > len(rest) {
		return nil, errPadding
	}
	return rest[:len(rest)-padding], nil
}

// HeaderFragment is the part of a header block that a HEADERS or CONTINUATION
// frame holds. The priority of a HEADERS frame is left out. With an error of the
// stream (it depends on itself) the fragment is valid all the same: the block
// must be decoded to keep the table in step, with Decoder.Skip.
func (f *Frame) HeaderFragment() ([]byte, error) {
	if f.Type == FrameContinuation {
		return f.Payload, nil
	}
	fragment, err := f.unpadded()
	if err != nil || !f.Flags.Has(FlagPriority) {
		return fragment, err
	}
	if len(fragment) < 5 {
		return nil, errFixedSize
	}
	return fragment[5:], f.checkDependency(fragment)
}

// CheckPriority holds that a PRIORITY frame does not make its stream depend on
// itself. Nothing else of it counts (RFC 9113 section 5.3.2).
func (f *Frame) CheckPriority() error { return f.checkDependency(f.Payload) }

func (f *Frame) checkDependency(priority []byte) error {
	if binary.BigEndian.Uint32(priority)&MaxStream == f.Stream {
		return &Error{Code: ProtocolError, Stream: f.Stream, Reason: "a stream depends on itself (RFC 7540 section 5.3.1)"}
	}
	return nil
}

// WindowIncrement is the number of bytes that a WINDOW_UPDATE adds. Adding none
// is an error of the frame's stream, or of the connection.
func (f *Frame) WindowIncrement() (uint32, error) {
	n := binary.BigEndian.Uint32(f.Payload) & MaxWindow
	switch {
	case n > 0:
		return n, nil
	case f.Stream == 0:
		return 0, errNoWindow
	}
	return 0, &Error{Code: errNoWindow.Code, Stream: f.Stream, Reason: errNoWindow.Reason}
}

// ErrCode is the cause that RST_STREAM or GOAWAY tells.
func (f *Frame) ErrCode() ErrCode {
	if f.Type == FrameGoAway {
		return ErrCode(binary.BigEndian.Uint32(f.Payload[4:]))
	}
	return ErrCode(binary.BigEndian.Uint32(f.Payload))
}

// LastStream is the last stream that the sender of GOAWAY may have processed.
func (f *Frame) LastStream() uint32 { return binary.BigEndian.Uint32(f.Payload) & MaxStream }

// PingData is what an answer to PING gives back.
func (f *Frame) PingData() [8]byte { return [8]byte(f.Payload) }

// SettingID names a setting.
type SettingID uint16

// Settings of RFC 9113 section 6.5.2, RFC 8441 section 3 and RFC 9218 section 2.1.
const (
	SettingHeaderTableSize       SettingID = 0x1
	SettingEnablePush            SettingID = 0x2
	SettingMaxConcurrentStreams  SettingID = 0x3
	SettingInitialWindowSize     SettingID = 0x4
	SettingMaxFrameSize          SettingID = 0x5
	SettingMaxHeaderListSize     SettingID = 0x6
	SettingEnableConnectProtocol SettingID = 0x8
	SettingNoRFC7540Priorities   SettingID = 0x9
)

// Setting is one parameter of SETTINGS.
type Setting struct {
	ID    SettingID
	Value uint32
}

// Settings goes through the parameters of a SETTINGS frame in their order, which
// is that in which they take effect. One may come more than once; unknown ones
// must be ignored.
func (f *Frame) Settings() iter.Seq2[SettingID, uint32] {
	return func(yield func(SettingID, uint32) bool) {
		for p := f.Payload; len(p) >= 6; p = p[6:] {
			if !yield(SettingID(binary.BigEndian.Uint16(p)), binary.BigEndian.Uint32(p[2:])) {
				return
			}
		}
	}
}

// CheckSettings holds that each parameter of a SETTINGS frame has a value that it
// may have. fromServer says that a server sent it.
func (f *Frame) CheckSettings(fromServer bool) error {
	for id, value := range f.Settings() {
		switch id {
		case SettingEnablePush:
			if value == 1 && fromServer {
				return errServerPush
			}
			fallthrough
		case SettingEnableConnectProtocol, SettingNoRFC7540Priorities:
			if value > 1 {
				return errSettingBit
			}
		case SettingInitialWindowSize:
			if value > MaxWindow {
				return errWindowSize
			}
		case SettingMaxFrameSize:
			if value < MinMaxFrameSize || value > MaxMaxFrameSize {
				return errMaxFrame
			}
		}
	}
	return nil
}
