package proxy

import (
	"io"
	"time"
)

// gatherBody reads a body that a retry or a mirror may need, up to
// Limits.ReplayBytes. A larger one is sent once, as it comes.
func (x *exchange) gatherBody(action *Action, target *Target) failure {
	b := &x.reqBody
	if b.complete() {
		return failure{}
	}
	if b.framing == framingCounted && int64(len(b.raw)) >= b.left {
		data, err := b.next() // all of it came with the head
		x.gathered = data
		return failureOf(err)
	}
	wanted := action.Retry != nil || len(action.Mirrors) > 0 || len(target.Mirrors) > 0
	if !wanted || x.req.ExpectContinue || b.framing == framingCounted && b.left > int64(x.Limits.ReplayBytes) {
		return failure{}
	}
	x.kept = x.takeLarge()[:0]
	for len(x.kept) < x.Limits.ReplayBytes {
		data, err := b.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return clientFailure(err)
		}
		x.kept = append(x.kept, data...)
	}
	x.gathered = x.kept
	return failure{}
}

func failureOf(err error) failure {
	if err == nil || err == io.EOF {
		return failure{}
	}
	return clientFailure(err)
}

// bodyIsHere reports whether the whole body was gathered, so that it can be
// sent again.
func (x *exchange) bodyIsHere() bool { return x.reqBody.complete() }

// startUpload sends the body, beside the wait for the response.
func (x *exchange) startUpload() {
	x.uploading = true
	x.Loop.Go(x.uploadFn)
}

// upload runs as a handler of its own.
func (x *exchange) upload() {
	defer func() {
		x.uploading = false
		x.uploadDone.Wake()
	}()
	if x.req.ExpectContinue && !x.awaitContinue() {
		return
	}
	if len(x.gathered) > 0 && x.up.to.put(x.gathered) != nil {
		return
	}
	written, err := copyBody(&x.up.to, &x.reqBody)
	if err == nil || written || x.uploadStopped {
		return // what became of it, the response says
	}
	x.uploadErr = clientFailure(err)
	x.up.cancel()
}

// awaitContinue holds the body back until the backend wants it, or has had its
// time to say so (RFC 9110 section 10.1.1).
func (x *exchange) awaitContinue() bool {
	deadline := x.Loop.Now().Add(x.Limits.ContinueWait)
	for !x.continued && !x.uploadStopped {
		if x.mayContinue.Wait(deadline) != nil {
			break
		}
	}
	if x.uploadStopped || x.started {
		return false
	}
	x.letContinue()
	return true
}

// letContinue tells the client, once, to send its body.
func (x *exchange) letContinue() {
	if x.continued {
		return
	}
	x.continued = true
	if x.req.ExpectContinue && x.req.Minor > 0 {
		x.from.conn.SetWriteDeadline(x.Loop.Now().Add(x.Limits.BodyIdle))
		io.WriteString(x.from.conn, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	x.mayContinue.Wake()
}

// stopUpload ends an upload that is under way, and waits until it has let go of
// the exchange's buffers.
func (x *exchange) stopUpload() {
	for x.uploading {
		x.uploadStopped = true
		x.from.conn.SetReadDeadline(time.Unix(1, 0))
		x.up.cancel()
		x.mayContinue.Wake()
		if x.uploadDone.Wait(time.Time{}) != nil {
			return // the loop stops
		}
	}
}
