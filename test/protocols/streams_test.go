package protocols

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// Identifiers that a client must not use end the connection, and one near the
// last has it replaced.
func TestStreamIdentifiers(t *testing.T) {
	g := start(t, webServer(t), "", httpRoute)
	for name, test := range map[string]struct {
		act  func(p *peer)
		want string
	}{
		"even":           {func(p *peer) { p.headers(2, true, p.get()) }, "GOAWAY PROTOCOL_ERROR"},
		"zero":           {func(p *peer) { p.headers(0, true, p.get()) }, "GOAWAY PROTOCOL_ERROR"},
		"lower than one": {func(p *peer) { p.headers(5, true, p.get()); p.headers(3, true, p.get()) }, "GOAWAY STREAM_CLOSED"},
		"used again": {func(p *peer) {
			p.headers(1, true, p.get())
			p.until(t, "DATA")
			p.headers(1, true, p.get())
		}, "GOAWAY STREAM_CLOSED"},
		"DATA of none":          {func(p *peer) { p.framer.WriteData(7, true, []byte("x")) }, "GOAWAY PROTOCOL_ERROR"},
		"RST_STREAM of none":    {func(p *peer) { p.framer.WriteRSTStream(7, http2.ErrCodeCancel) }, "GOAWAY PROTOCOL_ERROR"},
		"WINDOW_UPDATE of none": {func(p *peer) { p.framer.WriteWindowUpdate(7, 1) }, "GOAWAY PROTOCOL_ERROR"},
		"PUSH_PROMISE": {func(p *peer) {
			p.framer.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		}, "GOAWAY PROTOCOL_ERROR"},
		"near the last":   {func(p *peer) { p.headers(1<<31-1, true, p.get()) }, "GOAWAY NO_ERROR"},
		"frame too large": {func(p *peer) { p.framer.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 16385)) }, "GOAWAY FRAME_SIZE_ERROR"},
		"no SETTINGS":     {func(p *peer) {}, "SETTINGS ACK"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := dialPeer(fmt.Sprintf("127.0.0.1:%d", g.clear))
			if err != nil {
				t.Fatal(err)
			}
			defer p.conn.Close()
			test.act(p)
			word := "GOAWAY"
			if !strings.HasPrefix(test.want, word) {
				word = test.want
			}
			if got := p.until(t, word); got != test.want {
				t.Errorf("answered with %s, want %s", got, test.want)
			}
		})
	}
}

// A stream with the last identifier is served before the connection ends.
func TestLastStreamIsServed(t *testing.T) {
	g := start(t, webServer(t), "", httpRoute)
	p, err := dialPeer(fmt.Sprintf("127.0.0.1:%d", g.clear))
	if err != nil {
		t.Fatal(err)
	}
	defer p.conn.Close()
	p.headers(1<<31-1, true, p.get())
	if got := p.until(t, "200", "EOF"); got != "200" {
		t.Errorf("answered with %s", got)
	}
	if got := p.until(t, "EOF"); got != "EOF" {
		t.Errorf("the connection ended with %s", got)
	}
}

// two is a Gateway whose listeners have hostnames of their own.
const two = httpRoute + `
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: two, namespace: default}
spec:
  gatewayClassName: sluice
  addresses: [{type: IPAddress, value: 127.0.0.1}]
  listeners:
  - {name: one, hostname: gateway.example, protocol: HTTPS, port: %[1]d, tls: {certificateRefs: [{name: gateway}]}}
  - {name: other, hostname: other.example, protocol: HTTPS, port: %[1]d, tls: {certificateRefs: [{name: gateway}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: two, namespace: default}
spec:
  parentRefs: [{name: two}]
  rules:
  - backendRefs: [{name: backend, port: 80}]
`

// A connection serves the listener that its handshake has named and no other:
// what is coalesced to it is misdirected (RFC 9110 section 15.5.20), or leads
// nowhere at all.
func TestCoalescedRequests(t *testing.T) {
	port := freePort(t)
	g := start(t, webServer(t), "", fmt.Sprintf(two, port))
	for authority, want := range map[string]string{hostname: "200", "other.example": "421", "none.example": "404"} {
		t.Run(authority, func(t *testing.T) {
			conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), g.tls("h2"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			p := newPeer(conn)
			p.greet()
			p.headers(1, true, p.fields(":method", "GET", ":scheme", "https", ":authority", authority, ":path", "/"))
			if got := p.until(t, "200", "4", "5", "RST_STREAM", "GOAWAY"); got != want {
				t.Errorf("answered with %s, want %s", got, want)
			}
		})
	}
}

// An extended CONNECT leads where its route leads, or nowhere.
func TestWebSocketWithoutRoute(t *testing.T) {
	backend := startScribe(t)
	g := start(t, backend.Addr(), "", strings.Replace(httpRoute, "rules:", `hostnames: [other.example]
  rules:`, 1))
	p, err := dialPeer(fmt.Sprintf("127.0.0.1:%d", g.clear))
	if err != nil {
		t.Fatal(err)
	}
	defer p.conn.Close()
	p.headers(1, false, p.fields(append(pseudo(":method", "CONNECT"), ":protocol", "websocket", "sec-websocket-version", "13")...))
	p.framer.WriteData(1, false, []byte(smuggled))
	if got := p.until(t, "2", "4", "5", "RST_STREAM", "GOAWAY"); got != "404" {
		t.Errorf("answered with %s, want 404", got)
	}
	if saw := backend.take(); saw != "" {
		t.Errorf("the backend saw %q", saw)
	}
}
