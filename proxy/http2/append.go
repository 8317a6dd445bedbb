package http2

import "encoding/binary"

// AppendFrameHeader appends the header of a frame with a payload of size bytes.
func AppendFrameHeader(dst []byte, size int, kind FrameType, flags Flags, stream uint32) []byte {
	dst = append(dst, byte(size>>16), byte(size>>8), byte(size), byte(kind), byte(flags))
	return binary.BigEndian.AppendUint32(dst, stream&MaxStream)
}

// AppendData appends data as one frame. It must not be longer than the peer's
// SETTINGS_MAX_FRAME_SIZE.
func AppendData(dst []byte, stream uint32, data []byte, end bool) []byte {
	return append(AppendFrameHeader(dst, len(data), FrameData, endStream(end), stream), data...)
}

func endStream(end bool) Flags {
	if end {
		return FlagEndStream
	}
	return 0
}

// AppendSettings appends a SETTINGS frame.
func AppendSettings(dst []byte, settings ...Setting) []byte {
	dst = AppendFrameHeader(dst, 6*len(settings), FrameSettings, 0, 0)
	for _, s := range settings {
		dst = binary.BigEndian.AppendUint16(dst, uint16(s.ID))
		dst = binary.BigEndian.AppendUint32(dst, s.Value)
	}
	return dst
}

// AppendSettingsAck appends the answer to SETTINGS.
func AppendSettingsAck(dst []byte) []byte {
	return AppendFrameHeader(dst, 0, FrameSettings, FlagAck, 0)
}

// AppendPing appends PING, or the answer to one.
func AppendPing(dst []byte, ack bool, data [8]byte) []byte {
	flags := Flags(0)
	if ack {
		flags = FlagAck
	}
	return append(AppendFrameHeader(dst, len(data), FramePing, flags, 0), data[:]...)
}

// AppendGoAway appends GOAWAY; debug, which may be empty, is for the peer's logs.
func AppendGoAway(dst []byte, lastStream uint32, code ErrCode, debug string) []byte {
	dst = AppendFrameHeader(dst, 8+len(debug), FrameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, lastStream&MaxStream)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, debug...)
}

// AppendWindowUpdate appends WINDOW_UPDATE; stream 0 is the connection, and
// increment is 1 to MaxWindow.
func AppendWindowUpdate(dst []byte, stream, increment uint32) []byte {
	dst = AppendFrameHeader(dst, 4, FrameWindowUpdate, 0, stream)
	return binary.BigEndian.AppendUint32(dst, increment&MaxWindow)
}

// AppendReset appends RST_STREAM.
func AppendReset(dst []byte, stream uint32, code ErrCode) []byte {
	dst = AppendFrameHeader(dst, 4, FrameReset, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}
