package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sluicegateway/sluice/proxy/message"
)

// fail answers with the failure's status. Its reason goes to the log; the client
// gets no more than the status.
func (x *exchange) fail(f failure) {
	if x.aborted {
		x.log.Failure = clientReset.reason
		return
	}
	x.log.Failure = f.reason
	if x.failCall(f) {
		return
	}
	text := statusText(f.status) + "\n"
	x.resp.Reset()
	x.resp.Status = f.status
	x.resp.Header.Add("Content-Type", "text/plain; charset=utf-8")
	if x.req.Method == "HEAD" {
		x.resp.DeclaredLength, text = int64(len(text)), ""
	}
	x.resp.BodyLength = int64(len(text))
	x.sendAnswer(text)
}

// answerWith sends a response that a filter made. It has no body.
func (x *exchange) answerWith(r *message.Response) {
	x.resp.Reset()
	x.resp.Status, x.resp.Reason = r.Status, r.Reason
	x.resp.Header.Fields = append(x.resp.Header.Fields, r.Header.Fields...)
	x.sendAnswer("")
}

func (x *exchange) sendAnswer(text string) {
	x.to.hard = time.Time{} // the answer may be that the time is over
	if !x.reqBody.complete() {
		x.closing = true
	}
	err := x.beginResponse()
	if err == nil {
		err = x.to.put([]byte(text))
	}
	if err == nil {
		err = x.to.finish(nil)
	}
	if err != nil {
		x.aborted = true
	}
}

// statusText is "404 Not Found".
func statusText(status int) string {
	return strconv.Itoa(status) + " " + http.StatusText(status)
}
