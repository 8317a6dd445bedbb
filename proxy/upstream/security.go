package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/sluicegateway/sluice/config"
)

// security is how the endpoints of a backend are spoken to in TLS, compiled once
// for a configuration (Gateway API, BackendTLSPolicy). It is immutable.
type security struct {
	config *config.BackendTLS
	// fault is why the configuration cannot be followed; then there is no more.
	fault error
	roots *x509.CertPool
	// uris are those of the SANs as a certificate's are written.
	uris []string
}

// compileSecurity returns nil for clear text, and old if it is for an equal
// configuration.
func compileSecurity(c *config.BackendTLS, old *security, known *authorities) *security {
	if c == nil {
		return nil
	}
	if old != nil && reflect.DeepEqual(c, old.config) {
		return old
	}
	s := &security{config: c}
	if s.roots, s.fault = known.of(c); s.fault != nil {
		return s
	}
	for _, san := range c.SANs {
		if u, err := url.Parse(san.URI); err == nil && san.URI != "" {
			s.uris = append(s.uris, u.String())
		}
	}
	return s
}

// settings are those of one handshake. crypto/tls verifies no chain itself: it
// does not do so again for a session that it resumes.
func (s *security) settings(identity *tls.Certificate, t *ticket, protocols []string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         s.config.Hostname,
		NextProtos:         protocols,
		ClientSessionCache: t,
		InsecureSkipVerify: true,
		VerifyConnection: func(c tls.ConnectionState) error {
			if err := s.verify(c.PeerCertificates); err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: c.PeerCertificates, Err: err}
			}
			return nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if identity == nil {
				return new(tls.Certificate), nil
			}
			return identity, nil
		},
	}
}

// ticket is what a session can be resumed with: the last that came, of one peer.
// It belongs to the loop.
type ticket struct{ session *tls.ClientSessionState }

// Get implements tls.ClientSessionCache.
func (t *ticket) Get(string) (*tls.ClientSessionState, bool) { return t.session, t.session != nil }

// Put implements tls.ClientSessionCache.
func (t *ticket) Put(_ string, session *tls.ClientSessionState) { t.session = session }

// verify holds the rules of BackendTLSPolicyValidation: an authority signed the
// certificate, and it has one of the SANs, or else the hostname.
func (s *security) verify(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("the endpoint has no certificate")
	}
	leaf := chain[0]
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: s.roots, Intermediates: intermediates}); err != nil {
		return fmt.Errorf("the certificate of %s, which %s issued, is not valid with %s: %w",
			quote(leaf.Subject.String()), quote(leaf.Issuer.String()), s.authorities(), err)
	}
	switch names := s.config.SANs; {
	case len(names) == 0:
		if leaf.VerifyHostname(s.config.Hostname) != nil {
			return fmt.Errorf("the certificate is not for %q: it has %s", s.config.Hostname, namesOf(leaf))
		}
	case !s.hasURI(leaf) && !slices.ContainsFunc(names, func(n config.SubjectAltName) bool { return hasHostname(leaf, n.Hostname) }):
		return fmt.Errorf("the certificate has none of %s: it has %s", s.subjectAltNames(), namesOf(leaf))
	}
	return nil
}

func (s *security) hasURI(leaf *x509.Certificate) bool {
	return slices.ContainsFunc(leaf.URIs, func(u *url.URL) bool { return slices.Contains(s.uris, u.String()) })
}

// hasHostname reports whether a certificate is for the name. Of a wildcard it
// has to have one of the names that it stands for, with one label in place of
// the asterisk (RFC 9525 section 6.3), or the wildcard itself.
func hasHostname(leaf *x509.Certificate, name string) bool {
	domain, wild := strings.CutPrefix(name, "*.")
	if name == "" || !wild {
		return name != "" && leaf.VerifyHostname(name) == nil
	}
	return slices.ContainsFunc(leaf.DNSNames, func(has string) bool {
		label, rest, _ := strings.Cut(has, ".")
		return label != "" && (label == "*" || !strings.Contains(label, "*")) && strings.EqualFold(rest, domain)
	})
}

// authorities are the names of the bundles.
func (s *security) authorities() string {
	var names []string
	for _, bundle := range s.config.CAs {
		names = append(names, bundle.Name)
	}
	if s.config.System {
		names = append(names, "the system's authorities")
	}
	return strings.Join(names, ", ")
}

func (s *security) subjectAltNames() string {
	var names []string
	for _, n := range s.config.SANs {
		names = append(names, quote(n.Hostname+n.URI))
	}
	return strings.Join(names, ", ")
}

// What an error tells of a certificate is bounded: the endpoint decides what is in it.
const (
	maxNames      = 8
	maxNameLength = 128
)

// namesOf are the names that a certificate is for.
func namesOf(leaf *x509.Certificate) string {
	var names []string
	for _, name := range leaf.DNSNames {
		names = append(names, quote(name))
	}
	for _, u := range leaf.URIs {
		names = append(names, quote(u.String()))
	}
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	switch more := len(names) - maxNames; {
	case len(names) == 0:
		return "no name"
	case more > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNames], ", "), more)
	}
	return strings.Join(names, ", ")
}

func quote(name string) string {
	if len(name) > maxNameLength {
		name = name[:maxNameLength] + "..."
	}
	return fmt.Sprintf("%q", name)
}
