package mux_test

import (
	"testing"

	"golang.org/x/net/http2"

	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// What a client does wrong ends its stream or the connection, as the sections of
// RFC 9113 say.
var wrongs = map[string]struct {
	do   func(p *rawPeer)
	want string
}{
	"4.1 a reserved bit is ignored": {func(p *rawPeer) {
		p.Write([]byte{0, 0, 8, 6, 0, 0x80, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8})
	}, "PING ACK"},
	"4.2 a frame above SETTINGS_MAX_FRAME_SIZE": {func(p *rawPeer) {
		p.Write([]byte{0, 0x40, 1, 1, 4, 0, 0, 0, 1})
	}, "GOAWAY FRAME_SIZE_ERROR"},
	"4.3 a block that cannot be decoded": {func(p *rawPeer) {
		p.headers(1, true, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	}, "GOAWAY COMPRESSION_ERROR"},
	"4.3 a frame between those of a block": {func(p *rawPeer) {
		p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.get()})
		p.framer.WritePing(false, [8]byte{})
	}, "GOAWAY PROTOCOL_ERROR"},
	"4.3 a CONTINUATION of another stream": {func(p *rawPeer) {
		p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.get()})
		p.framer.WriteContinuation(3, true, nil)
	}, "GOAWAY PROTOCOL_ERROR"},
	"5.1 DATA for an idle stream": {func(p *rawPeer) {
		p.framer.WriteData(1, true, nil)
	}, "GOAWAY PROTOCOL_ERROR"},
	"5.1 RST_STREAM for an idle stream": {func(p *rawPeer) {
		p.framer.WriteRSTStream(1, http2.ErrCodeCancel)
	}, "GOAWAY PROTOCOL_ERROR"},
	"5.1 WINDOW_UPDATE for an idle stream": {func(p *rawPeer) {
		p.framer.WriteWindowUpdate(1, 1)
	}, "GOAWAY PROTOCOL_ERROR"},
	"5.1 DATA after END_STREAM": {func(p *rawPeer) {
		p.headers(1, true, p.get())
		p.framer.WriteData(1, true, []byte("x"))
	}, "RST 1 STREAM_CLOSED"},
	"5.1 HEADERS after END_STREAM": {func(p *rawPeer) {
		p.headers(1, true, p.get())
		p.headers(1, true, p.head("x-a", "b"))
	}, "RST 1 STREAM_CLOSED"},
	"5.1 DATA after RST_STREAM": {func(p *rawPeer) {
		p.headers(1, false, p.post())
		p.framer.WriteRSTStream(1, http2.ErrCodeCancel)
		p.framer.WriteData(1, true, []byte("x"))
	}, "RST 1 STREAM_CLOSED"},
	"5.1 DATA long after the stream's end": {func(p *rawPeer) {
		p.headers(1, true, p.get())
		p.until("DATA 1 2 END")
		p.framer.WriteData(1, true, []byte("x"))
	}, "RST 1 STREAM_CLOSED"},
	"5.1 HEADERS long after the stream's end": {func(p *rawPeer) {
		p.headers(1, true, p.get())
		p.until("DATA 1 2 END")
		p.headers(1, true, p.get())
	}, "GOAWAY STREAM_CLOSED"},
	"5.1.1 an even identifier": {func(p *rawPeer) {
		p.headers(2, true, p.get())
	}, "GOAWAY PROTOCOL_ERROR"},
	"5.1.1 an identifier below the last": {func(p *rawPeer) {
		p.headers(5, true, p.get())
		p.headers(3, true, p.get())
	}, "GOAWAY STREAM_CLOSED"},
	"5.1.2 more streams than announced": {func(p *rawPeer) {
		for id := uint32(1); id <= 2*3+1; id += 2 {
			p.headers(id, false, p.post())
		}
	}, "RST 7 REFUSED_STREAM"},
	"5.5 unknown frames are ignored": {func(p *rawPeer) {
		p.framer.WriteRawFrame(0xbe, 0xff, 0, []byte("what"))
		p.framer.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x01u=1"))
		p.headers(1, true, p.get())
	}, "DATA 1 2 END"},
	"6.1 padding longer than its frame": {func(p *rawPeer) {
		p.headers(1, false, p.post())
		p.Write([]byte{0, 0, 2, 0, 8, 0, 0, 0, 1, 2, 0})
	}, "GOAWAY PROTOCOL_ERROR"},
	"6.3 PRIORITY is not 5 bytes long": {func(p *rawPeer) {
		p.headers(1, false, p.post())
		p.framer.WriteRawFrame(http2.FramePriority, 0, 1, []byte("1234"))
	}, "RST 1 FRAME_SIZE_ERROR"},
	"6.5 SETTINGS on a stream": {func(p *rawPeer) {
		p.framer.WriteRawFrame(http2.FrameSettings, 0, 1, nil)
	}, "GOAWAY PROTOCOL_ERROR"},
	"6.5.2 a window above 2^31-1": {func(p *rawPeer) {
		p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
	}, "GOAWAY FLOW_CONTROL_ERROR"},
	"6.6 PUSH_PROMISE from a client": {func(p *rawPeer) {
		p.framer.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
	}, "GOAWAY PROTOCOL_ERROR"},
	"6.7 PING is answered": {func(p *rawPeer) {
		p.framer.WritePing(false, [8]byte{1})
	}, "PING ACK"},
	"6.9 WINDOW_UPDATE of nothing on a stream": {func(p *rawPeer) {
		p.headers(1, false, p.post())
		p.framer.WriteWindowUpdate(1, 0)
	}, "RST 1 PROTOCOL_ERROR"},
	"6.9 WINDOW_UPDATE of nothing": {func(p *rawPeer) {
		p.framer.WriteWindowUpdate(0, 0)
	}, "GOAWAY PROTOCOL_ERROR"},
	"6.9.1 a stream's window beyond 2^31-1": {func(p *rawPeer) {
		p.headers(1, false, p.post())
		p.framer.WriteWindowUpdate(1, 1<<31-1)
	}, "RST 1 FLOW_CONTROL_ERROR"},
	"6.9.1 the window beyond 2^31-1": {func(p *rawPeer) {
		p.framer.WriteWindowUpdate(0, 1<<31-1)
	}, "GOAWAY FLOW_CONTROL_ERROR"},
	"6.9.2 a setting takes a stream's window beyond 2^31-1": {func(p *rawPeer) {
		p.headers(1, false, p.post())
		p.framer.WriteWindowUpdate(1, 1<<31-1-65535)
		p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65536})
	}, "GOAWAY FLOW_CONTROL_ERROR"},
	"6.10 CONTINUATION without HEADERS": {func(p *rawPeer) {
		p.framer.WriteContinuation(1, true, nil)
	}, "GOAWAY PROTOCOL_ERROR"},
	"8.1 trailers that do not end the stream": {func(p *rawPeer) {
		p.headers(1, false, p.post())
		p.headers(1, false, p.head("x-a", "b"))
	}, "RST 1 PROTOCOL_ERROR"},
	"8.1.1 more DATA than Content-Length": {func(p *rawPeer) {
		p.headers(1, false, p.post("content-length", "1"))
		p.framer.WriteData(1, false, []byte("xy"))
	}, "RST 1 PROTOCOL_ERROR"},
	"8.1.1 less DATA than Content-Length": {func(p *rawPeer) {
		p.headers(1, false, p.post("content-length", "3"))
		p.framer.WriteData(1, true, []byte("xy"))
	}, "RST 1 PROTOCOL_ERROR"},
	"8.1.1 trailers before Content-Length is reached": {func(p *rawPeer) {
		p.headers(1, false, p.post("content-length", "3"))
		p.headers(1, true, p.head("x-a", "b"))
	}, "RST 1 PROTOCOL_ERROR"},
	"8.2 a field name in upper case": {func(p *rawPeer) {
		p.headers(1, true, p.get("X-A", "b"))
	}, "RST 1 PROTOCOL_ERROR"},
	"10.5.1 a head that is too large is answered": {func(p *rawPeer) {
		many := p.get(manyFields(200)...)
		p.headers(1, true, many)
	}, "HEADERS 1 END"},
	"10.5.1 a head that is too large leaves the tables in step": {func(p *rawPeer) {
		p.headers(1, true, p.get(manyFields(200)...))
		p.headers(3, true, p.get("x-late", "in the table"))
		p.headers(5, true, p.get("x-late", "in the table"))
	}, "DATA 5 2 END"},
}

func manyFields(n int) (fields []string) {
	for range n {
		fields = append(fields, "x-many", "fields")
	}
	return fields
}

func TestWrongs(t *testing.T) {
	for name, wrong := range wrongs {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				limits := mux.DefaultLimits
				limits.Streams = 3
				p := w.rawClient(w.listen(&limits, whole))
				p.until("SETTINGS ACK")
				wrong.do(p)
				if got := p.until(wrong.want); got[0] == 'G' { // the connection ends with it
					p.until("EOF")
				}
			})
		})
	}
}

// whole reads the request to its end, and answers ok.
func whole(st *mux.Stream) {
	for {
		if _, err := st.Next(); err != nil {
			break
		}
	}
	answerOK(st)
}

func answerOK(st *mux.Stream) {
	if st.WriteResponse(&message.Response{Status: 200, BodyLength: 2}, false) == nil {
		st.Write([]byte("ok"))
		st.End(nil)
	}
}
