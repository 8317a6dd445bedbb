package engine

import (
	"crypto/sha256"
	"weak"
)

// cache has what was made of contents, by their sum, as long as anybody holds it.
type cache[T any] struct {
	known map[[sha256.Size]byte]weak.Pointer[T]
	// sweepAt is the size of known at which what nobody holds is dropped; it
	// doubles with what remains, which makes a sweep cheap.
	sweepAt int
}

const minSweep = 64

func (c *cache[T]) get(sum [sha256.Size]byte, parse func() (*T, error)) (*T, error) {
	if known := c.known[sum].Value(); known != nil {
		return known, nil
	}
	made, err := parse()
	if err != nil {
		return nil, err
	}
	if c.known == nil {
		c.known, c.sweepAt = make(map[[sha256.Size]byte]weak.Pointer[T]), minSweep
	}
	c.known[sum] = weak.Make(made)
	c.sweep()
	return made, nil
}

func (c *cache[T]) sweep() {
	if len(c.known) < c.sweepAt {
		return
	}
	for sum, p := range c.known {
		if p.Value() == nil {
			delete(c.known, sum)
		}
	}
	c.sweepAt = max(minSweep, 2*len(c.known))
}
