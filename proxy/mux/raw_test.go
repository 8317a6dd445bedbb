package mux_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rawPeer speaks frames, right ones and wrong ones.
type rawPeer struct {
	*world
	net.Conn
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
}

func (w *world) raw(c net.Conn) *rawPeer {
	p := &rawPeer{world: w, Conn: c, framer: http2.NewFramer(c, c)}
	p.framer.AllowIllegalWrites = true
	p.framer.AllowIllegalReads = true
	p.framer.SetMaxReadFrameSize(1 << 20)
	p.encoder = hpack.NewEncoder(&p.block)
	return p
}

// rawClient has sent its preface and settings, and says that it has ours.
func (w *world) rawClient(addr netip.AddrPort, settings ...http2.Setting) *rawPeer {
	w.Helper()
	p := w.raw(w.dial(addr))
	io.WriteString(p, http2.ClientPreface)
	p.framer.WriteSettings(settings...)
	p.framer.WriteSettingsAck()
	return p
}

// head encodes fields: names and values in turn.
func (p *rawPeer) head(fields ...string) []byte {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(p.block.Bytes())
}

// get is the head of a request.
func (p *rawPeer) get(more ...string) []byte {
	return p.head(append([]string{":method", "GET", ":scheme", "http", ":authority", "a.example", ":path", "/"}, more...)...)
}

// post is that of one with a body.
func (p *rawPeer) post(more ...string) []byte {
	return p.head(append([]string{":method", "POST", ":scheme", "http", ":authority", "a.example", ":path", "/"}, more...)...)
}

// headers sends a whole header block.
func (p *rawPeer) headers(id uint32, end bool, block []byte) {
	p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndStream: end, EndHeaders: true})
}

// until reads until one of the peer's frames, in short, is wanted, or the
// connection ends ("EOF", "reset"). It answers nothing.
func (p *rawPeer) until(wanted ...string) string {
	p.Helper()
	var seen []string
	for {
		f, err := p.framer.ReadFrame()
		short := ""
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			short = "GOAWAY " + f.ErrCode.String()
		case *http2.RSTStreamFrame:
			short = fmt.Sprintf("RST %d %v", f.StreamID, f.ErrCode)
		case *http2.DataFrame:
			short = fmt.Sprintf("DATA %d %d", f.StreamID, len(f.Data()))
			if f.StreamEnded() {
				short += " END"
			}
		case *http2.HeadersFrame:
			short = fmt.Sprintf("HEADERS %d", f.StreamID)
			if f.StreamEnded() {
				short += " END"
			}
		case *http2.SettingsFrame:
			short = "SETTINGS"
			if f.IsAck() {
				short += " ACK"
			}
		case *http2.PingFrame:
			short = "PING"
			if f.IsAck() {
				short += " ACK"
			}
		case *http2.WindowUpdateFrame:
			short = fmt.Sprintf("WINDOW_UPDATE %d %d", f.StreamID, f.Increment)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			short = "EOF"
		case err != nil:
			short = "reset"
		}
		for _, w := range wanted {
			if strings.HasPrefix(short, w) {
				return short
			}
		}
		seen = append(seen, short)
		if err != nil {
			p.Fatalf("%s, want %v; before it came %v", short, wanted, seen)
		}
	}
}

// discard reads and drops all that the peer sends, to the end.
func (p *rawPeer) discard() { go io.Copy(io.Discard, p.Conn) }

// settle waits until nobody in the bubble has anything to do.
func (w *world) settle() { synctest.Wait() }

func mustScan(t testing.TB, from, format string, to ...any) {
	t.Helper()
	if _, err := fmt.Sscanf(from, format, to...); err != nil {
		t.Fatalf("%q: %v", from, err)
	}
}
