package engine

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"weak"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// keyring has the certificates in use, parsed, each once: thousands of
// listeners may show the same one, and parsing checks its key.
type keyring struct {
	known map[[sha256.Size]byte]weak.Pointer[tls.Certificate]
	// sweepAt is the size of known at which what nobody holds is dropped; it
	// doubles with what remains, which makes a sweep cheap.
	sweepAt int
}

const minSweep = 64

// open parses the certificates of a listener.
func (k *keyring) open(l *config.Listener) (tlsconn.Certificates, error) {
	if l.Protocol != config.ProtocolHTTPS {
		return nil, nil
	}
	if len(l.Certificates) == 0 {
		return nil, errors.New("it has no certificate to show; add a certificateRef")
	}
	var all tlsconn.Certificates
	for i := range l.Certificates {
		c, err := k.certificate(&l.Certificates[i])
		if err != nil {
			return nil, fmt.Errorf("certificate %q: %w", l.Certificates[i].Name, err)
		}
		all = append(all, c)
	}
	return all, nil
}

func (k *keyring) certificate(c *config.Certificate) (*tls.Certificate, error) {
	sum := sumOf(c)
	if known := k.known[sum].Value(); known != nil {
		return known, nil
	}
	parsed, err := c.Pair()
	if err != nil {
		return nil, err
	}
	if k.known == nil {
		k.known, k.sweepAt = make(map[[sha256.Size]byte]weak.Pointer[tls.Certificate]), minSweep
	}
	k.known[sum] = weak.Make(parsed)
	k.sweep()
	return parsed, nil
}

func (k *keyring) sweep() {
	if len(k.known) < k.sweepAt {
		return
	}
	for sum, p := range k.known {
		if p.Value() == nil {
			delete(k.known, sum)
		}
	}
	k.sweepAt = max(minSweep, 2*len(k.known))
}

// sumOf identifies a chain with its key.
func sumOf(c *config.Certificate) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(binary.AppendUvarint(nil, uint64(len(c.Chain))))
	h.Write(c.Chain)
	h.Write(c.Key)
	h.Sum(sum[:0])
	return sum
}

// certificates are those of the listeners that are served.
func (e *Engine) certificates() map[string]tlsconn.Certificates {
	shown := make(map[string]tlsconn.Certificates)
	for name, l := range e.listeners {
		if l.refused == nil && l.certificates != nil {
			shown[name] = l.certificates
		}
	}
	return shown
}
