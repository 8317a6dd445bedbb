package proxy

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/sluicegateway/sluice/proxy/http3"
)

// AcceptHTTP3 serves a connection of HTTP/3 that came in on s, as Accept does any
// other. Its handshake is done.
func (w *Worker) AcceptHTTP3(s *Socket, qc *http3.Conn, last *State, onClose func()) {
	c := &connection{worker: w, socket: s, draining: last != nil || w.draining, last: last, onClose: onClose}
	shown := qc.State()
	profile := c.profile(strings.ToLower(shown.ServerName))
	if profile == nil { // the listener has gone since the handshake
		qc.Refuse()
		onClose()
		return
	}
	state := w.State.Load()
	c.secure = profile.PeerOf(shown)
	c.moveTo(qc.RemoteAddr())
	c.follow(state)
	w.Metrics.Handshake("ok")
	w.connections[c] = struct{}{}
	c.quic = http3.Serve(w.Loop, qc, &http3.ServerOptions{
		Limits: &c.limits.HTTP3,
		Serve: func(st *http3.Stream) {
			c.moveTo(st.RemoteAddr())
			c.serveStream(st)
		},
		Refused: func(status int) { c.refused(http30, qc.RemoteAddr(), status) },
		Closed:  c.sessionClosed,
	})
	c.session = c.quic
	c.recheck(state)
	if c.draining {
		c.session.Drain()
	}
}

// DrainHTTP3 drains the connections of HTTP/3 that were accepted on bind.
func (w *Worker) DrainHTTP3(bind netip.AddrPort) {
	for c := range w.connections {
		if c.quic != nil && c.socket.Bind == bind {
			c.drain()
		}
	}
}

// moveTo notes where the client is: one of HTTP/3 may have moved.
func (c *connection) moveTo(addr netip.AddrPort) {
	if peer := addr.Addr().Unmap(); peer != c.peer {
		c.peer, c.client = peer, peer.String()
		c.trusted = c.settings != nil && c.settings.trusts(peer)
	}
}

// advertisement is how long clients may remember that there is HTTP/3, in seconds.
const advertisement = "86400"

// advertise tells clients of other versions that the listener speaks HTTP/3 too
// (RFC 7838), in place of what the backend says of itself.
func (x *exchange) advertise() {
	if !x.settings.HTTP3 || x.from.secure == nil || x.protocol() == http30 {
		return
	}
	port := strconv.Itoa(int(x.from.socket.Port))
	x.resp.Header.Set("Alt-Svc", `h3=":`+port+`"; ma=`+advertisement)
}
