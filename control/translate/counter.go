package translate

// counter counts the users of things.
type counter[K comparable] map[K]int

// replace counts one user's change from some things to others. It calls started
// for each thing that has its first user and stopped for each that lost its last.
func (c counter[K]) replace(before, after []K, started, stopped func(K)) {
	was := map[K]bool{}
	for _, k := range before {
		was[k] = c[k] > 0
		c[k]--
	}
	for _, k := range after {
		if _, ok := was[k]; !ok {
			was[k] = c[k] > 0
		}
		c[k]++
	}
	for k, used := range was {
		if c[k] == 0 {
			delete(c, k)
		}
		if !used && c[k] > 0 {
			started(k)
		}
		if used && c[k] == 0 {
			stopped(k)
		}
	}
}
