package proxy

import (
	"time"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// A mirror is not waited for, so a slow one must not cost ever more: mirrorTime
// bounds the whole of a mirrored exchange, and maxMirrors how many of them one
// worker has under way; those above are left out.
const (
	mirrorTime = 15 * time.Second
	maxMirrors = 128
)

// mirror sends copies of the request to those mirrors whose turn it is. A body
// that is too large to keep (Limits.ReplayBytes) is not mirrored, and so its
// request is not.
func (x *exchange) mirror(mirrors []Mirror) {
	if len(mirrors) == 0 || !x.replayable || x.req.Upgrade != "" {
		return
	}
	for i := range mirrors {
		if m := &mirrors[i]; m.Sample.Next(x.ID) && x.mirrors < maxMirrors {
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
	x.mirrors++
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
	defer func() { w.mirrors-- }()
	deadline := w.Loop.Now().Add(mirrorTime)
	endpoint, err := w.Pool.Pick(b, nil)
	if err != nil {
		return
	}
	conn, err := w.Pool.Dial(endpoint, upstream.Want{Deadline: deadline})
	if err != nil {
		return
	}
	defer w.Pool.Discard(conn)
	conn.SetWriteDeadline(deadline)
	if _, err := conn.Write(m.payload); err != nil {
		return
	}
	conn.SetReadDeadline(deadline)
	for answer := make([]byte, headBuffer); err == nil; { // so that the backend is not reset while it answers
		_, err = conn.Read(answer)
	}
}
