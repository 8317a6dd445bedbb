package main

import (
	"math"
	"testing"
)

func TestMedianInterval(t *testing.T) {
	sequence := func(n int) []float64 {
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(n - i) // Unsorted on purpose: from n down to 1.
		}
		return values
	}
	// The ranks are those of the tables for the sign test at 95 %.
	for _, test := range []struct {
		n         int
		low, high float64
	}{{1, 1, 1}, {5, 1, 5}, {6, 1, 6}, {9, 2, 8}, {15, 4, 12}, {20, 6, 15}, {30, 10, 21}} {
		low, high := medianInterval(sequence(test.n))
		if low != test.low || high != test.high {
			t.Errorf("n=%d: got %v to %v, want %v to %v", test.n, low, high, test.low, test.high)
		}
	}
	if low, _ := medianInterval(nil); !math.IsNaN(low) {
		t.Errorf("no values: got %v, want NaN", low)
	}
}

func TestQuantile(t *testing.T) {
	values := []float64{4, 1, 3, 2}
	for q, want := range map[float64]float64{0: 1, 0.5: 2.5, 1: 4} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %v: got %v, want %v", q, got, want)
		}
	}
}
