package upstream

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"weak"

	"github.com/sluicegateway/sluice/config"
)

// authorities are the certificates of those that backends trust, parsed, as long as
// a backend holds them. Backends that trust the same share them: one ConfigMap may
// be large, and stand for each of thousands of backends.
type authorities struct {
	known map[[sha256.Size]byte]weak.Pointer[x509.CertPool]
	// sweepAt is the size of known at which what nobody holds is dropped.
	sweepAt int
}

// of are the authorities that may sign the certificates of endpoints.
func (a *authorities) of(c *config.BackendTLS) (*x509.CertPool, error) {
	sum := sumOf(c)
	if known := a.known[sum].Value(); known != nil {
		return known, nil
	}
	roots, err := trusted(c)
	if err != nil {
		return nil, err
	}
	if a.known == nil {
		a.known, a.sweepAt = map[[sha256.Size]byte]weak.Pointer[x509.CertPool]{}, minSweep
	}
	a.known[sum] = weak.Make(roots)
	if len(a.known) < a.sweepAt {
		return roots, nil
	}
	for sum, p := range a.known {
		if p.Value() == nil {
			delete(a.known, sum)
		}
	}
	a.sweepAt = max(minSweep, 2*len(a.known))
	return roots, nil
}

// sumOf identifies whom a configuration trusts.
func sumOf(c *config.BackendTLS) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(fmt.Appendln(nil, c.System))
	for i := range c.CAs {
		h.Write(binary.AppendUvarint(nil, uint64(len(c.CAs[i].PEM))))
		h.Write(c.CAs[i].PEM)
	}
	h.Sum(sum[:0])
	return sum
}

func trusted(c *config.BackendTLS) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	if c.System {
		system, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("the system's authorities cannot be read: %w", err)
		}
		roots = system
	}
	for _, bundle := range c.CAs {
		if !roots.AppendCertsFromPEM(bundle.PEM) {
			return nil, fmt.Errorf("%s has no certificate in PEM that can be parsed", bundle.Name)
		}
	}
	return roots, nil
}
