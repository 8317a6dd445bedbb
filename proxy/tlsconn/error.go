package tlsconn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Error is a handshake that failed.
type Error struct {
	// Reason is one word, of few and fixed ones, for a metric.
	Reason string
	// ServerName is what the client asked for, if it came to that.
	ServerName string
	Err        error
}

// Error says what went wrong.
func (e *Error) Error() string { return "TLS handshake: " + e.Err.Error() }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// ClearText reports whether the client sent an HTTP request in place of a
// ClientHello: a letter, where a record has a type from 20 to 24.
func (e *Error) ClearText() bool { return e.Reason == reasonClearText }

// Reasons that callers look for.
const (
	// ReasonUntrusted is a certificate of the peer that was not verified.
	ReasonUntrusted = "untrusted"
	// ReasonNoProtocol is a peer that speaks none of the protocols (RFC 7301 section 3.2).
	ReasonNoProtocol = "no_application_protocol"

	reasonClearText = "clear_text"
	// noProtocol is crypto/tls's word for a peer's alert.
	noProtocol = "tls: no application protocol"
	// noCertificate is crypto/tls's word for a client without the certificate that
	// is wanted; the alert that says so is encrypted.
	noCertificate = "tls: client didn't provide a certificate"
)

var (
	errOversized = errors.New("the peer sent more than a handshake needs")
	errUseless   = errors.New("the peer sends records that have no data")
	errFlooded   = errors.New("the peer does not read what it makes this side write")
)

// alerts are the reasons why this side refuses (RFC 8446 section 6, RFC 7301
// section 3.2), in the words of their registry. Of others there is no need to tell.
var alerts = map[byte]string{
	40:  "handshake_failure", // no cipher suite or no signature that both have
	47:  "illegal_parameter",
	50:  "decode_error",
	70:  "protocol_version",
	109: "missing_extension",
	112: "unrecognized_name",
	120: "no_application_protocol",
}

// reason says in one word why a handshake failed.
func (c *Conn) reason(err error) string {
	var record tls.RecordHeaderError
	var op *net.OpError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &record) && record.Conn != nil: // the very first record
		if first := record.RecordHeader[0]; first >= 'A' && first <= 'Z' {
			return reasonClearText
		}
		return "not_tls"
	case errors.Is(err, errOversized):
		return "oversized"
	case errors.As(err, &untrusted):
		return ReasonUntrusted
	case err.Error() == noCertificate:
		return "certificate_required"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case alerts[c.alert] != "":
		return alerts[c.alert]
	case errors.As(err, &op) && op.Op == "remote error":
		if c.server != nil {
			return "refused_by_client"
		}
		if op.Err.Error() == noProtocol {
			return ReasonNoProtocol
		}
		return "refused_by_backend"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "closed"
	}
	return "failed"
}
