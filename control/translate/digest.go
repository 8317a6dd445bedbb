package translate

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// part is the sum of digests of some listeners of a Gateway, and how many of them
// each Gateway or ListenerSet has.
type part struct {
	sum    uint64
	owners map[snapshot.Key]int
}

func (p *part) String() string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%016x", p.sum)
}

// parts of the ListenerSets of a Gateway.
const maxParts = 128

// partOf is the part of a Gateway's listeners that those of the owner belong to;
// empty for the Gateway's own.
func partOf(owner snapshot.Key) string {
	if owner.Kind == snapshot.KindGateway {
		return ""
	}
	h := fnv.New32a()
	io.WriteString(h, owner.Namespace+"/"+owner.Name)
	return fmt.Sprintf("%02x", h.Sum32()%maxParts)
}

// digest follows a listener of the configuration; nil is gone.
func (t *Translator) digest(gateway, owner snapshot.Key, name string, l *config.Listener) {
	p := t.places[gateway]
	if p == nil {
		return
	}
	before, had := p.digests[name]
	next := digestOf(l)
	if before == next {
		return
	}
	sums := p.parts[partOf(owner)]
	if sums == nil {
		sums = &part{owners: map[snapshot.Key]int{}}
		p.parts[partOf(owner)] = sums
	}
	sums.sum ^= before ^ next
	switch {
	case l == nil:
		delete(p.digests, name)
		if sums.owners[owner]--; sums.owners[owner] == 0 {
			delete(sums.owners, owner)
		}
	default:
		p.digests[name] = next
		if !had {
			sums.owners[owner]++
		}
	}
	t.reserve = true
	t.unsettlePart(sums)
	if len(sums.owners) == 0 {
		delete(p.parts, partOf(owner))
	}
}

func (t *Translator) unsettlePart(p *part) {
	if p == nil {
		return
	}
	for owner := range p.owners {
		t.work.unsettled[owner] = struct{}{}
	}
}

// digestOf stands for all that a listener is. A chain stands for its key too; what
// is published has nothing of a key.
func digestOf(l *config.Listener) uint64 {
	if l == nil {
		return 0
	}
	h := sha256.New()
	io.WriteString(h, l.String())
	for _, c := range l.Certificates {
		h.Write(c.Chain)
	}
	if l.BackendCertificate != nil {
		h.Write(l.BackendCertificate.Chain)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}
