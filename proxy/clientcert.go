package proxy

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"

	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// clientCertificate is the field that tells backends whose certificate a client
// has shown, in Envoy's form. Nobody but this gateway, or a proxy in front that
// is trusted, may say it.
const clientCertificate = "X-Forwarded-Client-Cert"

// vouch notes whose certificate the client has shown, if an authority of its
// listener vouches for it now.
func (c *connection) vouch(s *State) {
	c.vouched = ""
	if p := s.profileOf(c); p != nil {
		if leaf := p.Verifies(c.secure); leaf != nil {
			c.vouched = identityOf(leaf)
		}
	}
}

// profileOf is how the connection's listener speaks TLS, nil where it is gone.
func (s *State) profileOf(c *connection) *tlsconn.Profile {
	if l := s.listenerOf(c); l != nil {
		return s.TLS[l.Name]
	}
	return nil
}

// recheck drains a connection whose client the listener would not let in any
// more: its authorities have changed, or it asks for certificates now.
func (c *connection) recheck(s *State) {
	if c.secure == nil || s.listenerOf(c) == nil { // a listener that is gone has drained it
		return
	}
	c.vouch(s)
	if !s.profileOf(c).Admits(c.secure) {
		c.drain()
	}
}

// RecheckClients drains the connections of clients whose certificates the
// configuration in force does not accept.
func (w *Worker) RecheckClients() {
	for c := range w.connections {
		c.recheck(w.State.Load())
	}
}

// identityOf is the value of the field for a certificate that was verified.
func identityOf(leaf *x509.Certificate) string {
	sum := sha256.Sum256(leaf.Raw)
	var b strings.Builder
	b.WriteString("Hash=")
	b.WriteString(hex.EncodeToString(sum[:]))
	b.WriteString(`;Subject="`)
	writePlain(&b, leaf.Subject.String()) // escapes quotes (RFC 2253 section 2.4)
	b.WriteByte('"')
	for _, uri := range leaf.URIs {
		b.WriteString(";URI=")
		writeValue(&b, uri.String())
	}
	for _, name := range leaf.DNSNames {
		b.WriteString(";DNS=")
		writeValue(&b, name)
	}
	return b.String()
}

// writeValue writes a value, in quotes where it could be taken for more than one.
func writeValue(b *strings.Builder, value string) {
	if strings.ContainsAny(value, `,;="\`) {
		writeQuoted(b, value)
	} else {
		writePlain(b, value)
	}
}

func writeQuoted(b *strings.Builder, value string) {
	b.WriteByte('"')
	for i := range len(value) {
		if value[i] == '"' || value[i] == '\\' {
			b.WriteByte('\\')
		}
		writePlain(b, value[i:i+1])
	}
	b.WriteByte('"')
}

// writePlain writes what a field may have, and other bytes as URIs do: a name in
// a certificate may have line ends.
func writePlain(b *strings.Builder, value string) {
	for i := range len(value) {
		if c := value[i]; c >= ' ' && c < 0x7f {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
}
