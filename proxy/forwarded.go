package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"unsafe"

	"github.com/sluicegateway/sluice/proxy/message"
)

// Fields by which proxies tell what they saw.
const (
	forwardedFor   = "X-Forwarded-For"
	forwardedProto = "X-Forwarded-Proto"
	forwardedHost  = "X-Forwarded-Host"
	forwardedPort  = "X-Forwarded-Port"
	requestID      = "X-Request-Id"
)

// identify tells the backend who asked and how, before any rule looks at the
// request: what an untrusted client claims of it is removed, so that no match
// and no filter can be fooled by it.
func (x *exchange) identify() {
	h := &x.req.Header
	dropClaims(h, x.from.trusted)
	var known claims
	if x.from.trusted {
		known = claimsOf(h)
	}
	switch {
	case known.client == "":
		h.Add(forwardedFor, x.from.client)
	default:
		h.Set(forwardedFor, known.client+", "+x.from.client)
	}
	if !known.proto {
		h.Add(forwardedProto, x.req.Scheme)
	}
	if !known.host && x.req.Authority != "" {
		h.Add(forwardedHost, x.req.Authority)
	}
	if !known.port {
		h.Add(forwardedPort, x.portText())
	}
	if x.settings.CertificateHeader && x.from.vouched != "" {
		h.Add(clientCertificate, x.from.vouched) // behind what a trusted proxy says of its own client
	}
	if known.id == "" {
		known.id = x.newRequestID()
		h.Set(requestID, known.id)
	}
	x.log.RequestID = known.id
	h.Add("Via", x.protocol().via)
}

// claims is what a trusted proxy in front said.
type claims struct {
	client, id        string
	proto, host, port bool
}

func claimsOf(h *message.Header) claims {
	c := claims{id: h.Get(requestID)}
	c.client, _ = h.Joined(forwardedFor)
	_, c.proto = h.Lookup(forwardedProto)
	_, c.host = h.Lookup(forwardedHost)
	_, c.port = h.Lookup(forwardedPort)
	return c
}

// dropClaims removes the fields of identify and others of that meaning. Of a
// trusted client, only those whose names are not quite the known ones are.
func dropClaims(h *message.Header, trusted bool) {
	kept := h.Fields[:0]
	for _, f := range h.Fields {
		if !isClaim(f.Name) || trusted && !message.HasUnderscore(f.Name) {
			kept = append(kept, f)
		}
	}
	clear(h.Fields[len(kept):])
	h.Fields = kept
}

// isClaim knows the names also with underscores in place of hyphens, which some
// servers take for the same.
func isClaim(name string) bool {
	const family = "X-Forwarded-"
	return len(name) > len(family) && alike(name[:len(family)], family) ||
		alike(name, requestID) || alike(name, "X-Real-IP") || alike(name, "Forwarded")
}

// alike compares a name with a known one.
func alike(name, known string) bool {
	if len(name) != len(known) || name[0]|0x20 != known[0]|0x20 {
		return false
	}
	for i := range len(known) {
		if c := known[i]; name[i]|0x20 != c|0x20 && (c != '-' || name[i] != '_') {
			return false
		}
	}
	return true
}

// endsHere holds Max-Forwards, which limits how far TRACE and OPTIONS go
// (RFC 9110 section 7.6.2). It reports whether the request has come to its end
// and was answered.
func (x *exchange) endsHere() bool {
	if x.req.Method != "OPTIONS" && x.req.Method != "TRACE" {
		return false
	}
	left, err := strconv.ParseUint(x.req.Header.Get("Max-Forwards"), 10, 31)
	switch {
	case err != nil: // absent, or of no meaning
		return false
	case left > 0:
		x.req.Header.Set("Max-Forwards", strconv.FormatUint(left-1, 10))
		return false
	case x.req.Method == "OPTIONS":
		x.answerWith(&message.Response{Status: 204})
	default:
		x.fail(clientMaxForwards) // it would show the client what proxies in front have added
	}
	return true
}

// portText is the port that the client connected to; it is valid until the
// exchange ends.
func (x *exchange) portText() string {
	text := strconv.AppendUint(x.port[:0], uint64(x.from.socket.Port), 10)
	return unsafe.String(&x.port[0], len(text))
}

// newRequestID makes an id of 128 random bits; it is valid until the exchange ends.
func (x *exchange) newRequestID() string {
	var b [16]byte
	x.random.Read(b[:])
	hex.Encode(x.id[:], b[:])
	return unsafe.String(&x.id[0], len(x.id))
}

func newSeed() (seed [32]byte) {
	rand.Read(seed[:])
	return seed
}
