package filter_test

import (
	"fmt"
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/filter"
)

// HTTPRequestMirrorFilter: percent and fraction, exact over each cycle and for
// each worker by itself, and never far from the share in between.
func TestSample(t *testing.T) {
	tests := []struct{ numerator, denominator int32 }{
		{0, 100}, {1, 100}, {20, 100}, {50, 100}, {99, 100}, {100, 100}, {1, 3}, {2, 3}, {5, 7}, {6, 9}, {1, 1},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%d of %d", test.numerator, test.denominator), func(t *testing.T) {
			s := filter.NewSample(&config.Mirror{Numerator: test.numerator, Denominator: test.denominator}, 2)
			for cycle := range 3 {
				taken := int32(0)
				for i := range test.denominator {
					if s.Next(0) {
						taken++
					}
					if cycle == 0 {
						s.Next(1) // another worker's turn changes nothing
					}
					if off := taken*test.denominator - (i+1)*test.numerator; off < -test.denominator || off > test.denominator {
						t.Errorf("%d taken after %d", taken, i+1)
					}
				}
				if taken != test.numerator {
					t.Errorf("cycle %d: %d taken", cycle, taken)
				}
			}
		})
	}
}

func TestSampleOfNothing(t *testing.T) {
	for _, m := range []config.Mirror{{}, {Numerator: 1}, {Numerator: -1, Denominator: 2}, {Numerator: 1, Denominator: -2}} {
		if filter.NewSample(&m, 1).Next(0) {
			t.Errorf("%+v takes a request", m)
		}
	}
}
