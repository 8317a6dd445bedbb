package http1

import (
	"strings"

	"github.com/sluicegateway/sluice/proxy/message"
)

// control gathers what the fields of a head say about the message's framing
// and its connection.
type control struct {
	length      int64 // message.LengthUnknown without Content-Length
	chunked     bool
	close       bool
	keepAlive   bool
	mayUpgrade  bool // Connection lists Upgrade
	upgrade     string
	optionCount int
	options     [maxOptions]string // other names in Connection
}

// maxOptions bounds the work that the options of Connection cause.
const maxOptions = 16

// Errors of framing and connection fields.
var (
	errLength       = &Error{400, "Content-Length is not one decimal number (RFC 9112 section 6.2)"}
	errLengthTwice  = &Error{400, "there is more than one Content-Length"}
	errTwoFramings  = &Error{400, "there are both Content-Length and Transfer-Encoding (RFC 9112 section 6.3)"}
	errCoding       = &Error{400, "Transfer-Encoding is not chunked, once (RFC 9112 section 6.1)"}
	errCodingOther  = &Error{501, "Transfer-Encoding names a coding other than chunked (RFC 9112 section 6.1)"}
	errCodingOld    = &Error{400, "Transfer-Encoding came in an HTTP/1.0 message (RFC 9112 section 6.1)"}
	errConnection   = &Error{400, "Connection is not a list of tokens (RFC 9110 section 7.6.1)"}
	errTooManyNames = &Error{400, "Connection lists too many fields"}
)

// take reads a field. It reports false for a field that is not its own.
func (c *control) take(kind message.FieldKind, value string) (bool, error) {
	switch kind {
	case message.FieldConnection:
		return true, c.takeConnection(value)
	case message.FieldContentLength:
		return true, c.takeLength(value)
	case message.FieldTransferEncoding:
		return true, c.takeCoding(value)
	case message.FieldUpgrade:
		if c.upgrade != "" {
			value = c.upgrade + ", " + value
		}
		c.upgrade = value
		return true, nil
	case message.FieldDropped:
		return true, nil
	}
	return false, nil
}

func (c *control) takeLength(value string) error {
	if c.length != message.LengthUnknown {
		return errLengthTwice
	}
	n, ok := message.ParseLength(value)
	if !ok {
		return errLength
	}
	c.length = n
	return nil
}

func (c *control) takeCoding(value string) error {
	if !c.chunked && message.EqualFold(value, "chunked") {
		c.chunked = true
		return nil
	}
	if c.chunked {
		return errCoding
	}
	rest, more := value, true
	for more {
		var coding string
		coding, rest, more = strings.Cut(rest, ",")
		coding = message.TrimSpace(coding)
		if !message.IsToken(coding) || more && message.EqualFold(coding, "chunked") {
			return errCoding
		}
	}
	return errCodingOther
}

func (c *control) takeConnection(value string) error {
	for option, rest, more := cutElement(value); ; option, rest, more = cutElement(rest) {
		switch {
		case option == "": // lists may have empty elements (RFC 9110 section 5.6.1)
		case !message.IsToken(option):
			return errConnection
		case message.EqualFold(option, "close"):
			c.close = true
		case message.EqualFold(option, "keep-alive"):
			c.keepAlive = true
		case message.EqualFold(option, "upgrade"):
			c.mayUpgrade = true
		case message.Essential(option): // TE among them, which is never forwarded as it is
		case c.optionCount == maxOptions:
			return errTooManyNames
		default:
			c.options[c.optionCount] = option
			c.optionCount++
		}
		if !more {
			return nil
		}
	}
}

// cutElement splits off the first element of a list.
func cutElement(list string) (element, rest string, more bool) {
	element, rest, more = strings.Cut(list, ",")
	return message.TrimSpace(element), rest, more
}

// checkFraming refuses what could be read in two ways.
func (c *control) checkFraming(minor uint8) error {
	switch {
	case !c.chunked:
		return nil
	case c.length != message.LengthUnknown:
		return errTwoFramings
	case minor == 0:
		return errCodingOld
	}
	return nil
}

// closes reports whether the connection ends after the message (RFC 9112 section 9.3).
func (c *control) closes(minor uint8) bool {
	return c.close || minor == 0 && !c.keepAlive
}

// removeOptions removes the fields that Connection lists.
func (c *control) removeOptions(h *message.Header) {
	for _, name := range c.options[:c.optionCount] {
		h.Del(name)
	}
}

// parseVersion reads "HTTP/1.x" (RFC 9112 section 2.3). A higher minor version
// counts as 1.1 (RFC 9110 section 2.5).
func parseVersion(s string) (minor uint8, ok bool, err error) {
	if len(s) != len("HTTP/1.1") || s[:5] != "HTTP/" || s[6] != '.' || !digit(s[5]) || !digit(s[7]) {
		return 0, false, nil
	}
	if s[5] != '1' {
		return 0, true, errVersion
	}
	return min(s[7]-'0', 1), true, nil
}

var errVersion = &Error{505, "the version is not HTTP/1"}

func digit(c byte) bool { return '0' <= c && c <= '9' }
