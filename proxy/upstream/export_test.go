package upstream

import "crypto/x509"

// Peers is how many peers the pool remembers.
func (p *Pool) Peers() (n int) {
	for _, peer := range p.peers {
		for ; peer != nil; peer = peer.next {
			n++
		}
	}
	return n
}

// Roots are the authorities that may sign certificates of the backend.
func (b *Backend) Roots() *x509.CertPool { return b.state.Load().secure.roots }
