package main

import (
	"math"
	"slices"
)

// median of values; NaN if there are none.
func median(values []float64) float64 {
	return quantile(values, 0.5)
}

// quantile by linear interpolation between the closest ranks; NaN if there are no values.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 == len(sorted) {
		return sorted[low]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

// medianInterval is the confidence interval of the median by order statistics:
// the number of values below the true median is binomial(n, ½), whatever their
// distribution, so the k-th smallest and the k-th largest hold it between them
// with a probability of at least 95 % for the largest k that allows it. With
// fewer than six values no such k exists, and the range of the values is returned.
func medianInterval(values []float64) (low, high float64) {
	if len(values) == 0 {
		return math.NaN(), math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	k, tail := 0, 0.0
	probability := math.Pow(0.5, float64(n)) // Of no value below the median.
	for k < n/2 && tail+probability <= 0.025 {
		tail += probability
		probability *= float64(n-k) / float64(k+1)
		k++
	}
	k = max(k, 1)
	return sorted[k-1], sorted[n-k]
}

// ratios divides the values of one contestant by those of the reference, round by round.
func ratios(values, reference []float64) []float64 {
	result := make([]float64, min(len(values), len(reference)))
	for i := range result {
		result[i] = values[i] / reference[i]
	}
	return result
}
