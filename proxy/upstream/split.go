package upstream

// Split is the weighted choice among the backendRefs of a rule: smooth weighted
// round robin. Each worker's choices are exact to the request over each full
// cycle (the sum of the weights over their greatest common divisor), and at
// every moment no backendRef is more than one request ahead of its share.
type Split struct {
	weights []int64
	total   int64
	// credit is what each backendRef is owed, in units of total per request,
	// worker by worker; stride is the distance between workers.
	credit []int64
	stride int
}

// cacheLine in units of int64 keeps the workers' credits on lines of their own.
const cacheLine = 8

// NewSplit makes the choice among weights for a number of workers. A weight of
// zero or less takes no requests.
func NewSplit(weights []int32, workers int) *Split {
	s := &Split{weights: make([]int64, len(weights))}
	for i, w := range weights {
		s.weights[i] = max(0, int64(w))
		s.total += s.weights[i]
	}
	if len(weights) < 2 {
		return s // Next has no choice, and most rules are like that
	}
	s.stride = (len(weights) + cacheLine - 1) / cacheLine * cacheLine
	s.credit = make([]int64, s.stride*workers)
	return s
}

// Next is the index of the worker's next choice, or -1 if every weight is zero.
// Only the worker's own loop may call it.
func (s *Split) Next(worker int) int {
	if s.total == 0 {
		return -1
	}
	if len(s.weights) == 1 {
		return 0
	}
	credit := s.credit[worker*s.stride:][:len(s.weights)]
	best := -1
	for i, w := range s.weights {
		if w == 0 {
			continue
		}
		credit[i] += w
		if best < 0 || credit[i] > credit[best] {
			best = i
		}
	}
	credit[best] -= s.total
	return best
}
