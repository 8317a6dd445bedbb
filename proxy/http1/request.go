package http1

import (
	"strings"

	"github.com/sluicegateway/sluice/proxy/message"
)

// Errors of requests.
var (
	errRequestLine = &Error{400, "the request line is not: method, space, target, space, HTTP/1.x (RFC 9112 section 3)"}
	errNotHTTP     = &Error{0, "the first line is that of another protocol"}
	errMethod      = &Error{400, "the method is not a token (RFC 9110 section 9.1)"}
	errConnect     = &Error{501, "CONNECT is not implemented"}
	errTarget      = &Error{400, "the request target has no form that its method allows (RFC 9112 section 3.2)"}
	errQuery       = &Error{400, "the query holds a byte that no URI may hold, or '#'"}
	errHostTwice   = &Error{400, "there is more than one Host (RFC 9112 section 3.2)"}
	errHostAbsent  = &Error{400, "there is no Host (RFC 9112 section 3.2)"}
	errHostOther   = &Error{400, "Host differs from the authority of the request target (RFC 9112 section 3.2.2)"}
	errExpect      = &Error{417, "Expect is not 100-continue (RFC 9110 section 10.1.1)"}
	errTraceBody   = &Error{400, "TRACE has a body (RFC 9110 section 9.3.8)"}
)

// Request parses the head that buf starts with into r and returns its length.
// It returns 0 without an error where the head is not complete: call it again
// with the same bytes and those that followed. Errors are *Error.
//
// The strings of r are views of buf. Scheme is left empty.
func (p *Parser) Request(buf []byte, r *message.Request) (n int, err error) {
	if len(buf) > 0 && !message.TokenByte(buf[0]) && buf[0] != '\r' {
		return 0, errMethod // another protocol: its first line may never end
	}
	n, err = p.scan(buf)
	if n == 0 && err == nil {
		return 0, nil
	}
	p.rewind()
	if err == nil {
		r.Reset()
		err = parseRequest(strings.TrimPrefix(view(buf[:n]), "\r\n"), r)
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

func parseRequest(head string, r *message.Request) error {
	line, rest := cutLine(head)
	if err := parseRequestLine(line, r); err != nil {
		return err
	}
	s := requestFields{r: r, control: control{length: message.LengthUnknown}}
	for {
		if line, rest = cutLine(rest); line == "" {
			return s.finish()
		}
		name, value, err := splitField(line)
		if err != nil {
			return err
		}
		if err := s.take(name, value); err != nil {
			return err
		}
	}
}

func parseRequestLine(line string, r *message.Request) error {
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	if !message.IsToken(method) {
		return errMethod
	}
	minor, ok, err := parseVersion(version)
	switch {
	case err != nil:
		return err
	case !ok && version != "" && !strings.Contains(strings.ToUpper(line), "HTTP"):
		return errNotHTTP
	case !ok || target == "":
		return errRequestLine
	case method == "CONNECT":
		return errConnect
	}
	r.Method, r.Major, r.Minor = method, 1, minor
	return parseTarget(target, r)
}

// parseTarget reads the forms of RFC 9112 section 3.2. It sets Authority for
// the absolute form only.
func parseTarget(target string, r *message.Request) error {
	switch {
	case target == "*" && r.Method == "OPTIONS":
		r.Path = "*"
		return nil
	case target[0] == '/':
		return parsePath(target, r)
	}
	scheme, rest, found := strings.Cut(target, "://")
	if !found || !message.EqualFold(scheme, "http") && !message.EqualFold(scheme, "https") {
		return errTarget
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, err := message.NormalizeAuthority(rest[:end])
	if err != nil {
		return &Error{400, "request target: " + err.Error()}
	}
	r.Authority, r.Spelling = authority, rest[:end]
	switch rest = rest[end:]; {
	case rest == "" && r.Method == "OPTIONS": // RFC 9112 section 3.2.4
		r.Path = "*"
		return nil
	case rest == "":
		r.Path = "/"
		return nil
	case rest[0] == '?':
		r.Path = "/"
		r.Query, r.HasQuery = rest[1:], true
		return checkQuery(r.Query)
	}
	return parsePath(rest, r)
}

func parsePath(target string, r *message.Request) error {
	path, query, hasQuery := strings.Cut(target, "?")
	path, err := message.NormalizePath(path)
	if err != nil {
		return &Error{400, err.Error()}
	}
	r.Path, r.Query, r.HasQuery = path, query, hasQuery
	return checkQuery(query)
}

func checkQuery(query string) error {
	if !message.ValidQuery(query) {
		return errQuery
	}
	return nil
}

// requestFields is what the fields of a request have said so far.
type requestFields struct {
	control
	r        *message.Request
	host     string
	spelling string
	hasHost  bool
	expect   bool
}

func (s *requestFields) take(name, value string) error {
	kind := message.KindOf(name)
	if kind == message.EndToEnd {
		if !message.HasUnderscore(name) {
			s.r.Header.Add(name, value)
		}
		return nil
	}
	if taken, err := s.control.take(kind, value); taken {
		return err
	}
	switch kind {
	case message.FieldHost:
		return s.takeHost(value)
	case message.FieldExpect:
		if s.r.Minor > 0 && !message.EqualFold(value, "100-continue") {
			return errExpect
		}
		s.expect = true
	case message.FieldTE:
		s.takeTE(value)
	}
	return nil
}

func (s *requestFields) takeHost(value string) error {
	if s.hasHost {
		return errHostTwice
	}
	host, err := message.NormalizeAuthority(value)
	if err != nil {
		return &Error{400, "Host: " + err.Error()}
	}
	s.host, s.spelling, s.hasHost = host, value, true
	return nil
}

// takeTE looks for "trailers"; codings are never used between Sluice and a backend.
func (s *requestFields) takeTE(value string) {
	for more := true; more; {
		var element string
		element, value, more = cutElement(value)
		if message.EqualFold(element, "trailers") {
			s.r.AcceptTrailers = true
		}
	}
}

// finish puts together what only all fields tell.
func (s *requestFields) finish() error {
	r := s.r
	if err := s.finishHost(); err != nil {
		return err
	}
	if err := s.checkFraming(r.Minor); err != nil {
		return err
	}
	r.BodyLength = max(s.length, 0)
	if s.chunked {
		r.BodyLength = message.LengthUnknown
	}
	hasBody := r.BodyLength != 0
	if hasBody && r.Method == "TRACE" {
		return errTraceBody
	}
	r.Close = s.closes(r.Minor)
	r.ExpectContinue = s.expect && hasBody && r.Minor > 0
	if s.mayUpgrade && !hasBody && r.Minor > 0 && offersUpgrade(s.upgrade) {
		r.Upgrade = s.upgrade
	}
	s.removeOptions(&r.Header)
	return nil
}

func (s *requestFields) finishHost() error {
	r := s.r
	switch {
	case !s.hasHost && r.Minor > 0:
		return errHostAbsent
	case r.Authority == "":
		r.Authority, r.Spelling = s.host, s.spelling
	case s.hasHost && s.host != r.Authority:
		return errHostOther
	}
	return nil
}

// offersUpgrade reports whether value is one protocol (RFC 9110 section 7.8)
// that may pass. An upgrade to h2c would hide requests from the proxy (RFC 9113
// section 3.1 has removed it); an Upgrade that is ignored hurts nobody.
func offersUpgrade(value string) bool {
	name, version, hasVersion := strings.Cut(value, "/")
	return message.IsToken(name) && (!hasVersion || message.IsToken(version)) && !message.EqualFold(name, "h2c")
}
