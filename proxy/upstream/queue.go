package upstream

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// queue is those requests to a peer that wait for a stream, the oldest first,
// and share the connects that are made for them.
type queue struct {
	offer    offer
	waiting  []*waiter
	connects int // under way
}

// waiter is one request. It is given a connection or an error; or neither, when
// it is to connect by itself.
type waiter struct {
	loop.Waiter
	conn  *Conn
	err   error
	given bool
}

func (w *waiter) give(c *Conn, err error) {
	w.conn, w.err, w.given = c, err, true
	w.Wake()
}

func (q *queue) pop() *waiter {
	w := q.waiting[0]
	q.waiting = slices.Delete(q.waiting, 0, 1)
	return w
}

var (
	// errFull says that requests hold all streams of all connections.
	errFull = errors.New("every stream is in use")
	// errPanicked stands where a connect has ended without a word.
	errPanicked = errors.New("the connect was not carried out")
)

// wait waits for a stream. If the peer turns out to speak no HTTP/2, the first
// gets the connection, and the others nil.
func (p *Pool) wait(peer *peer, q *queue, deadline time.Time) (*Conn, error) {
	w := &waiter{Waiter: p.loop.NewWaiter()}
	q.waiting = append(q.waiting, w)
	p.serve(peer)
	for !w.given {
		err := w.Wait(deadline)
		if err == nil || w.given {
			continue
		}
		i := slices.Index(q.waiting, w)
		q.waiting = slices.Delete(q.waiting, i, i+1)
		if errors.Is(err, os.ErrDeadlineExceeded) && q.connects == 0 {
			err = fmt.Errorf("%w, on %d connections", errFull, len(peer.sessions))
		}
		return nil, err
	}
	return w.conn, w.err
}

// serve gives the streams that are free to those that wait, and connects for
// the others.
func (p *Pool) serve(peer *peer) {
	for i := range peer.queues {
		q := &peer.queues[i]
		for len(q.waiting) > 0 {
			c := p.stream(peer)
			if c == nil {
				break
			}
			q.pop().give(c, nil)
		}
		for q.connects*mux.DefaultLimits.Streams < len(q.waiting) && peer.connections() < p.limits.Sessions {
			p.connectFor(peer, q)
		}
	}
}

// connections are the sessions that take streams, or will.
func (peer *peer) connections() int {
	n := len(peer.sessions)
	for i := range peer.queues {
		n += peer.queues[i].connects
	}
	return n
}

// connectFor connects for those in the queue; nobody need be there.
func (p *Pool) connectFor(peer *peer, q *queue) {
	q.connects++
	peer.users++
	p.loop.Go(func() {
		l, err := line{}, errPanicked
		defer func() {
			q.connects--
			p.arrive(peer, q, l, err)
			p.leave(peer)
		}()
		l, err = p.open(peer, q.offer, p.deadline(Want{}))
	})
}

// arrive hands a connection to those that wait for it. A failure is that of all
// of them, unless another connect is under way.
func (p *Pool) arrive(peer *peer, q *queue, l line, err error) {
	switch {
	case err != nil:
		for len(q.waiting) > 0 && q.connects == 0 {
			q.pop().give(nil, err)
		}
	case l.protocol == alpnHTTP2:
		s := p.adopt(peer, l)
		p.serve(peer)
		if s.users == 0 && !s.retired {
			p.rest(s)
		}
	default:
		peer.http1 = true
		c := p.newConn(peer, l)
		if len(q.waiting) == 0 {
			p.shelve(c)
		}
		for len(q.waiting) > 0 {
			q.pop().give(c, nil)
			c = nil
		}
	}
}
