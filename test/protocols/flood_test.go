package protocols

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// strictTimes are limits of time that a test can wait for.
const strictTimes = `
---
apiVersion: sluice.dev/v1alpha1
kind: ClientPolicy
metadata: {name: strict, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gateway}]
  timeouts: {head: 300ms, bodyIdle: 300ms}
`

var (
	calm    = []string{"GOAWAY ENHANCE_YOUR_CALM"}
	atGet   = func(p *peer) { p.headers(1, true, p.get()) }
	atPost  = func(p *peer) { p.headers(1, false, p.post()) }
	atBlock = func(p *peer) {
		p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: p.get()})
	}
	manyPosts = func(p *peer) {
		for i := range 100 {
			p.headers(odd(i), false, p.post())
		}
	}
)

// afterGet is a request and one frame that makes the gateway reset it.
func afterGet(frame func(p *peer, stream uint32)) func(p *peer, i int) {
	return func(p *peer, i int) {
		p.headers(odd(i), true, p.get())
		frame(p, odd(i))
	}
}

// floods are frames that cost the gateway something and their sender nothing.
var floods = map[string]attack{
	"rapid reset": {ends: calm, next: afterGet(func(p *peer, stream uint32) {
		p.framer.WriteRSTStream(stream, http2.ErrCodeCancel)
	})},
	"rapid reset of uploads": {ends: calm, next: func(p *peer, i int) {
		p.headers(odd(i), false, p.post())
		p.framer.WriteData(odd(i), false, []byte("some"))
		p.framer.WriteRSTStream(odd(i), http2.ErrCodeCancel)
	}},
	"MadeYouReset by WINDOW_UPDATE of nothing": {ends: calm, answers: "RST_STREAM PROTOCOL_ERROR", next: afterGet(func(p *peer, stream uint32) {
		p.framer.WriteWindowUpdate(stream, 0)
	})},
	"MadeYouReset by a window beyond its bound": {ends: calm, answers: "RST_STREAM FLOW_CONTROL_ERROR", next: afterGet(func(p *peer, stream uint32) {
		p.framer.WriteWindowUpdate(stream, http2Max)
	})},
	"MadeYouReset by PRIORITY of the wrong size": {ends: calm, answers: "RST_STREAM FRAME_SIZE_ERROR", next: afterGet(func(p *peer, stream uint32) {
		p.framer.WriteRawFrame(http2.FramePriority, 0, stream, []byte("1"))
	})},
	"MadeYouReset by PRIORITY on itself": {ends: calm, answers: "RST_STREAM PROTOCOL_ERROR", next: afterGet(func(p *peer, stream uint32) {
		p.framer.WritePriority(stream, http2.PriorityParam{StreamDep: stream})
	})},
	"MadeYouReset by HEADERS after the end": {ends: []string{calm[0], "GOAWAY STREAM_CLOSED"}, next: afterGet(func(p *peer, stream uint32) {
		p.headers(stream, true, p.get())
	})},
	"MadeYouReset by DATA after the end": {ends: calm, answers: "RST_STREAM STREAM_CLOSED", next: afterGet(func(p *peer, stream uint32) {
		p.framer.WriteData(stream, true, []byte("x"))
	})},

	"CONTINUATION without end": {ends: calm, begin: atBlock, next: func(p *peer, i int) {
		p.framer.WriteContinuation(1, false, []byte{0x82})
	}},
	"CONTINUATION without measure": {ends: calm, begin: atBlock, next: func(p *peer, i int) {
		p.framer.WriteContinuation(1, false, make([]byte, 16<<10))
	}},
	"empty CONTINUATION": {ends: calm, begin: atBlock, next: func(p *peer, i int) {
		p.framer.WriteContinuation(1, false, nil)
	}},
	"empty HEADERS": {ends: calm, next: func(p *peer, i int) { p.headers(odd(i), true, nil) }},
	"empty DATA": {ends: calm, begin: atPost, next: func(p *peer, i int) {
		p.framer.WriteData(1, false, nil)
	}},
	"padding alone": {ends: calm, begin: atPost, next: func(p *peer, i int) {
		p.framer.WriteDataPadded(1, false, nil, make([]byte, 200))
	}},

	"PING flood": {ends: calm, next: func(p *peer, i int) { p.framer.WritePing(false, [8]byte{}) }},
	"PING flood by who does not read": {deaf: true, next: func(p *peer, i int) {
		p.framer.WritePing(false, [8]byte{})
	}},
	"SETTINGS flood":     {ends: calm, next: func(p *peer, i int) { p.framer.WriteSettings() }},
	"SETTINGS ACK flood": {ends: calm, next: func(p *peer, i int) { p.framer.WriteSettingsAck() }},
	"SETTINGS over many streams": {ends: calm, begin: manyPosts, next: func(p *peer, i int) {
		p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i)})
	}},
	"uploads whose client hangs up": {begin: manyPosts, next: func(p *peer, i int) {
		p.out.Flush()
		p.conn.Close()
	}},
	"SETTINGS of table sizes": {ends: calm, next: func(p *peer, i int) {
		p.framer.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: uint32(i%2) * 4096})
	}},
	"RST_STREAM flood": {ends: calm, begin: atGet, next: func(p *peer, i int) {
		p.framer.WriteRSTStream(1, http2.ErrCodeCancel)
	}},
	"GOAWAY flood": {ends: calm, begin: atPost, next: func(p *peer, i int) { p.framer.WriteGoAway(0, http2.ErrCodeNo, nil) }},
	"PRIORITY flood": {ends: calm, next: func(p *peer, i int) {
		p.framer.WritePriority(odd(i), http2.PriorityParam{StreamDep: odd(i + 1)})
	}},
	"PRIORITY_UPDATE flood": {ends: calm, next: func(p *peer, i int) {
		p.framer.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x01u=1"))
	}},
	"unknown frames": {ends: calm, next: func(p *peer, i int) {
		p.framer.WriteRawFrame(0xfe, 0, 0, []byte("x"))
	}},
	"WINDOW_UPDATE flood": {ends: calm, next: func(p *peer, i int) { p.framer.WriteWindowUpdate(0, 1) }},
	"WINDOW_UPDATE flood on a stream": {ends: calm, begin: atPost, next: func(p *peer, i int) {
		p.framer.WriteWindowUpdate(1, 1)
	}},

	"streams above the limit": {ends: calm, answers: "RST_STREAM REFUSED_STREAM", next: func(p *peer, i int) {
		p.headers(odd(i), false, p.post())
	}},
	"malformed requests": {ends: calm, answers: "RST_STREAM PROTOCOL_ERROR", next: func(p *peer, i int) {
		p.headers(odd(i), true, p.get("Upper", "x"))
	}},
	"empty names": {ends: calm, answers: "RST_STREAM PROTOCOL_ERROR", next: func(p *peer, i int) {
		p.headers(odd(i), true, p.get("", ""))
	}},
	"empty values without measure": {ends: calm, begin: primed("x", ""), next: again},
	"HPACK bomb":                   {ends: calm, begin: primed("x", strings.Repeat("a", 3900)), next: again},
	"cookie crumbs":                {ends: calm, begin: primed("cookie", "a=b"), next: again},
	"HPACK table beyond its bound": {ends: []string{"GOAWAY COMPRESSION_ERROR"}, next: func(p *peer, i int) {
		p.headers(odd(i), true, append([]byte{0x3f, 0xe1, 0xff, 0x03}, p.get()...)) // 64 KiB
	}},
	"HPACK indices of nothing": {ends: []string{"GOAWAY COMPRESSION_ERROR"}, next: func(p *peer, i int) {
		p.headers(odd(i), true, []byte{0xff, 0xff, 0x7f})
	}},
}

// http2Max is the largest window.
const http2Max = 1<<31 - 1

// primed has the gateway learn a field that again repeats. It is 62 in the table
// of the decoder, so each costs the attacker one byte.
func primed(name, value string) func(p *peer) {
	return func(p *peer) {
		p.headers(1, true, p.fields(":method", "GET", ":scheme", "http", ":path", "/", ":authority", hostname, name, value))
	}
}

// again is a request with a field 16,000 times.
func again(p *peer, i int) { p.headers(odd(i+1), true, sixteenThousand) }

var sixteenThousand = append([]byte{0x82, 0x86, 0x84, 0xbf}, bytes.Repeat([]byte{0xbe}, 16_000)...)

// Attackers are told to be calm, or what they did wrong, and are cut off; they
// cost no memory, and no good client notices.
func TestFloods(t *testing.T) {
	backend := shop(t)
	for name, a := range floods {
		t.Run(name, func(t *testing.T) {
			a.connections = 4
			a.hold(t, backend)
		})
	}
}
