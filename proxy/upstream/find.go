package upstream

import (
	"errors"
	"time"
)

// fit is a connection as it is wanted.
func (p *Pool) fit(peer *peer, w Want, pooled bool) (*Conn, error) {
	o, deadline := peer.endpoint.offer(w), p.deadline(w)
	if !w.WebSocket || o == offerHTTP1 {
		return p.find(peer, o, pooled, deadline)
	}
	if o == offerEither { // HTTP/2 where the endpoint is known to speak it, and HTTP/1.1 first where it is not
		if c := p.stream(peer); c != nil && p.upgrades(c, deadline) == nil {
			return c, nil
		}
		c, err := p.find(peer, offerHTTP1, pooled, deadline)
		if !errors.Is(err, errNoProtocol) {
			return c, err
		}
	}
	c, err := p.find(peer, offerHTTP2, pooled, deadline)
	if err == nil {
		err = p.upgrades(c, deadline)
	}
	return c, err
}

// find is a connection that speaks what is offered.
func (p *Pool) find(peer *peer, o offer, pooled bool, deadline time.Time) (*Conn, error) {
	if pooled && o != offerHTTP2 {
		if c := p.takeIdle(peer); c != nil {
			return c, nil
		}
	}
	if o != offerHTTP1 {
		if c := p.stream(peer); c != nil {
			return c, nil
		}
	}
	if o == offerHTTP2 || o == offerEither && !peer.http1 {
		if c, err := p.wait(peer, &peer.queues[o], deadline); c != nil || err != nil {
			return c, err
		}
	}
	l, err := p.open(peer, o, deadline)
	switch {
	case err != nil:
		return nil, err
	case l.protocol == alpnHTTP1:
		return p.newConn(peer, l), nil
	}
	return p.first(p.adopt(peer, l))
}

func (p *Pool) newConn(peer *peer, l line) *Conn {
	c := &Conn{Conn: l.Conn, peer: peer, addr: l.addr}
	c.expire = func(error) {
		if c.idle {
			p.drop(c)
		}
	}
	return c
}

// deadline is when a connect that begins now has to be done.
func (p *Pool) deadline(w Want) time.Time {
	deadline := p.loop.Now().Add(p.limits.ConnectTimeout)
	if !w.Deadline.IsZero() && w.Deadline.Before(deadline) {
		return w.Deadline
	}
	return deadline
}
