package proxy

import (
	"crypto/sha1"
	"encoding/base64"
)

// Fields of a WebSocket handshake in HTTP/1.1, which HTTP/2 does without (RFC
// 6455 section 4, RFC 8441 section 5).
const (
	webSocketKey    = "Sec-WebSocket-Key"
	webSocketAccept = "Sec-WebSocket-Accept"
)

// addWebSocketKey gives a request that came without a key one, for a backend
// that gets it by HTTP/1.1.
func (x *exchange) addWebSocketKey() {
	if _, ok := x.req.Header.Lookup(webSocketKey); ok {
		return
	}
	var key [16]byte
	x.random.Read(key[:])
	x.req.Header.Add(webSocketKey, base64.StdEncoding.EncodeToString(key[:]))
}

// acceptWebSocket answers the client's key where the backend, having none, did not.
func (x *exchange) acceptWebSocket() {
	key, asked := x.req.Header.Lookup(webSocketKey)
	if _, answered := x.resp.Header.Lookup(webSocketAccept); answered || !asked || x.up.conn.Stream() == nil {
		return
	}
	x.resp.Header.Add(webSocketAccept, acceptOf(key))
}

// keyMisread reports whether the backend has not answered the key that was made
// for it: what it takes for a WebSocket may be none (RFC 6455 section 4.1). Keys
// of clients are theirs to check.
func (x *exchange) keyMisread() bool {
	if x.stream == nil || x.up.conn.Stream() != nil {
		return false
	}
	accept, _ := x.resp.Header.Lookup(webSocketAccept)
	return accept != acceptOf(x.req.Header.Get(webSocketKey))
}

// acceptOf is the answer to a key (RFC 6455 section 4.2.2).
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
