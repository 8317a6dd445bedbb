package http2

import (
	"slices"
	"strings"

	"github.com/sluicegateway/sluice/proxy/grpc"
	"github.com/sluicegateway/sluice/proxy/message"
)

// websocket is the one protocol that an extended CONNECT may ask for (RFC 8441).
const websocket = "websocket"

// Errors of heads.
var (
	errPseudoAbsent    = malformed("a request lacks :method, :scheme or :path (RFC 9113 section 8.3.1)")
	errMethod          = malformed(":method is not a token (RFC 9110 section 9.1)")
	errPathForm        = malformed(":path does not start with '/', and is not the '*' of OPTIONS (RFC 9113 section 8.3.1)")
	errConnectForm     = malformed("CONNECT has :scheme or :path, or no :authority (RFC 9113 section 8.5)")
	errProtocolMethod  = malformed(":protocol came without CONNECT (RFC 8441 section 4)")
	errHostOther       = malformed("Host differs from :authority (RFC 9113 section 8.3.1)")
	errLengthOther     = malformed("Content-Length states a body, and there is none (RFC 9113 section 8.1.1)")
	errLengthTunnel    = malformed("an extended CONNECT has a Content-Length (RFC 9110 section 9.3.6)")
	errStatus          = malformed(":status is absent, or not one of 100 to 599 (RFC 9113 section 8.3.2)")
	errSwitch          = malformed("101 came, which HTTP/2 has not (RFC 9113 section 8.6)")
	errInterimEnd      = malformed("an interim response ends the stream (RFC 9113 section 8.1)")
	errConnect         = refused(501, "CONNECT is not implemented")
	errProtocol        = refused(501, ":protocol is not websocket")
	errScheme          = refused(400, ":scheme is neither http nor https")
	errQuery           = refused(400, "the query holds a byte that no URI may hold, or '#'")
	errAuthorityAbsent = refused(400, "there is neither :authority nor Host")
	errTraceBody       = refused(400, "TRACE has a body (RFC 9110 section 9.3.8)")
)

// finishRequest puts together what only all fields tell.
func (l *fieldList) finishRequest(endStream bool, r *message.Request) *Error {
	if err := l.checkPseudo(); err != nil {
		return err
	}
	r.Major, r.Method, r.AcceptTrailers = 2, l.method.value, l.acceptTrailers
	if err := l.finishPath(r); err != nil {
		return err
	}
	if err := l.finishAuthority(r); err != nil {
		return err
	}
	if l.crumbs > 1 {
		joinCookie(&r.Header)
	}
	if l.underscores {
		dropUnderscores(r)
	}
	if l.protocol.set {
		return l.finishWebSocket(r)
	}
	switch {
	case !endStream:
		r.BodyLength = l.length
	case l.length > 0:
		return errLengthOther
	}
	hasBody := r.BodyLength != 0
	if hasBody && r.Method == "TRACE" {
		return errTraceBody
	}
	r.ExpectContinue = l.expect && hasBody
	return nil
}

// checkPseudo holds which pseudo-header fields a request has (RFC 9113 sections
// 8.3.1 and 8.5, RFC 8441 section 4).
func (l *fieldList) checkPseudo() *Error {
	switch method := l.method; {
	case !method.set:
		return errPseudoAbsent
	case !message.IsToken(method.value):
		return errMethod
	case l.protocol.set && method.value != "CONNECT":
		return errProtocolMethod
	case method.value == "CONNECT" && !l.protocol.set:
		if l.scheme.set || l.path.set || !l.authority.set {
			return errConnectForm
		}
		return errConnect
	case !l.scheme.set || !l.path.set:
		return errPseudoAbsent
	case !message.EqualFold(l.scheme.value, "http") && !message.EqualFold(l.scheme.value, "https"):
		return errScheme
	}
	return nil
}

func (l *fieldList) finishPath(r *message.Request) *Error {
	target := l.path.value
	if target == "*" && r.Method == "OPTIONS" {
		r.Path = target
		return nil
	}
	if target == "" || target[0] != '/' {
		return errPathForm
	}
	path, query, hasQuery := strings.Cut(target, "?")
	path, err := message.NormalizePath(path)
	if err != nil {
		return refused(400, err.Error())
	}
	if !message.ValidQuery(query) {
		return errQuery
	}
	r.Path, r.Query, r.HasQuery = path, query, hasQuery
	return nil
}

func (l *fieldList) finishAuthority(r *message.Request) *Error {
	from := l.authority
	if !from.set {
		from = l.host
	}
	if !from.set {
		return errAuthorityAbsent
	}
	authority, err := message.NormalizeAuthority(from.value)
	if err != nil {
		return refused(400, ":authority: "+err.Error())
	}
	r.Authority, r.Spelling = authority, from.value
	if !l.authority.set || !l.host.set || l.host.value == from.value {
		return nil
	}
	if host, err := message.NormalizeAuthority(l.host.value); err != nil || host != authority {
		return errHostOther
	}
	return nil
}

// finishWebSocket gives an extended CONNECT the form that it has in HTTP/1.1.
func (l *fieldList) finishWebSocket(r *message.Request) *Error {
	switch {
	case !message.EqualFold(l.protocol.value, websocket):
		return errProtocol
	case l.length != message.LengthUnknown:
		return errLengthTunnel
	}
	r.Method, r.Upgrade = "GET", websocket
	r.Header.Del("Sec-WebSocket-Key") // it means nothing here (RFC 8441 section 5)
	return nil
}

// dropUnderscores drops fields as package http1 does, but for calls of gRPC, whose
// metadata has such names.
func dropUnderscores(r *message.Request) {
	h := &r.Header
	if r.Underscores = grpc.Is(h.Get("content-type")); !r.Underscores {
		h.Fields = slices.DeleteFunc(h.Fields, func(f message.Field) bool { return message.HasUnderscore(f.Name) })
	}
}

// joinCookie joins the parts that a client may split Cookie into (RFC 9113
// section 8.2.3), in the place of the first.
func joinCookie(h *message.Header) {
	size := 0
	for crumb := range h.Values("cookie") {
		size += len(crumb) + len("; ")
	}
	var all strings.Builder
	all.Grow(size)
	for crumb := range h.Values("cookie") {
		if crumb == "" {
			continue
		}
		if all.Len() > 0 {
			all.WriteString("; ")
		}
		all.WriteString(crumb)
	}
	h.Set("cookie", all.String())
}

// finishResponse puts together what only all fields tell.
func (l *fieldList) finishResponse(endStream bool, method string, tunnel bool, r *message.Response) *Error {
	s := l.status.value
	if len(s) != 3 || s[0] < '1' || s[0] > '5' || s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' {
		return errStatus
	}
	r.Major, r.Status = 2, int(s[0]-'0')*100+int(s[1]-'0')*10+int(s[2]-'0')
	switch {
	case r.Status == 101:
		return errSwitch
	case r.Status < 200 && endStream:
		return errInterimEnd
	case tunnel && 200 <= r.Status && r.Status < 300:
		r.Status, r.Upgrade, r.DeclaredLength = 101, websocket, message.LengthUnknown
		r.Header.Del("Sec-WebSocket-Accept")
		return nil
	}
	return l.finishLength(endStream, method, r)
}

// finishLength is RFC 9112 section 6.3, with END_STREAM for the ends that HTTP/1.1 has.
func (l *fieldList) finishLength(endStream bool, method string, r *message.Response) *Error {
	switch {
	case bodiless(r.Status) && r.Status != 304:
		if l.length > 0 {
			return errLengthOther
		}
		r.DeclaredLength = message.LengthUnknown
	case r.Status == 304 || method == "HEAD":
		r.DeclaredLength = l.length
	case !endStream:
		r.BodyLength = l.length
	case l.length > 0:
		return errLengthOther
	}
	return nil
}

// bodiless reports whether no response with the status has a body.
func bodiless(status int) bool {
	return status < 200 || status == 204 || status == 304
}
