package proxy

import (
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// tunnel carries the bytes of an upgraded connection both ways (RFC 9110
// section 7.8). A direction that is silent holds no handler and no buffer.
type tunnel struct {
	worker  *Worker
	client  loop.Conn
	up      *upstream.Conn
	log     observe.Request
	metrics *observe.Route
	down    direction // client to backend
	back    direction // backend to client
	ended   bool
	onEnd   func()
}

// direction is one of the two of a tunnel.
type direction struct {
	t        *tunnel
	src, dst loop.Conn
	moved    *int64
	ended    bool
	last     time.Time // of the last bytes
	readable func(error)
	pumpFunc func()
}

// upgraded reports whether the backend switches to the protocol that was asked for.
func (x *exchange) upgraded() bool {
	return x.req.Upgrade != "" && message.EqualFold(x.resp.Upgrade, x.req.Upgrade)
}

// relayUpgrade passes the 101 on and lets the bytes flow.
func (x *exchange) relayUpgrade() {
	x.settings.ResponseHeaders.Response(&x.resp)
	x.acceptWebSocket()
	x.log.Status, x.started = 101, true
	if x.sendHead() != nil || x.to.flush() != nil {
		x.aborted = true
		return
	}
	x.log.Upgrade = true
	x.startTunnel()
}

// startTunnel takes both connections over from the exchange.
func (x *exchange) startTunnel() {
	t := &tunnel{worker: x.Worker, client: x.client, up: x.up.conn, log: keepLog(&x.log), metrics: x.match.Rule.Action.Metrics, onEnd: x.from.close}
	if st := x.stream; st != nil {
		t.onEnd = func() { st.Close() }
	}
	x.up.conn = nil
	t.down.init(t, t.client, t.up, &t.log.RequestBytes)
	t.back.init(t, t.up, t.client, &t.log.ResponseBytes)
	t.down.begin(x.reqBody.raw)
	t.back.begin(x.respBody.raw)
}

// keepLog copies the strings that point into the exchange's buffers.
func keepLog(r *observe.Request) observe.Request {
	kept := *r
	for _, s := range []*string{&kept.Method, &kept.Host, &kept.Path, &kept.RequestID} {
		*s = strings.Clone(*s)
	}
	return kept
}

func (s *direction) init(t *tunnel, src, dst loop.Conn, moved *int64) {
	s.t, s.src, s.dst, s.moved = t, src, dst, moved
	s.readable, s.pumpFunc = s.onReadable, s.pump
	s.last = t.worker.Loop.Now()
}

// begin sends what was read already and starts the direction.
func (s *direction) begin(early []byte) {
	if len(early) == 0 {
		s.wait()
		return
	}
	kept := append([]byte(nil), early...)
	s.t.worker.Loop.Go(func() {
		if s.send(kept) {
			s.pump()
		}
	})
}

func (s *direction) wait() {
	s.src.SetReadDeadline(s.t.worker.Loop.Now().Add(s.t.worker.Limits.TunnelIdle))
	s.src.Notify(s.readable)
}

func (s *direction) onReadable(err error) {
	w := s.t.worker
	idle := w.Loop.Now().Add(-w.Limits.TunnelIdle)
	switch {
	case err == nil:
		w.Loop.Go(s.pumpFunc)
	case errors.Is(err, os.ErrDeadlineExceeded) && s.other().last.After(idle):
		s.wait() // the other direction is alive
	default:
		s.t.end(failure{})
	}
}

func (s *direction) other() *direction {
	if s == &s.t.down {
		return &s.t.back
	}
	return &s.t.down
}

// pumpShare is how many reads a direction has in a row before others have
// their turn.
const pumpShare = 4

// pump moves what is there and then waits for more without a buffer.
func (s *direction) pump() {
	w := s.t.worker
	buf := w.takeLarge()
	defer w.putLarge(buf)
	for range pumpShare {
		n, err := s.src.TryRead(buf)
		if n > 0 && !s.send(buf[:n]) {
			return
		}
		switch {
		case err == nil:
		case errors.Is(err, loop.ErrAgain):
			s.wait()
			return
		case err == io.EOF:
			s.finish()
			return
		default:
			s.t.end(tunnelReset)
			return
		}
	}
	s.wait()
}

func (s *direction) send(p []byte) bool {
	w := s.t.worker
	s.last = w.Loop.Now()
	s.dst.SetWriteDeadline(s.last.Add(w.Limits.BodyIdle))
	if _, err := s.dst.Write(p); err != nil {
		s.t.end(tunnelReset)
		return false
	}
	*s.moved += int64(len(p))
	return true
}

// finish passes the end of this direction on and ends the tunnel with the second one.
func (s *direction) finish() {
	s.ended = true
	s.dst.CloseWrite()
	if s.other().ended {
		s.t.end(failure{})
		return
	}
	s.src.OnAbort(func() { s.t.end(tunnelReset) }) // nobody reads from it any more
}

// end closes both sides, once.
func (t *tunnel) end(f failure) {
	if t.ended {
		return
	}
	t.ended = true
	w := t.worker
	if !f.none() {
		t.up.Abort()
		t.client.Abort()
	}
	w.Pool.Discard(t.up)
	t.onEnd()
	t.log.Failure = f.reason
	t.log.Duration = time.Since(t.log.Start)
	w.AccessLog.Log(w.ID, &t.log)
	t.metrics.Count(w.ID, &t.log)
}
