package engine_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// framer is one end of a connection of HTTP/2, frame by frame.
type framer struct {
	testing.TB
	*http2.Framer
	conn  net.Conn
	block bytes.Buffer
	hpack *hpack.Encoder
	// heads and bodies are what came on the streams, ended those that came to an
	// end, with the code of an RST_STREAM where one followed.
	heads  map[uint32][]map[string]string
	bodies map[uint32]string
	ended  map[uint32]bool
	resets map[uint32]http2.ErrCode
	// goaways are the last streams of those that came.
	goaways []uint32
}

func newFramer(t testing.TB, c net.Conn) *framer {
	f := &framer{TB: t, Framer: http2.NewFramer(c, bufio.NewReader(c)), conn: c,
		heads: map[uint32][]map[string]string{}, bodies: map[uint32]string{}, ended: map[uint32]bool{}, resets: map[uint32]http2.ErrCode{}}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.hpack = hpack.NewEncoder(&f.block)
	return f
}

// frames connects to the gateway and sends the preface.
func (g *gateway) frames() *framer {
	g.Helper()
	c := g.dial()
	io.WriteString(c.Conn, http2.ClientPreface)
	f := newFramer(g.TB, c.Conn)
	f.WriteSettings()
	return f
}

// framesTLS does so in TLS, for a server name.
func (g *gateway) framesTLS(name string) *framer {
	g.Helper()
	c := g.mustDialTLS(&tls.Config{ServerName: name, NextProtos: []string{"h2"}})
	if p := c.state().NegotiatedProtocol; p != "h2" {
		g.Fatalf("the protocol is %q", p)
	}
	io.WriteString(c.Conn, http2.ClientPreface)
	f := newFramer(g.TB, c.Conn)
	f.WriteSettings()
	return f
}

// framesOrigin starts a backend that speaks in frames.
func (g *gateway) framesOrigin(serve func(f *framer)) netip.AddrPort {
	return g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(r, preface); err != nil {
			return
		}
		f := newFramer(g.TB, c)
		f.Framer = http2.NewFramer(c, r)
		f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		f.WriteSettings(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})
		serve(f)
	})
}

// head sends a head of fields, which are names and values in turn.
func (f *framer) head(stream uint32, end bool, fields ...string) {
	f.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		f.hpack.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.block.Bytes(), EndStream: end, EndHeaders: true})
}

// get asks for a path of a host.
func (f *framer) get(stream uint32, host, path string) {
	f.head(stream, true, ":method", "GET", ":scheme", "http", ":authority", host, ":path", path)
}

// next reads a frame and notes what it says. It reports whether there is one.
func (f *framer) next() bool {
	frame, err := f.ReadFrame()
	if err != nil {
		return false
	}
	id := frame.Header().StreamID
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			f.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			f.WritePing(true, frame.Data)
		}
	case *http2.MetaHeadersFrame:
		head := map[string]string{}
		for _, field := range frame.Fields {
			head[field.Name] = field.Value
		}
		f.heads[id] = append(f.heads[id], head)
		f.ended[id] = f.ended[id] || frame.StreamEnded()
	case *http2.DataFrame:
		f.bodies[id] += string(frame.Data())
		f.ended[id] = f.ended[id] || frame.StreamEnded()
		if n := uint32(frame.Length); n > 0 {
			f.WriteWindowUpdate(0, n)
			f.WriteWindowUpdate(id, n)
		}
	case *http2.RSTStreamFrame:
		f.resets[id] = frame.ErrCode
	case *http2.GoAwayFrame:
		f.goaways = append(f.goaways, frame.LastStreamID)
	}
	return true
}

// until reads frames until a condition holds.
func (f *framer) until(holds func() bool) {
	f.Helper()
	for !holds() {
		if !f.next() {
			f.Fatal("the connection ended too early")
		}
	}
}

// want waits for the end of a response.
func (f *framer) want(stream uint32, status int, body string) {
	f.Helper()
	f.until(func() bool { _, reset := f.resets[stream]; return f.ended[stream] || reset })
	heads := f.heads[stream]
	if len(heads) == 0 || heads[0][":status"] != fmt.Sprint(status) || f.bodies[stream] != body || !f.ended[stream] {
		f.Fatalf("stream %d got %v %q, reset %v; want %d %q", stream, heads, f.bodies[stream], f.resets, status, body)
	}
}
