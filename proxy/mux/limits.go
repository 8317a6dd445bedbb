package mux

import (
	"time"

	"github.com/sluicegateway/sluice/proxy/http2"
)

// Limits bounds what one peer may cost. Sizes are in bytes.
type Limits struct {
	// Head bounds the heads and trailers that the peer sends, decoded.
	Head http2.Limits
	// HeadFrames is how many frames a header block may come in, and HeadTimeout
	// the time from its first byte to its last.
	HeadFrames  int
	HeadTimeout time.Duration
	// Streams is how many streams are open at once. A server's counts until its
	// handler has let go, even if the client has reset it.
	Streams int
	// StreamWindow is what the peer may send on a stream before a handler takes
	// it, 65,535 at least. It grows to MaxStreamWindow where a handler is as fast
	// as the peer.
	StreamWindow, MaxStreamWindow int
	// Window is the same for all streams of a client's connection together. Those
	// of a backend's have a window each, and Window is by how much these may grow
	// in all.
	Window int
	// SettingsTime is how long the peer may take to its first SETTINGS, and to
	// acknowledge ours.
	SettingsTime time.Duration
	// KeepAlive is how long a client's connection may be without streams. That
	// of a backend is its pool's to close.
	KeepAlive time.Duration
	// WriteIdle is how long the peer may take no bytes while some wait: those of
	// the connection, and those of a stream whose window is closed.
	WriteIdle time.Duration
	// DrainTime is how long the announcement of a connection's end is given to
	// reach a client that does not answer to PING.
	DrainTime time.Duration
	// LingerTime is how long the peer has to read a connection's last bytes.
	LingerTime time.Duration
	// Controls is how many frames that are not DATA, and Buffered how many bytes
	// of any, wait for a peer that does not read. More end the connection.
	Controls, Buffered int
	// Rudeness is how many points a connection collects before it ends: see
	// score.go for what costs them and what earns them back. At three quarters it
	// is drained.
	Rudeness int
}

// DefaultLimits are safe for the open internet.
var DefaultLimits = Limits{
	Head:            http2.DefaultLimits,
	HeadFrames:      512,
	HeadTimeout:     10 * time.Second,
	Streams:         100,
	StreamWindow:    64 << 10,
	MaxStreamWindow: 512 << 10,
	Window:          1 << 20,
	SettingsTime:    10 * time.Second,
	KeepAlive:       75 * time.Second,
	WriteIdle:       60 * time.Second,
	DrainTime:       time.Second,
	LingerTime:      time.Second,
	Controls:        1000,
	Buffered:        1 << 20,
	Rudeness:        1000,
}

// firstWindow is a stream's, before it grows.
func (l *Limits) firstWindow() int { return max(l.StreamWindow, http2.DefaultWindow) }
