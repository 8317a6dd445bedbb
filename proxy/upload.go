package proxy

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/sluicegateway/sluice/proxy/message"
)

// gatherBody reads a body that came with its head, or that a retry or a mirror
// may need, up to Limits.ReplayBytes. What is larger is sent once, as it comes.
func (x *exchange) gatherBody(action *Action, target *Target) failure {
	b := &x.reqBody
	var err error
	switch {
	case b.complete():
	case b.framing == framingCounted && int64(len(b.raw)) >= b.left:
		x.gathered, err = b.next()
	case b.framing == framingStream && b.text == nil && b.buffered():
		x.gathered, err = b.whole(x.Limits.ReplayBytes)
	}
	if err == nil && !b.complete() && x.mayKeepBody() && (action.Retry != nil || len(action.Mirrors) > 0 || len(target.Mirrors) > 0) {
		err = x.keepBody()
	}
	if err != nil {
		return x.clientFailure(err)
	}
	x.replayable = b.complete()
	return failure{}
}

// mayKeepBody reports whether the body may turn out small enough to keep. One
// that the client holds back until it is asked for is not asked for too early.
func (x *exchange) mayKeepBody() bool {
	return !x.req.ExpectContinue && x.req.BodyLength <= int64(x.Limits.ReplayBytes) // or it is not known
}

func (x *exchange) keepBody() error {
	x.kept = x.takeLarge()[:0]
	for len(x.kept) < x.Limits.ReplayBytes {
		data, err := x.reqBody.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		x.kept = append(x.kept, data...)
	}
	x.gathered = x.kept
	return nil
}

// startUpload sends the body, beside the wait for the response.
func (x *exchange) startUpload() {
	x.uploading = true
	x.Loop.Go(x.uploadFunc)
}

// upload runs as a handler of its own.
func (x *exchange) upload() {
	defer func() {
		x.uploading = false
		x.up.expectResponse()
		x.uploadDone.Wake()
	}()
	if !x.awaitContinue() {
		return
	}
	written, err := x.sendBody()
	switch {
	case err == nil:
		x.up.sent = true
	case x.uploadStopped:
	case !written:
		x.failUpload(x.clientFailure(err))
	case errors.Is(err, os.ErrDeadlineExceeded):
		x.failUpload(x.sendFailure(err))
	default: // the backend does not want the body; its response may say why
	}
}

func (x *exchange) sendBody() (written bool, err error) {
	if len(x.gathered) > 0 {
		if err := x.up.to.put(x.gathered); err != nil {
			return true, err
		}
	}
	return copyBody(&x.up.to, &x.reqBody)
}

// failUpload ends the try, unless its response is on the way to the client already.
func (x *exchange) failUpload(f failure) {
	x.uploadErr = f
	if !x.started {
		x.up.cancel()
	}
}

// awaitsContinue reports whether the client holds the body back until it is
// asked for it (RFC 9110 section 10.1.1).
func (x *exchange) awaitsContinue() bool {
	return x.uploading && x.req.ExpectContinue && !x.continued
}

// awaitContinue waits until the body may be read; false if it is not wanted.
func (x *exchange) awaitContinue() bool {
	for x.awaitsContinue() && !x.uploadStopped {
		if x.mayContinue.Wait(time.Time{}) != nil {
			return false
		}
	}
	return !x.uploadStopped
}

// letContinue tells a client that waits for it, once, to send its body.
func (x *exchange) letContinue() {
	if !x.awaitsContinue() {
		return
	}
	x.continued = true
	x.client.SetWriteDeadline(x.Loop.Now().Add(x.to.idle))
	if x.stream != nil {
		x.stream.WriteResponse(&message.Response{Status: 100}, false)
	} else {
		io.WriteString(x.client, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	x.mayContinue.Wake()
}

// stopUpload ends an upload that is under way, and waits until it has let go of
// the exchange's buffers; only where the loop stops, it may still have them.
func (x *exchange) stopUpload() {
	for x.uploading {
		x.uploadStopped = true
		x.reqBody.partner = nil // no wait of it goes on
		x.client.SetReadDeadline(time.Unix(1, 0))
		x.up.cancel()
		x.mayContinue.Wake()
		if x.uploadDone.Wait(time.Time{}) != nil {
			return
		}
	}
}
