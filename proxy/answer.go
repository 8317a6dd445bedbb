package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/message"
)

// answer sends a response of the proxy's own. The reason goes to the log; the
// client gets no more than the status.
func (x *exchange) answer(status int, reason string) {
	if x.log.Failure == "" {
		x.log.Failure = reason
	}
	if x.started || x.aborted {
		x.from.conn.Abort()
		x.aborted = true
		return
	}
	text := statusText(status) + "\n"
	x.resp.Reset()
	x.resp.Status = status
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
	x.beginResponse()
	x.to.sent += int64(len(text))
	x.to.out = append(x.to.out, text...)
	if x.to.flush() != nil {
		x.aborted = true
	}
}

// refuse answers a request that could not be parsed; the connection ends.
func (x *exchange) refuse(err error) {
	bad, ok := err.(*http1.Error)
	if !ok {
		bad = &http1.Error{Status: 400}
	}
	x.closing = true
	x.log.Client, x.log.Protocol = x.from.conn.RemoteAddr(), "HTTP/1.1"
	x.req.Reset()
	x.req.Major, x.req.Minor = 1, 1
	x.reqBody.start(x.from.conn, 0, false, nil)
	x.answer(bad.Status, "client_malformed")
	x.record()
}

// statusText is "404 Not Found".
func statusText(status int) string {
	return strconv.Itoa(status) + " " + http.StatusText(status)
}
