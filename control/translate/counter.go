package translate

import "slices"

// counter counts the users of things.
type counter[K comparable] map[K]int

// replace counts one user's change from some things to others. It calls turned
// for each thing that has got its first user or lost its last.
func (c counter[K]) replace(before, after []K, turned func(K)) {
	was := map[K]bool{}
	for _, k := range slices.Concat(before, after) {
		was[k] = c[k] > 0
	}
	for _, k := range before {
		c[k]--
	}
	for _, k := range after {
		c[k]++
	}
	for k, used := range was {
		if c[k] == 0 {
			delete(c, k)
		}
		if is := c[k] > 0; is != used {
			turned(k)
		}
	}
}
