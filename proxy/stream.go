package proxy

import (
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/message"
)

// stream is a request and its response on a connection that carries many. Its
// bytes are those of the body, and its Abort resets it alone.
type stream interface {
	loop.Conn
	// WriteResponse sends an interim or the final head; end says that neither
	// a body nor trailer fields follow.
	WriteResponse(r *message.Response, end bool) error
	// End ends the message that is being sent, with trailer fields if there are any.
	End(trailer *message.Header) error
	// Trailer has the fields behind the body that was read to its end, nil if none.
	Trailer() *message.Header
	// Next is a Read without a copy: the bytes are valid until the next call.
	Next() ([]byte, error)
	// Buffered reports whether Next would not wait.
	Buffered() bool
}
