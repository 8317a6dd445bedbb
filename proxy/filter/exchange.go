package filter

import "github.com/sluicegateway/sluice/proxy/message"

// Exchange is what filters need to know of one request and its response. It
// belongs to one handler and is reused: Begin, the chains' Request and
// Response, Reset.
type Exchange struct {
	request *message.Request
	scheme  string
	port    uint16
	prefix  string

	// What the client asked for. The strings are views of the request's.
	host     string
	path     string
	query    string
	hasQuery bool

	// fetched says that what follows has been read from the request.
	fetched   bool
	origin    string
	preflight bool

	answer message.Response
}

// Begin starts on a request, which must live until Reset and be as the client
// sent it. scheme and port are those of the listener; prefix is the
// part of the path that the rule's PathPrefix matched, empty for other matches.
func (x *Exchange) Begin(r *message.Request, scheme string, port uint16, prefix string) {
	x.Reset()
	x.request = r
	x.scheme, x.port, x.prefix = scheme, port, prefix
	x.host, x.path, x.query, x.hasQuery = r.Host(), r.Path, r.Query, r.HasQuery
}

// Reset forgets the request and keeps memory.
func (x *Exchange) Reset() {
	x.answer.Reset()
	*x = Exchange{answer: x.answer}
}
