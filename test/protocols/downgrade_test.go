package protocols

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// scribe is a backend of HTTP/1.1 that writes down every byte that it gets.
type scribe struct {
	net.Listener
	mu  sync.Mutex
	saw bytes.Buffer
}

func startScribe(t *testing.T) *scribe {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scribe{Listener: l}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})}
	go server.Serve(s)
	t.Cleanup(func() { server.Close() })
	return s
}

type scribeConn struct {
	net.Conn
	scribe *scribe
}

func (s *scribe) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	return scribeConn{conn, s}, err
}

func (c scribeConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.scribe.mu.Lock()
	defer c.scribe.mu.Unlock()
	c.scribe.saw.Write(p[:n])
	return n, err
}

// take returns what was written down since it was asked last.
func (s *scribe) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.saw.Reset()
	return s.saw.String()
}

// pseudo are the first fields of a request to /; later pairs with the same names
// replace them, and an empty value leaves one out.
func pseudo(changes ...string) []string {
	fields := []string{":method", "GET", ":scheme", "http", ":authority", hostname, ":path", "/"}
	for i := 0; i < len(changes); i += 2 {
		at := slices.Index(fields, changes[i])
		if changes[i+1] == "" {
			fields = slices.Delete(fields, at, at+2)
		} else {
			fields[at+1] = changes[i+1]
		}
	}
	return fields
}

const smuggled = "GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n"

// injections are requests of HTTP/2 that would be others in HTTP/1.1, or that
// two would understand differently. The answers are PROTOCOL_ERROR of the stream
// if nothing else is said.
var injections = map[string]struct {
	fields []string
	body   string // and so the stream goes on
	answer string
}{
	"line end in a value":           {fields: append(pseudo(), "x", "a\r\nevil: 1")},
	"line end in a value, LF alone": {fields: append(pseudo(), "x", "a\nevil: 1")},
	"CR alone in a value":           {fields: append(pseudo(), "x", "a\revil: 1")},
	"NUL in a value":                {fields: append(pseudo(), "x", "a\x00evil")},
	"control character in a value":  {fields: append(pseudo(), "x", "a\x01evil")},
	"space before a value":          {fields: append(pseudo(), "x", " evil")},
	"space behind a value":          {fields: append(pseudo(), "x", "evil ")},
	"tab before a value":            {fields: append(pseudo(), "x", "\tevil")},
	"line end in a name":            {fields: append(pseudo(), "x: 1\r\nevil", "1")},
	"request in a name":             {fields: append(pseudo(), "x: 1\r\n\r\n"+smuggled, "1")},
	"request in a value":            {fields: append(pseudo(), "x", "1\r\n\r\n"+smuggled)},
	"upper case in a name":          {fields: append(pseudo(), "Evil", "1")},
	"space in a name":               {fields: append(pseudo(), "x evil", "1")},
	"colon in a name":               {fields: append(pseudo(), "x:evil", "1")},
	"NUL in a name":                 {fields: append(pseudo(), "x\x00evil", "1")},
	"high byte in a name":           {fields: append(pseudo(), "x\xffevil", "1")},
	"empty name":                    {fields: append(pseudo(), "", "evil")},

	"no method":                 {fields: pseudo(":method", "")},
	"no scheme":                 {fields: pseudo(":scheme", "")},
	"no path":                   {fields: pseudo(":path", "")},
	"space in the method":       {fields: pseudo(":method", "GET /evil HTTP/1.1")},
	"line end in the method":    {fields: pseudo(":method", "GET / HTTP/1.1\r\nevil: 1\r\nx:")},
	"line end in the path":      {fields: pseudo(":path", "/ HTTP/1.1\r\nevil: 1\r\nx:"), answer: "400"},
	"space in the path":         {fields: pseudo(":path", "/evil HTTP/1.1"), answer: "400"},
	"path without a slash":      {fields: pseudo(":path", "evil")},
	"path that is an address":   {fields: pseudo(":path", "http://evil/")},
	"line end in the authority": {fields: pseudo(":authority", hostname+"\r\nevil: 1"), answer: "400"},
	"user in the authority":     {fields: pseudo(":authority", "evil@"+hostname), answer: "400"},
	"path in the authority":     {fields: pseudo(":authority", hostname+"/evil"), answer: "400"},
	"two methods":               {fields: append(pseudo(), ":method", "EVIL")},
	"two paths":                 {fields: append(pseudo(), ":path", "/evil")},
	"two authorities":           {fields: append(pseudo(), ":authority", "evil")},
	"late pseudo-header":        {fields: []string{":method", "GET", ":scheme", "http", "x", "evil", ":path", "/"}},
	"unknown pseudo-header":     {fields: append(pseudo(), ":evil", "1")},
	"pseudo-header of answers":  {fields: append(pseudo(), ":status", "200")},
	"host unlike authority":     {fields: append(pseudo(), "host", "evil")},
	"two hosts":                 {fields: append(pseudo(), "host", hostname, "host", "evil")},

	"transfer-encoding":            {fields: append(pseudo(":method", "POST"), "transfer-encoding", "chunked"), body: "0\r\n\r\n" + smuggled},
	"connection":                   {fields: append(pseudo(), "connection", "evil")},
	"keep-alive":                   {fields: append(pseudo(), "keep-alive", "evil")},
	"proxy-connection":             {fields: append(pseudo(), "proxy-connection", "evil")},
	"upgrade":                      {fields: append(pseudo(), "upgrade", "evil")},
	"te other than trailers":       {fields: append(pseudo(), "te", "evil")},
	"two lengths":                  {fields: append(pseudo(":method", "POST"), "content-length", "4", "content-length", "5"), body: "evil!"},
	"length that is no number":     {fields: append(pseudo(":method", "POST"), "content-length", "+4"), body: "evil"},
	"length in a list":             {fields: append(pseudo(":method", "POST"), "content-length", "4, 4"), body: "evil"},
	"length of a stream that ends": {fields: append(pseudo(":method", "POST"), "content-length", "4")},
	"CONNECT":                      {fields: []string{":method", "CONNECT", ":authority", "evil:443"}, body: "x", answer: "501"},
	"CONNECT with a path":          {fields: pseudo(":method", "CONNECT")},
	"unknown :protocol":            {fields: append(pseudo(":method", "CONNECT"), ":protocol", "evil"), body: "x", answer: "501"},
	":protocol without CONNECT":    {fields: append(pseudo(), ":protocol", "websocket")},
	"scheme of another kind":       {fields: pseudo(":scheme", "evil"), answer: "400"},
}

// TestInjection holds that a backend gets no byte of what is not a request in
// HTTP/1.1 as it is in HTTP/2.
func TestInjection(t *testing.T) {
	backend := startScribe(t)
	g := start(t, backend.Addr(), "", httpRoute)
	for name, test := range injections {
		t.Run(name, func(t *testing.T) {
			p, err := dialPeer(fmt.Sprintf("127.0.0.1:%d", g.clear))
			if err != nil {
				t.Fatal(err)
			}
			defer p.conn.Close()
			p.headers(1, test.body == "", p.fields(test.fields...))
			if test.body != "" {
				p.framer.WriteData(1, true, []byte(test.body))
			}
			want := test.answer
			if want == "" {
				want = "RST_STREAM PROTOCOL_ERROR"
			}
			if got := p.until(t, "RST_STREAM", "GOAWAY", "1", "2", "3", "4", "5"); got != want {
				t.Errorf("answered with %s, want %s", got, want)
			}
			// What follows on the connection is understood, and what came before has
			// left nothing.
			p.headers(3, true, p.get("x-after", "1"))
			if got := p.until(t, "200", "GOAWAY", "4", "5"); got != "200" {
				t.Errorf("the next request was answered with %s", got)
			}
			saw := backend.take()
			if strings.Count(saw, "HTTP/1.1\r\n") != 1 || strings.Contains(saw, "evil") || !strings.Contains(saw, "x-after: 1\r\n") {
				t.Errorf("the backend saw\n%q", saw)
			}
		})
	}
}

// Bodies that are longer or shorter than their length end the stream, and the
// backend never takes a part for the whole, or the rest for a request.
func TestLengthsOfBodies(t *testing.T) {
	for name, test := range map[string]struct{ length, body string }{
		"longer": {"4", "some" + smuggled}, "shorter": {"1000", "some"}, "none": {"0", smuggled},
	} {
		t.Run(name, func(t *testing.T) {
			backend := startScribe(t)
			g := start(t, backend.Addr(), "", httpRoute)
			p, err := dialPeer(fmt.Sprintf("127.0.0.1:%d", g.clear))
			if err != nil {
				t.Fatal(err)
			}
			defer p.conn.Close()
			p.headers(1, false, p.post("content-length", test.length))
			p.framer.WriteData(1, true, []byte(test.body))
			if got := p.until(t, "RST_STREAM", "GOAWAY", "2", "4", "5"); got != "RST_STREAM PROTOCOL_ERROR" {
				t.Errorf("answered with %s", got)
			}
			p.headers(3, true, p.get())
			if got := p.until(t, "200", "GOAWAY"); got != "200" {
				t.Errorf("the next request was answered with %s", got)
			}
			if saw := backend.take(); strings.Contains(saw, "evil") {
				t.Errorf("the backend saw\n%q", saw)
			}
		})
	}
}

// Trailers carry nothing that changes a request.
func TestTrailersAddNothingToTheHead(t *testing.T) {
	backend := startScribe(t)
	g := start(t, backend.Addr(), "", httpRoute)
	p, err := dialPeer(fmt.Sprintf("127.0.0.1:%d", g.clear))
	if err != nil {
		t.Fatal(err)
	}
	defer p.conn.Close()
	p.headers(1, false, p.post())
	p.framer.WriteData(1, false, []byte("some"))
	p.headers(1, true, p.fields("x-sum", "1", "content-length", "1", "host", "evil", "authorization", "evil"))
	if got := p.until(t, "RST_STREAM", "GOAWAY", "2", "4", "5"); got != "200" {
		t.Errorf("answered with %s", got)
	}
	saw := backend.take()
	if !strings.Contains(saw, "Transfer-Encoding: chunked\r\n") || strings.Contains(saw, "evil") || strings.Contains(strings.ToLower(saw), "content-length") {
		t.Errorf("the backend saw\n%q", saw)
	}
}

// A client that asks for h2c over HTTP/1.1 stays with HTTP/1.1, and the backend
// hears nothing of it (a tunnel past the routes otherwise).
func TestUpgradeToH2CIsNotPassedOn(t *testing.T) {
	backend := startScribe(t)
	g := start(t, backend.Addr(), "", httpRoute)
	for name, connection := range map[string]string{"as specified": "Upgrade, HTTP2-Settings", "without settings": "Upgrade", "alone": "close"} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", g.clear))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", hostname, connection)
			answer := make([]byte, 12)
			if _, err := conn.Read(answer); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
				t.Errorf("answered with %q, %v", answer, err)
			}
			if saw := strings.ToLower(backend.take()); strings.Contains(saw, "h2c") || strings.Contains(saw, "http2-settings") {
				t.Errorf("the backend saw\n%q", saw)
			}
		})
	}
}
