package upstream_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sluicegateway/sluice/proxy/upstream"
)

// HTTPRoute, BackendRef.weight: "the proportion of requests forwarded ... is
// weight / (sum of all weights)".
func TestSplit(t *testing.T) {
	for _, test := range []struct {
		name    string
		weights []int32
		want    []int
	}{
		{"one backendRef takes all", []int32{1}, []int{0, 0, 0}},
		{"equal weights take turns", []int32{1, 1, 1}, []int{0, 1, 2, 0, 1, 2}},
		{"the lighter one is interleaved", []int32{5, 1}, []int{0, 0, 0, 1, 0, 0}},
		{"a common factor does not matter", []int32{3000, 1000}, []int{0, 0, 1, 0, 0, 0, 1, 0}},
		{"zero takes none", []int32{0, 1, 0, 1}, []int{1, 3, 1, 3}},
		{"all zero", []int32{0, 0}, []int{-1, -1}},
		{"no backendRef", nil, []int{-1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := upstream.NewSplit(test.weights, 1)
			var got []int
			for range test.want {
				got = append(got, s.Next(0))
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("weights %v: got %v, want %v", test.weights, got, test.want)
			}
		})
	}
}

func TestSplitIsExactOverEachCycle(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		weights := randomWeights(random, 100)
		s := upstream.NewSplit(weights, 1)
		for cycle := range 3 {
			counts := take(s, 0, sum(weights), len(weights))
			for i, w := range weights {
				if counts[i] != int(w) {
					t.Fatalf("weights %v: cycle %d gave %v", weights, cycle, counts)
				}
			}
		}
	}
}

func TestSplitIsExactForTheLargestWeights(t *testing.T) {
	weights := []int32{1_000_000, 999_999, 1}
	counts := take(upstream.NewSplit(weights, 1), 0, sum(weights), len(weights))
	for i, w := range weights {
		if counts[i] != int(w) {
			t.Errorf("backendRef %d of weight %d got %d requests", i, w, counts[i])
		}
	}
}

// At every moment a backendRef is less than one request ahead of its share, and
// behind it by no more than the harmonic number of the others.
func TestSplitIsSmooth(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		weights := randomWeights(random, 1000)
		total := sum(weights)
		behind := harmonic(len(weights) - 1)
		s := upstream.NewSplit(weights, 1)
		counts := make([]int, len(weights))
		for n := 1; n <= total; n++ {
			counts[s.Next(0)]++
			for i, w := range weights {
				lead := float64(counts[i]) - float64(n)*float64(w)/float64(total)
				if lead >= 1 || -lead > behind {
					t.Fatalf("weights %v: backendRef %d is %.2f ahead after %d requests", weights, i, lead, n)
				}
			}
		}
	}
}

func TestSplitWorkersAreIndependent(t *testing.T) {
	s := upstream.NewSplit([]int32{1, 2}, 2)
	take(s, 0, 2, 2)
	if counts := take(s, 1, 3, 2); counts[0] != 1 || counts[1] != 2 {
		t.Errorf("the second worker's first cycle gave %v, want [1 2]", counts)
	}
}

func randomWeights(random *rand.Rand, most int32) []int32 {
	weights := make([]int32, 1+random.IntN(16))
	for i := range weights {
		weights[i] = random.Int32N(most)
	}
	weights[random.IntN(len(weights))]++
	return weights
}

func sum(weights []int32) (total int) {
	for _, w := range weights {
		total += int(w)
	}
	return total
}

func harmonic(n int) (h float64) {
	for i := 1; i <= n; i++ {
		h += 1 / float64(i)
	}
	return math.Max(h, 0) + 1e-9
}

func take(s *upstream.Split, worker, n, refs int) []int {
	counts := make([]int, refs)
	for range n {
		counts[s.Next(worker)]++
	}
	return counts
}

func BenchmarkSplit(b *testing.B) {
	s := upstream.NewSplit([]int32{90, 9, 1}, 1)
	b.ReportAllocs()
	for b.Loop() {
		s.Next(0)
	}
}
