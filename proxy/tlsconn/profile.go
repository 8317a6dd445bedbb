package tlsconn

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"slices"
	"time"
)

// Options are what a Profile is made of. The zero value of a field means its default.
type Options struct {
	// Name is the listener's.
	Name string
	// Certificates are in the order of preference.
	Certificates Certificates
	// MinVersion and MaxVersion are of TLS; the defaults are 1.2 and 1.3.
	MinVersion, MaxVersion uint16
	// Ciphers are those of TLS 1.2; the default is Mozilla's intermediate profile.
	Ciphers []uint16
	// Protocols are in the order of preference; the default is h2, http/1.1.
	Protocols []string
	// Clients says whether they are asked for a certificate, which Authorities sign.
	Clients     ClientAuth
	Authorities *Authorities
	// Time bounds a handshake from its first byte; the default is its caller's.
	Time time.Duration
	// Tickets seal sessions; without, none is resumed.
	Tickets *Tickets
}

// Profile is how one listener speaks TLS. It is immutable and safe for
// concurrent use.
type Profile struct {
	settings *tls.Config
	// stranger are the settings for clients that offer other protocols only,
	// quic those for QUIC, nil without TLS 1.3.
	stranger     *tls.Config
	quic         *tls.Config
	certificates Certificates
	clients      ClientAuth
	authorities  *Authorities
	time         time.Duration
	tickets      *Tickets
	policy       [sha256.Size]byte // to which tickets are bound
}

// intermediate are the ciphers of Mozilla's intermediate configuration as far
// as crypto/tls has them: it has none of DHE.
var intermediate = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// usual are the protocols that are spoken where nothing else is said.
var usual = []string{"h2", "http/1.1"}

// NewProfile compiles the options. Key exchanges are crypto/tls's own choice,
// hybrid post-quantum ones first, and as a server it never renegotiates.
func NewProfile(o *Options) *Profile {
	p := &Profile{certificates: o.Certificates, clients: o.Clients, authorities: o.Authorities, time: o.Time, tickets: o.Tickets}
	p.policy = policyOf(o)
	p.settings = &tls.Config{
		MinVersion:             cmp.Or(o.MinVersion, tls.VersionTLS12),
		MaxVersion:             o.MaxVersion,
		CipherSuites:           intermediate,
		NextProtos:             usual,
		GetCertificate:         p.certificate,
		SessionTicketsDisabled: o.Tickets == nil || o.Clients != NoCertificate,
		WrapSession:            p.wrap,
		UnwrapSession:          p.unwrap,
	}
	if len(o.Ciphers) > 0 {
		p.settings.CipherSuites = o.Ciphers
	}
	if len(o.Protocols) > 0 {
		p.settings.NextProtos = o.Protocols
	}
	p.ask(p.settings)
	p.quic = quicSettings(p.settings)
	if !slices.Contains(p.settings.NextProtos, "http/1.1") {
		p.stranger = p.settings.Clone()
		p.stranger.NextProtos = []string{"none"}
	}
	return p
}

// settingsFor has what makes crypto/tls abort where none of the client's
// protocols is spoken here: it would let those that know http/1.1 into h2
// without a protocol, which is where attacks across protocols begin.
func (p *Profile) settingsFor(hello *tls.ClientHelloInfo) *tls.Config {
	offered := func(protocol string) bool { return slices.Contains(hello.SupportedProtos, protocol) }
	if p.stranger != nil && len(hello.SupportedProtos) > 0 && !slices.ContainsFunc(p.settings.NextProtos, offered) {
		return p.stranger
	}
	return p.settings
}

func (p *Profile) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	shown := p.certificates.Pick(hello)
	if t, ok := hello.Conn.(*transport); ok && shown != nil {
		shown = t.server.withSigner(shown)
	}
	return shown, nil
}
