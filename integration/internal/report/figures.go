package report

import (
	"fmt"
	"math"
	"slices"
)

// Number prints a figure with three digits, and at least all before the point.
func Number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || a == 0:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

// Nanos prints a time in nanoseconds with three digits and a fitting unit.
func Nanos(d float64) string {
	switch {
	case d < 1e4:
		return Number(d) + " ns"
	case d < 1e7:
		return Number(d/1e3) + " µs"
	default:
		return Number(d/1e6) + " ms"
	}
}

// Percent prints a share.
func Percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// Median sorts values, of which there is at least one, and returns the one in the middle.
func Median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
