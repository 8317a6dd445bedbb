package http1

import (
	"strings"

	"github.com/sluicegateway/sluice/proxy/message"
)

// Errors of field lines (RFC 9112 section 5).
var (
	errNoColon    = &Error{400, "a field line has no colon"}
	errFold       = &Error{400, "a field line starts with white space (RFC 9112 section 5.2)"}
	errSpaceColon = &Error{400, "white space stands before the colon of a field (RFC 9112 section 5.1)"}
	errFieldName  = &Error{400, "a field name is empty or holds a byte that names do not have (RFC 9110 section 5.1)"}
	errFieldValue = &Error{400, "a field value holds a control byte (RFC 9110 section 5.5)"}
)

// cutLine splits off the first line, without its CRLF.
func cutLine(head string) (line, rest string) {
	lf := strings.IndexByte(head, '\n')
	return head[:lf-1], head[lf+1:]
}

// splitField cuts and checks a field line.
func splitField(line string) (name, value string, err error) {
	colon := 0
	for colon < len(line) && message.TokenByte(line[colon]) {
		colon++
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return "", "", fieldNameError(line, colon)
	}
	value = message.TrimSpace(line[colon+1:])
	if !message.Printable(value) {
		return "", "", errFieldValue
	}
	return line[:colon], value, nil
}

// fieldNameError says why the name of a field does not go on at bad.
func fieldNameError(line string, bad int) error {
	switch {
	case bad == len(line):
		return errNoColon
	case line[bad] != ' ' && line[bad] != '\t':
		return errFieldName
	case bad == 0:
		return errFold
	default:
		return errSpaceColon
	}
}
