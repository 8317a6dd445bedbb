package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
)

// ListenerTLS is how an HTTPS listener speaks TLS. The zero value of a field
// means its default.
type ListenerTLS struct {
	// MinVersion and MaxVersion are "1.2" or "1.3"; the defaults are 1.2 and 1.3.
	MinVersion, MaxVersion string
	// Ciphers are those of TLS 1.2, by their IANA names; the default is
	// Mozilla's intermediate profile. Those of TLS 1.3 are not a choice.
	Ciphers []string
	// ALPN are the protocols to offer in the order of preference; the default
	// is h2, http/1.1.
	ALPN []string
	// ClientAuth says whether clients are asked for a certificate.
	ClientAuth ClientAuth
	// ClientCAs are the authorities that sign certificates of clients.
	ClientCAs []TrustBundle
}

// ClientAuth is a mode of validating clients' certificates (Gateway,
// spec.tls.frontend.default.validation.mode).
type ClientAuth string

// The modes. The zero value asks for no certificate.
const (
	// ClientAuthValidOnly wants a certificate that one of the ClientCAs signed.
	ClientAuthValidOnly ClientAuth = "AllowValidOnly"
	// ClientAuthInsecureFallback asks for one and goes on without, and with one
	// that is not valid.
	ClientAuthInsecureFallback ClientAuth = "AllowInsecureFallback"
)

// BackendTLS is how a backend is verified (Gateway API, BackendTLSPolicy).
type BackendTLS struct {
	// Hostname is the server name that is sent, and, without SANs, the name that
	// the backend's certificate must have.
	Hostname string
	// SANs are names of which the certificate must have one.
	SANs []SubjectAltName
	// CAs sign the backend's certificate; System says that those of the system
	// do so too.
	CAs    []TrustBundle
	System bool
}

// SubjectAltName is a name in a certificate: exactly one of Hostname, which may
// begin with "*.", and URI is set.
type SubjectAltName struct {
	Hostname string
	URI      string
}

// versions are those that can be asked for.
var versions = map[string]uint16{"": 0, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// Parameters are the versions and the ciphers by their numbers, zero and nil
// where the defaults hold. The error says which of them cannot be had.
func (t *ListenerTLS) Parameters() (lowest, highest uint16, ciphers []uint16, err error) {
	for _, version := range []string{t.MinVersion, t.MaxVersion} {
		if _, known := versions[version]; !known {
			return 0, 0, nil, fmt.Errorf("TLS version %q is not known; 1.2 and 1.3 are", version)
		}
	}
	lowest, highest = versions[t.MinVersion], versions[t.MaxVersion]
	if highest != 0 && lowest > highest {
		return 0, 0, nil, fmt.Errorf("TLS %s is the lowest version and %s the highest", t.MinVersion, t.MaxVersion)
	}
	for _, name := range t.Ciphers {
		i := slices.IndexFunc(tls.CipherSuites(), func(c *tls.CipherSuite) bool {
			return c.Name == name && slices.Contains(c.SupportedVersions, tls.VersionTLS12)
		})
		if i < 0 {
			return 0, 0, nil, fmt.Errorf("cipher %q is none of TLS 1.2, or not a safe one", name)
		}
		ciphers = append(ciphers, tls.CipherSuites()[i].ID)
	}
	return lowest, highest, ciphers, nil
}

func (v *validator) listenerTLS(t *ListenerTLS) {
	if t == nil {
		return
	}
	if _, _, _, err := t.Parameters(); err != nil {
		v.fail("%v", err)
	}
	for i, protocol := range t.ALPN {
		if protocol != "h2" && protocol != "http/1.1" || slices.Contains(t.ALPN[:i], protocol) {
			v.fail("protocol %q of ALPN is neither h2 nor http/1.1, or stands twice", protocol)
		}
	}
	switch t.ClientAuth {
	case "", ClientAuthValidOnly, ClientAuthInsecureFallback:
	default:
		v.fail("client authentication %q is not known", t.ClientAuth)
	}
	for i := range t.ClientCAs {
		v.trust(&t.ClientCAs[i])
	}
}

// trust wants certificates, and nothing that looks like one and is none.
func (v *validator) trust(b *TrustBundle) {
	authorities, err := b.Certificates()
	switch {
	case err != nil:
		v.fail("trust bundle %q: %v", b.Name, err)
	case len(authorities) == 0:
		v.fail("trust bundle %q has no certificate", b.Name)
	}
}

// MaxTrustBundle bounds the PEM of a bundle, in bytes. Whose it is may be anybody
// who adds a policy, and all of it is parsed and kept.
const MaxTrustBundle = 256 << 10

// MaxAuthorityNames bounds the names of the authorities that clients of a listener
// are told, in bytes: the list has a length of 16 bits (RFC 8446 section 4.2.4).
const MaxAuthorityNames = 48 << 10

// Certificates parses the bundle's certificates; blocks of other types are left out.
func (b *TrustBundle) Certificates() (all []*x509.Certificate, err error) {
	if len(b.PEM) > MaxTrustBundle {
		return nil, fmt.Errorf("it is larger than %d KiB", MaxTrustBundle>>10)
	}
	for rest := b.PEM; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
}

func (p *printer) listenerTLS(t *ListenerTLS) {
	if t == nil {
		return
	}
	p.line("tls", word("min", t.MinVersion), word("max", t.MaxVersion), list("ciphers", t.Ciphers), list("alpn", t.ALPN), word("clients", string(t.ClientAuth)))
	p.within(func() { p.trust(t.ClientCAs) })
}

func (p *printer) backendTLS(t *BackendTLS) {
	if t == nil {
		return
	}
	var names []string
	for _, n := range t.SANs {
		names = append(names, n.Hostname+n.URI)
	}
	p.line("tls", word("hostname", t.Hostname), list("names", names), flag("system", t.System))
	p.within(func() { p.trust(t.CAs) })
}

func (p *printer) trust(bundles []TrustBundle) {
	for i := range bundles {
		p.line("ca", bundles[i].Name, word("sha256", fingerprint(bundles[i].PEM)))
	}
}

// fingerprint identifies what is too long to print.
func fingerprint(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
