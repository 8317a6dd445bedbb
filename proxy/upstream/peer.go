package upstream

import "crypto/tls"

// peer is what a pool has of one endpoint, and, where that is spoken to in TLS,
// as one identity.
type peer struct {
	endpoint *Endpoint
	identity *tls.Certificate
	// next is the same endpoint as another identity.
	next *peer
	// users are requests that have, or wait for, a connection, and connects that
	// are made for all.
	users    int
	idle     connList // of HTTP/1.1
	sessions []*session
	queues   [queues]queue
	// http1 says that the endpoint has chosen HTTP/1.1 the last time that it had
	// the choice.
	http1  bool
	ticket ticket
}

// enter makes a request a user of the peer, until it leaves.
func (p *Pool) enter(e *Endpoint, identity *tls.Certificate) *peer {
	if e.secure == nil {
		identity = nil
	}
	first := p.peers[e]
	for peer := first; peer != nil; peer = peer.next {
		if peer.identity == identity {
			peer.users++
			return peer
		}
	}
	peer := &peer{endpoint: e, identity: identity, users: 1, next: first, idle: connList{kind: byEndpoint}}
	for i := range peer.queues {
		peer.queues[i].offer = offer(i)
	}
	p.peers[e] = peer
	return peer
}

func (p *Pool) leave(peer *peer) {
	peer.users--
	p.tidy(peer)
}

// tidy forgets a peer that nothing is left of. That of an endpoint without an
// identity stays for as long as the endpoint: requests come and go.
func (p *Pool) tidy(peer *peer) {
	if peer.users > 0 || peer.idle.len > 0 || len(peer.sessions) > 0 || peer.identity == nil && !peer.endpoint.gone.Load() {
		return
	}
	first := p.peers[peer.endpoint]
	if first == peer {
		first = peer.next
	}
	for other := first; other != nil; other = other.next {
		if other.next == peer {
			other.next = peer.next
		}
	}
	if p.peers[peer.endpoint] = first; first == nil {
		delete(p.peers, peer.endpoint)
	}
}
