package upstream

// Peers is how many peers the pool remembers.
func (p *Pool) Peers() (n int) {
	for _, peer := range p.peers {
		for ; peer != nil; peer = peer.next {
			n++
		}
	}
	return n
}
