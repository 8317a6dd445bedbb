package engine_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/sluicegateway/sluice/config"
)

// frames3 is a client of HTTP/3 that sends whatever frames it likes.
type frames3 struct {
	testing.TB
	*quic.Conn
	control *quic.SendStream
}

// Types of frames, and the control stream's first byte with empty SETTINGS.
const (
	data3, headers3, settings3 = 0x0, 0x1, 0x4

	controlStream = "\x00\x04\x00"
)

// dialQUIC shakes hands, within a minute.
func (g *gateway) dialQUIC(addr string) (*quic.Conn, error) {
	ctx, cancel := context.WithTimeout(g.Context(), time.Minute)
	defer cancel()
	return quic.DialAddr(ctx, addr, &tls.Config{ServerName: "web.example", InsecureSkipVerify: true, NextProtos: []string{"h3"}}, &quic.Config{MaxIdleTimeout: time.Minute})
}

// frames3 connects, and says nothing yet.
func (g *gateway) frames3() *frames3 {
	g.Helper()
	c, err := g.dialQUIC(g.addr.String())
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { c.CloseWithError(0x100, "") })
	return &frames3{g.TB, c, nil}
}

func contextCause(f *frames3) error { return context.Cause(f.Conn.Context()) }

// greet opens the control stream.
func (f *frames3) greet() *frames3 {
	f.control = f.say(controlStream)
	return f
}

// say opens a stream of one direction.
func (f *frames3) say(text string) *quic.SendStream {
	f.Helper()
	s, err := f.OpenUniStreamSync(f.Conn.Context())
	if err != nil {
		f.Fatal(err)
	}
	io.WriteString(s, text)
	return s
}

func frame3(kind uint64, payload string) string {
	b := quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(payload)))
	return string(b) + payload
}

// head3 is a HEADERS frame.
func head3(fields ...string) string {
	var block bytes.Buffer
	encoder := qpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		encoder.WriteField(qpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return frame3(headers3, block.String())
}

// request3 is a HEADERS frame of a request with more fields.
func request3(method, path string, fields ...string) string {
	return head3(append([]string{":method", method, ":scheme", "https", ":authority", "web.example", ":path", path}, fields...)...)
}

// ask sends frames as a request; end ends it.
func (f *frames3) ask(frames string, end bool) *quic.Stream {
	f.Helper()
	s, err := f.OpenStreamSync(f.Conn.Context())
	if err != nil {
		f.Fatalf("opening a stream: %v", err)
	}
	s.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(s, frames)
	if end {
		s.Close()
	}
	return s
}

// answer3 is the status and the body of a response, or why there is none.
func answer3(s io.Reader) (status, body string, err error) {
	all, err := io.ReadAll(s)
	for len(all) > 0 {
		kind, n, bad := quicvarint.Parse(all)
		size, m, worse := quicvarint.Parse(all[n:])
		if bad != nil || worse != nil || uint64(len(all)-n-m) < size {
			return status, body, fmt.Errorf("a frame is cut, and %w", err)
		}
		payload := all[n+m:][:size]
		all = all[n+m+int(size):]
		switch kind {
		case headers3:
			next := qpack.NewDecoder().Decode(payload)
			for field, err := next(); err == nil; field, err = next() {
				if field.Name == ":status" {
					status += field.Value
				}
			}
		case data3:
			body += string(payload)
		}
	}
	return status, body, err
}

// codeOf is the code that a stream or a connection ended with, 0 for none.
func codeOf(err error) uint64 {
	if stream, ok := errors.AsType[*quic.StreamError](err); ok {
		return uint64(stream.ErrorCode)
	}
	if connection, ok := errors.AsType[*quic.ApplicationError](err); ok {
		return uint64(connection.ErrorCode)
	}
	return 0
}

func TestRFC9114_4_1_2_MalformedRequests(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.speaking3(config.ClientSettings{}).serve(g.origin(hello), config.Rule{})
		f := g.frames3().greet()
		pseudo := func(fields ...string) string { return head3(fields...) }
		for _, tt := range []struct {
			name, frames string
			status       string // or
			code         uint64
		}{
			{"well-formed", request3("GET", "/a"), "200", 0},
			{"trailer", request3("POST", "/a") + frame3(data3, "x") + head3("x-sum", "1"), "200", 0},
			{"frames of unknown types", frame3(0x21, "grease") + request3("GET", "/a") + frame3(0x40, ""), "200", 0},
			{"cookie in parts", request3("GET", "/a", "cookie", "a=1", "cookie", "b=2"), "200", 0},
			{"no :path", pseudo(":method", "GET", ":scheme", "https", ":authority", "web.example"), "", 0x10e},
			{":method twice", pseudo(":method", "GET", ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/"), "", 0x10e},
			{"unknown pseudo-header field", request3("GET", "/", ":x", "1"), "", 0x10e},
			{"pseudo-header field behind others", pseudo(":method", "GET", ":scheme", "https", "x", "1", ":authority", "a", ":path", "/"), "", 0x10e},
			{"upper case", request3("GET", "/", "X-A", "1"), "", 0x10e},
			{"connection", request3("GET", "/", "connection", "close"), "", 0x10e},
			{"transfer-encoding", request3("POST", "/", "transfer-encoding", "chunked"), "", 0x10e},
			{"te", request3("GET", "/", "te", "gzip"), "", 0x10e},
			{"line end in a value", request3("GET", "/", "x", "a\r\nb"), "", 0x10e},
			{"host differs", request3("GET", "/", "host", "other.example"), "", 0x10e},
			{"two lengths", request3("POST", "/", "content-length", "1", "content-length", "2"), "", 0x10e},
			{"less than Content-Length", request3("POST", "/", "content-length", "5") + frame3(data3, "four"), "", 0x10e},
			{"more than Content-Length", request3("POST", "/", "content-length", "3") + frame3(data3, "four"), "", 0x10e},
			{"Content-Length and nothing", request3("GET", "/", "content-length", "3"), "", 0x10e},
			{"pseudo-header field in a trailer", request3("POST", "/") + frame3(data3, "x") + head3(":path", "/"), "", 0x10e},
			{"path with NUL", request3("GET", "/%00"), "400", 0},
			{"CONNECT", pseudo(":method", "CONNECT", ":authority", "web.example:80"), "501", 0},
			{"header of many bytes", request3("GET", "/", "x", strings.Repeat("x", 70<<10)), "431", 0},
			{"many fields", request3("GET", "/", slicesOf("x", "1", 101)...), "431", 0},
			{"many fields of few bytes", frame3(headers3, "\x00\x00"+strings.Repeat("\xd1", 20<<10)), "", 0x10e}, // :method, again and again
			{"header of far too many bytes", frame3(headers3, strings.Repeat("\x00", 200<<10)), "431", 0},
			{"nothing", "", "", 0x10d},
		} {
			s := f.ask(tt.frames, true)
			status, _, err := answer3(s)
			if status != tt.status || codeOf(err) != tt.code {
				t.Errorf("%s: got %q and %v, want %q and code %#x", tt.name, status, err, tt.status, tt.code)
			}
			if f.Conn.Context().Err() != nil {
				t.Fatalf("%s: the connection ended: %v", tt.name, context.Cause(f.Conn.Context()))
			}
		}
	})
}

func slicesOf(name, value string, n int) (fields []string) {
	for range n {
		fields = append(fields, name, value)
	}
	return fields
}

func TestRFC9114_8_1_ConnectionErrors(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.speaking3(config.ClientSettings{}).serve(g.origin(hello), config.Rule{})
		ask := func(frames string) func(f *frames3) { return func(f *frames3) { f.greet().ask(frames, true) } }
		say := func(streams ...string) func(f *frames3) {
			return func(f *frames3) {
				for _, s := range streams {
					f.say(s)
				}
			}
		}
		for _, tt := range []struct {
			name string
			do   func(f *frames3)
			code uint64
		}{
			{"DATA first", ask(frame3(data3, "x")), 0x105},
			{"SETTINGS in a request", ask(request3("GET", "/") + frame3(settings3, "")), 0x105},
			{"a frame of HTTP/2", ask(request3("GET", "/") + frame3(0x8, "x")), 0x105},
			{"PUSH_PROMISE", ask(request3("POST", "/") + frame3(0x5, "\x00\x00\x00")), 0x105},
			{"DATA behind the trailer", ask(request3("POST", "/") + frame3(data3, "x") + head3("x", "1") + frame3(data3, "x")), 0x105},
			{"a second trailer", ask(request3("POST", "/") + frame3(data3, "x") + head3("x", "1") + head3("x", "1")), 0x105},
			{"cut frame", ask(request3("POST", "/") + "\x00\x05x"), 0x106},
			{"cut head", ask("\x01\x40"), 0x106},
			{"dynamic table", ask(frame3(headers3, "\x00\x00\x80")), 0x200},
			{"blocked block", ask(frame3(headers3, "\x02\x00\x80")), 0x200},
			{"bad Huffman code", ask(frame3(headers3, "\x00\x00\x51\x84\xff\xff\xff\xff")), 0x200},
			{"no SETTINGS", say("\x00" + frame3(0x7, "\x00")), 0x10a},
			{"two control streams", say(controlStream, controlStream), 0x103},
			{"two encoders", say(controlStream, "\x02", "\x02"), 0x103},
			{"a push", say(controlStream, "\x01\x00"), 0x103},
			{"SETTINGS again", say(controlStream + frame3(settings3, "")), 0x105},
			{"DATA on the control stream", say(controlStream + frame3(data3, "")), 0x105},
			{"a setting of HTTP/2", say("\x00" + frame3(settings3, "\x03\x00")), 0x109},
			{"a setting twice", say("\x00" + frame3(settings3, "\x06\x00\x06\x00")), 0x109},
			{"cut SETTINGS", say("\x00" + frame3(settings3, "\x06")), 0x109},
			{"endless SETTINGS", say("\x00\x04\x80\x10\x00\x00"), 0x107},
			{"end of the control stream", func(f *frames3) { f.greet().control.Close() }, 0x104},
			{"reset of the control stream", func(f *frames3) {
				f.greet()
				answer3(f.ask(request3("GET", "/"), true)) // what it says has come by then
				f.control.CancelWrite(0x100)
			}, 0x104},
			{"end of the encoder", func(f *frames3) { f.greet().say("\x02").Close() }, 0x104},
		} {
			f := g.frames3()
			tt.do(f)
			select {
			case <-f.Conn.Context().Done():
				if code := codeOf(context.Cause(f.Conn.Context())); code != tt.code {
					t.Errorf("%s: the connection ended with %v, want %#x", tt.name, context.Cause(f.Conn.Context()), tt.code)
				}
			case <-time.After(20 * time.Second):
				t.Errorf("%s: the connection goes on", tt.name)
			}
		}
	})
}

// RFC 9114 section 6.2.3: what nobody knows is left aside.
func TestRFC9114_9_Extensions(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.speaking3(config.ClientSettings{}).serve(g.origin(hello), config.Rule{})
		f := g.frames3().greet()
		for range 20 { // more than may be open at once
			f.say("\x21grease")
		}
		f.say("\x02\x20") // a table without room
		f.say("\x03\x40") // a stream that was given up
		io.WriteString(f.control, frame3(0x21, "grease")+frame3(0xf0700, "\x00u=1")+frame3(0x7, "\x00"))
		if status, body, err := answer3(f.ask(request3("GET", "/a"), true)); status != "200" || body != "hello /a" {
			t.Errorf("got %q %q, %v", status, body, err)
		}
	})
}

// RFC 9220: extended CONNECT is a WebSocket.
func TestRFC9220_WebSocket(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.speaking3(config.ClientSettings{}).serve(g.webSocketOrigin(), config.Rule{})
		f := g.frames3().greet()
		s := f.ask(head3(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "web.example", ":path", "/ws", "sec-websocket-version", "13"), false)
		for i := range 3 {
			io.WriteString(s, frame3(data3, fmt.Sprint(i)))
		}
		s.Close()
		status, body, err := answer3(s)
		if status != "200" || body != "first 012bye" || err != nil {
			t.Errorf("got %q %q, %v", status, body, err)
		}
	})
}
