package filter

import "github.com/sluicegateway/sluice/config"

// Sample tells which requests a mirror gets (HTTPRequestMirrorFilter, percent
// and fraction): Numerator of each Denominator, evenly spread. Each worker's
// choice is exact over each of its own Denominator requests.
type Sample struct {
	numerator, denominator uint64
	// turns count the requests of each worker, modulo the denominator.
	turns []turn
}

// turn has a cache line of its own, so that workers do not slow each other down.
type turn struct {
	n uint64
	_ [56]byte
}

// NewSample makes the sample of a mirror for a number of workers.
func NewSample(m *config.Mirror, workers int) *Sample {
	s := &Sample{denominator: 1, turns: make([]turn, workers)}
	if m.Denominator > 0 {
		s.denominator = uint64(m.Denominator)
		s.numerator = uint64(min(max(0, m.Numerator), m.Denominator))
	}
	return s
}

// Next reports whether the worker's next request is mirrored. Only the worker's
// own loop may call it.
func (s *Sample) Next(worker int) bool {
	t := &s.turns[worker]
	// The multiples of the numerator go around the denominator; they pass its
	// end, and begin anew below the numerator, just as often as the fraction says.
	taken := t.n*s.numerator%s.denominator < s.numerator
	t.n = (t.n + 1) % s.denominator
	return taken
}
