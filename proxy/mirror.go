package proxy

import (
	"bytes"
	"time"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/message"
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
	m := &mirrored{worker: x.Worker, req: x.req.Clone(), body: bytes.Clone(x.gathered)}
	m.req.Close, m.req.ExpectContinue = true, false
	if m.req.BodyLength != 0 {
		m.req.BodyLength = int64(len(m.body))
	}
	m.want = x.want(x.Loop.Now().Add(mirrorTime))
	x.mirrors++
	x.Loop.Go(func() { m.run(b) })
}

// mirrored is a copy of a request on its way. Nobody waits for it, and what
// becomes of it changes nothing.
type mirrored struct {
	worker *Worker
	req    *message.Request
	body   []byte
	want   upstream.Want
}

func (m *mirrored) run(b *upstream.Backend) {
	w := m.worker
	defer func() { w.mirrors-- }()
	endpoint, err := w.Pool.Pick(b, nil)
	if err != nil || b.Fault() != nil {
		return
	}
	conn, err := w.Pool.Dial(endpoint, m.want)
	if err != nil {
		return
	}
	defer w.Pool.Discard(conn)
	conn.SetWriteDeadline(m.want.Deadline)
	conn.SetReadDeadline(m.want.Deadline)
	if err = m.send(conn); err != nil {
		return
	}
	for answer := make([]byte, headBuffer); err == nil; { // so that the backend is not reset while it answers
		_, err = conn.Read(answer)
	}
}

func (m *mirrored) send(conn *upstream.Conn) error {
	st := conn.Stream()
	if st == nil {
		_, err := conn.Write(append(http1.AppendRequest(nil, m.req), m.body...))
		return err
	}
	err := st.WriteRequest(m.req, len(m.body) == 0)
	if err == nil && len(m.body) > 0 {
		if _, err = st.Write(m.body); err == nil {
			err = st.End(nil)
		}
	}
	for resp := (message.Response{}); err == nil && resp.Status < 200; {
		resp.Reset()
		err = st.ReadResponse(&resp)
	}
	return err
}
