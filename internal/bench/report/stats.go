// Package report keeps the figures of measurements, compares them, and shows
// them as a table and a plot. Where they come from is left to others.
package report

import (
	"math"
	"slices"
)

// Median returns the middle of values, or the mean of the two middle ones. Of
// none it is NaN.
func Median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Quantile returns the smallest of ascending values that a share q of them does
// not exceed (nearest rank). Of none it is NaN.
func Quantile(ascending []float64, q float64) float64 {
	n := len(ascending)
	if n == 0 {
		return math.NaN()
	}
	return ascending[max(0, min(n, int(math.Ceil(q*float64(n))))-1)]
}

// Ratios divides round by round: what disturbs the machine for some minutes
// disturbs both sides of one round alike. A round that one side lacks is left
// out.
func Ratios(a, b []float64) []float64 {
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = a[i] / b[i]
	}
	return ratios
}

// farOut is how far from its median a round may be before it is named, as a
// share of the median.
const farOut = 0.25

// Outliers returns the indices of values that are far from the median.
func Outliers(values []float64) []int {
	var far []int
	m := Median(values)
	for i, v := range values {
		if math.Abs(v-m) > farOut*math.Abs(m) {
			far = append(far, i)
		}
	}
	return far
}
