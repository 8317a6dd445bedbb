package protocols

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// hostile are backends of HTTP/2 that answer a request with an attack. Each acts
// when a request has come.
var hostile = map[string]func(p *peer, stream uint32) error{
	"PING flood":     func(p *peer, stream uint32) error { return p.framer.WritePing(false, [8]byte{}) },
	"SETTINGS flood": func(p *peer, stream uint32) error { return p.framer.WriteSettings() },
	"SETTINGS of windows": func(p *peer, stream uint32) error {
		return p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	},
	"WINDOW_UPDATE flood": func(p *peer, stream uint32) error { return p.framer.WriteWindowUpdate(0, 1) },
	"unknown frames":      func(p *peer, stream uint32) error { return p.framer.WriteRawFrame(0xfe, 0, 0, []byte("x")) },
	"PRIORITY flood": func(p *peer, stream uint32) error {
		return p.framer.WritePriority(stream, http2.PriorityParam{StreamDep: 0})
	},
	"RST_STREAM flood": func(p *peer, stream uint32) error { return p.framer.WriteRSTStream(stream, http2.ErrCodeCancel) },
	"GOAWAY flood":     func(p *peer, stream uint32) error { return p.framer.WriteGoAway(stream, http2.ErrCodeNo, nil) },
	"interim responses": func(p *peer, stream uint32) error {
		p.headers(stream, false, p.fields(":status", "103", "link", "</style>"))
		return nil
	},
	"HEADERS without end": func(p *peer, stream uint32) error {
		return p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: p.fields(":status", "200"), EndHeaders: false})
	},
	"PUSH_PROMISE": func(p *peer, stream uint32) error {
		return p.framer.WritePushPromise(http2.PushPromiseParam{StreamID: stream, PromiseID: 2, BlockFragment: p.get(), EndHeaders: true})
	},
	"DATA without a head": func(p *peer, stream uint32) error { return p.framer.WriteData(stream, false, make([]byte, 1000)) },
	"DATA for no stream":  func(p *peer, stream uint32) error { return p.framer.WriteData(1001, false, make([]byte, 1000)) },
	"head without measure": func(p *peer, stream uint32) error {
		p.headers(stream, true, p.fields(append([]string{":status", "200"}, slices.Repeat([]string{"x", strings.Repeat("a", 2000)}, 40)...)...))
		return nil
	},
	"malformed head": func(p *peer, stream uint32) error {
		p.headers(stream, true, p.fields(":status", "200", "Evil", "1"))
		return nil
	},
	"line end in a value": func(p *peer, stream uint32) error {
		p.headers(stream, true, p.fields(":status", "200", "x", "1\r\nevil: 1"))
		return nil
	},
}

// hostileBackend has act called again and again once a request has come, until
// its connection ends.
func hostileBackend(t *testing.T, act func(p *peer, stream uint32) error) net.Addr {
	t.Helper()
	return serveEach(t, func(conn net.Conn) { attackClient(conn, act) })
}

// serveEach is a backend that has each of its connections served, until the test
// ends.
func serveEach(t *testing.T, serve func(net.Conn)) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return l.Addr()
}

func attackClient(conn net.Conn, act func(p *peer, stream uint32) error) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	p := newPeer(conn)
	p.framer.WriteSettings()
	p.framer.WriteSettingsAck()
	p.out.Flush()
	request := uint32(0)
	p.hear(func(stream uint32, _ string) bool {
		request = stream
		return stream != 0
	})
	go io.Copy(io.Discard, conn)
	for err := error(nil); err == nil; err = p.out.Flush() {
		for range 50 {
			if act(p, request) != nil {
				return
			}
		}
	}
}

// A backend that attacks costs those who ask it their answers, and nobody
// anything else.
func TestHostileBackends(t *testing.T) {
	for name, act := range hostile {
		t.Run(name, func(t *testing.T) {
			g := start(t, hostileBackend(t, act), "kubernetes.io/h2c", beside(t, shop(t)))
			good := startPatrons(fmt.Sprintf("127.0.0.1:%d", g.clear))
			memory := watchMemory(t, g.pid)
			for range 20 {
				if status := askHostile(t, g); status != http.StatusBadGateway {
					t.Errorf("the request was answered with %d", status)
				}
			}
			grown := memory.grown()
			asked, p99 := good.leave()
			t.Logf("memory grew by %d KiB; p99 of %d good requests %v", grown>>10, asked, p99)
			if grown > growth {
				t.Errorf("the gateway's memory grew by %d MiB", grown>>20)
			}
			if len(good.wrong) > 0 {
				t.Errorf("%d good requests went wrong, such as: %s", len(good.wrong), good.wrong[0])
			}
		})
	}
}

func askHostile(t *testing.T, g *gateway) int {
	t.Helper()
	client := &http.Client{Timeout: 20 * time.Second}
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/hostile", g.clear))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// beside leads /hostile to the backend, and all else to a good one.
func beside(t *testing.T, good net.Addr) string {
	t.Helper()
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all, namespace: default}
spec:
  parentRefs: [{name: gateway}]
  rules:
  - matches: [{path: {value: /hostile}}]
    backendRefs: [{name: backend, port: 80}]
  - backendRefs: [{name: good, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: good, namespace: default}
spec:
  ports: [{name: good, port: 80, targetPort: %[1]d}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: good, namespace: default, labels: {kubernetes.io/service-name: good}}
addressType: IPv4
ports: [{name: good, port: %[1]d}]
endpoints: [{addresses: [127.0.0.1]}]
`, good.(*net.TCPAddr).Port)
}

// Interim responses of HTTP/1.1 are bounded too.
func TestInterimResponsesWithoutEnd(t *testing.T) {
	backend := serveEach(t, func(conn net.Conn) {
		defer conn.Close()
		_, err := http.ReadRequest(bufio.NewReader(conn))
		hints := bytes.Repeat([]byte("HTTP/1.1 103 Early Hints\r\nLink: </style>\r\n\r\n"), 50)
		for err == nil {
			_, err = conn.Write(hints)
		}
	})
	g := start(t, backend, "", httpRoute)
	p, err := dialPeer(fmt.Sprintf("127.0.0.1:%d", g.clear))
	if err != nil {
		t.Fatal(err)
	}
	defer p.conn.Close()
	p.headers(1, true, p.get())
	p.out.Flush()
	hints := 0
	p.hear(func(_ uint32, word string) bool {
		if word == "103" {
			hints++
		}
		return word == "502" || strings.HasPrefix(word, "RST_STREAM") || word == "EOF" || word == "cut off"
	})
	if hints > 8 {
		t.Errorf("%d interim responses were passed on", hints)
	}
}
