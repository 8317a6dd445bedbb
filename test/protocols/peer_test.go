package protocols

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is one end of a connection of HTTP/2 that says whatever a test has it
// say. It writes to a buffer; hear reads.
type peer struct {
	conn   net.Conn
	out    *bufio.Writer
	frames *atomic.Int64 // how many were written
	framer *http2.Framer
	block  bytes.Buffer
	hpack  *hpack.Encoder
}

func newPeer(conn net.Conn) *peer {
	p := &peer{conn: conn, out: bufio.NewWriterSize(conn, 64<<10), frames: new(atomic.Int64)}
	p.framer = http2.NewFramer(p, bufio.NewReader(conn))
	p.framer.AllowIllegalWrites, p.framer.AllowIllegalReads = true, true
	p.framer.SetReuseFrames()
	p.hpack = hpack.NewEncoder(&p.block)
	return p
}

// Write takes one frame of the framer's.
func (p *peer) Write(frame []byte) (int, error) {
	p.frames.Add(1)
	return p.out.Write(frame)
}

// dialPeer connects as a client. It acknowledges the server's SETTINGS before
// it has them, so that nothing else need be written for a reader.
func dialPeer(address string, settings ...http2.Setting) (*peer, error) {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	p := newPeer(conn)
	p.greet(settings...)
	return p, nil
}

func (p *peer) greet(settings ...http2.Setting) {
	io.WriteString(p.out, http2.ClientPreface)
	p.framer.WriteSettings(settings...)
	p.framer.WriteSettingsAck()
}

// fields is a header block of pairs of names and values, as they are.
func (p *peer) fields(pairs ...string) []byte {
	p.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		p.hpack.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return p.block.Bytes()
}

// get and post are the heads of ordinary requests with some fields more.
func (p *peer) get(more ...string) []byte  { return p.request("GET", more) }
func (p *peer) post(more ...string) []byte { return p.request("POST", more) }

func (p *peer) request(method string, more []string) []byte {
	return p.fields(append([]string{":method", method, ":scheme", "http", ":authority", hostname, ":path", "/"}, more...)...)
}

// headers writes a block in one frame.
func (p *peer) headers(stream uint32, end bool, block []byte) {
	p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndStream: end, EndHeaders: true})
}

// odd is the identifier of a client's stream i.
func odd(i int) uint32 { return uint32(2*i + 1) }

// heard counts what the other end says, in words such as "GOAWAY
// ENHANCE_YOUR_CALM", "RST_STREAM CANCEL", "DATA", "431".
type heard struct {
	mu    sync.Mutex
	words map[string]int
}

func (h *heard) add(word string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.words == nil {
		h.words = map[string]int{}
	}
	h.words[word]++
}

// String is what was heard that says something about an attack.
func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprint(h.words)
}

// hear reads until the connection ends or each says that it is enough.
func (p *peer) hear(each func(stream uint32, word string) (enough bool)) {
	status := ""
	decoder := hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == ":status" {
			status = f.Value
		}
	})
	for {
		f, err := p.framer.ReadFrame()
		if err != nil {
			each(0, endWord(err))
			return
		}
		word := f.Header().Type.String()
		switch f := f.(type) {
		case *http2.HeadersFrame:
			status = "trailers"
			decoder.Write(f.HeaderBlockFragment())
			word = status
		case *http2.RSTStreamFrame:
			word += " " + f.ErrCode.String()
		case *http2.GoAwayFrame:
			word += " " + f.ErrCode.String()
		case *http2.SettingsFrame, *http2.PingFrame:
			if f.Header().Flags.Has(http2.FlagSettingsAck) {
				word += " ACK"
			}
		}
		if each(f.Header().StreamID, word) {
			return
		}
	}
}

func endWord(err error) string {
	var failed net.Error
	switch {
	case errors.Is(err, io.EOF):
		return "EOF"
	case errors.As(err, &failed) && failed.Timeout():
		return "nothing"
	}
	return "cut off"
}

// until flushes and returns the first of what is heard that begins with one of
// the words, or the end.
func (p *peer) until(t *testing.T, words ...string) string {
	t.Helper()
	p.out.Flush() // an error is the end, which hear tells
	p.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	got := ""
	p.hear(func(_ uint32, word string) bool {
		got = word
		for _, w := range words {
			if strings.HasPrefix(word, w) {
				return true
			}
		}
		return false
	})
	return got
}
