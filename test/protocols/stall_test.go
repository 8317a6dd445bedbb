package protocols

import (
	"testing"

	"golang.org/x/net/http2"
)

// large is the head of a request for a large page.
func (p *peer) large() []byte {
	return p.fields(":method", "GET", ":scheme", "http", ":authority", hostname, ":path", "/large")
}

var wide = []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: http2Max}}

// stalls hold what the gateway has, and give it nothing to do.
var stalls = map[string]attack{
	// A client that says that it has no room. Each stream is reset when it has
	// waited long enough; of a few of those the connection ends.
	"windows of nothing": {connections: 20, strict: true, settings: []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}},
		answers: "RST_STREAM INTERNAL_ERROR", ends: calm, begin: func(p *peer) {
			for i := range 100 {
				p.headers(odd(i), true, p.get())
			}
		}},
	"a connection's window of nothing": {connections: 20, strict: true, settings: wide,
		answers: "RST_STREAM INTERNAL_ERROR", ends: calm, begin: func(p *peer) {
			for i := range 100 {
				p.headers(odd(i), true, p.get())
			}
		}},
	// CVE-2019-9517: all windows are open, and nothing is read.
	"downloads that nobody reads": {connections: 4, deaf: true, settings: wide, begin: func(p *peer) {
		p.framer.WriteWindowUpdate(0, http2Max-65_535)
		for i := range 100 {
			p.headers(odd(i), true, p.large())
		}
	}},
	// CVE-2019-9511: one byte at a time.
	"data dribble out": {connections: 4, settings: []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}, begin: func(p *peer) {
		for i := range 100 {
			p.headers(odd(i), true, p.large())
		}
	}, next: func(p *peer, i int) { p.framer.WriteWindowUpdate(odd(i%100), 1) }},
	"data dribble in": {connections: 4, begin: manyPosts, next: func(p *peer, i int) {
		p.framer.WriteData(odd(i%100), false, []byte("x"))
	}},
	// Slow heads and bodies.
	"heads that never end": {connections: 200, strict: true, ends: calm, begin: atBlock},
	"heads that go on slowly": {connections: 20, strict: true, ends: calm, begin: atBlock, next: func(p *peer, i int) {
		if i%100 == 0 {
			p.framer.WriteContinuation(1, false, []byte{0x82})
		} else {
			p.frames.Add(1)
		}
	}},
	"bodies that never come": {connections: 20, strict: true, answers: "408", begin: manyPosts},
	"prefaces alone":         {connections: 500},
}

// What a client holds is bounded, in memory and in time.
func TestStalls(t *testing.T) {
	backend := shop(t)
	for name, a := range stalls {
		t.Run(name, func(t *testing.T) { a.hold(t, backend) })
	}
}
