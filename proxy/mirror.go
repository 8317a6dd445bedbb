package proxy

import (
	"time"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// mirrorTime bounds the whole of a mirrored exchange.
const mirrorTime = 15 * time.Second

// mirror sends copies of the request to those mirrors whose turn it is. A body
// that is too large to keep (Limits.ReplayBytes) is not mirrored, and so its
// request is not.
func (x *exchange) mirror(mirrors []Mirror) {
	if len(mirrors) == 0 || !x.replayable || x.req.Upgrade != "" {
		return
	}
	for i := range mirrors {
		if m := &mirrors[i]; m.Sample.Next(x.ID) {
			x.sendMirror(m.Backend)
		}
	}
}

func (x *exchange) sendMirror(b *upstream.Backend) {
	req := x.req.Clone()
	req.Close, req.ExpectContinue = true, false
	if req.BodyLength != 0 {
		req.BodyLength = int64(len(x.gathered))
	}
	m := &mirrored{worker: x.Worker, payload: append(http1.AppendRequest(nil, req), x.gathered...)}
	x.Loop.Go(func() { m.run(b) })
}

// mirrored is a copy of a request on its way. Nobody waits for it, and what
// becomes of it changes nothing.
type mirrored struct {
	worker  *Worker
	payload []byte
}

func (m *mirrored) run(b *upstream.Backend) {
	w := m.worker
	deadline := w.Loop.Now().Add(mirrorTime)
	endpoint, err := w.Pool.Pick(b, nil)
	if err != nil {
		return
	}
	conn, err := w.Pool.Dial(endpoint, deadline)
	if err != nil {
		return
	}
	defer w.Pool.Discard(conn)
	conn.SetWriteDeadline(deadline)
	if _, err := conn.Write(m.payload); err != nil {
		return
	}
	conn.SetReadDeadline(deadline)
	discard(conn, w)
}

// discard reads what comes until the end, so that the peer is not reset while
// it answers.
func discard(c loop.Conn, w *Worker) {
	buf := w.takeLarge()
	defer w.putLarge(buf)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}
