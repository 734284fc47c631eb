package flow

import (
	"math"
	"math/big"
	"math/bits"
)

// Integer is what SumBy and AverageBy add up. Floats are not among it: their addition is not
// associative, so that sums would depend on the order of arrival and replicas would diverge. Add up
// cents or micrometres, or fold with FoldBy, whose order is fixed.
type Integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

// SumBy groups the elements of in and adds up of(e) over each group: one entry for every group that is
// not empty, also where the sum is 0. An element counts once, whatever its weight.
//
// The sum is kept in 128 bits and is exact. While it is out of N's range the entry shows the end of the
// range that is nearest, and it is exact again when the sum comes back; convert to a wider type in of
// where that may happen. by and of must be pure. A change costs O(1). It is a distributive aggregate with an
// inverse, as CountBy is, whose source it shares.
func SumBy[K, E comparable, N Integer](name string, in Node[E], by func(E) K, of func(E) N) Node[Entry[K, N]] {
	s := declare("sum-by", name, in.spec)
	s.refuse(by == nil || of == nil, "one of its functions is nil")
	s.build = buildFold("SumBy", by, false, func(*groupFold[K, E, N]) group[E, N] { return &sum[E, N]{of: of} })
	return Node[Entry[K, N]]{s}
}

// Average is a mean as the exact fraction Sum / Count.
type Average struct {
	Sum   int64
	Count int64 // at least 1 in a view
}

// Float64 returns the float64 that is nearest to a. The zero Average is 0.
func (a Average) Float64() float64 {
	const exact = 1 << 53 // up to here a float64 holds every integer
	switch {
	case a.Count == 0:
		return 0
	case a.Sum >= -exact && a.Sum <= exact && a.Count >= -exact && a.Count <= exact:
		return float64(a.Sum) / float64(a.Count)
	default:
		f, _ := big.NewRat(a.Sum, a.Count).Float64()
		return f
	}
}

// AverageBy groups the elements of in and takes the mean of of(e) over each group: one entry for every
// group that is not empty. An element counts once, whatever its weight. The mean is an exact fraction, so
// it does not depend on the order of arrival; a sum out of the range of int64 shows as with SumBy. by and
// of must be pure. A change costs O(1). It is an algebraic aggregate, made of a sum and a count ("Data Cube",
// Gray et al., 1997).
func AverageBy[K, E comparable, N Integer](name string, in Node[E], by func(E) K, of func(E) N) Node[Entry[K, Average]] {
	s := declare("average-by", name, in.spec)
	s.refuse(by == nil || of == nil, "one of its functions is nil")
	s.build = buildFold("AverageBy", by, false, func(*groupFold[K, E, Average]) group[E, Average] { return &mean[E, N]{sum[E, N]{of: of}} })
	return Node[Entry[K, Average]]{s}
}

// sum is a group that is added up.
type sum[E any, N Integer] struct {
	of    func(E) N
	total wide
	n     int64
}

func (s *sum[E, N]) enter(e E, _ *int64) {
	s.total = s.total.plus(widen(s.of(e)))
	s.n++
}

func (s *sum[E, N]) leave(e E, _ *int64) bool {
	s.total = s.total.minus(widen(s.of(e)))
	s.n--
	return s.n >= 0
}

func (s *sum[E, N]) empty() bool { return s.n == 0 }
func (s *sum[E, N]) value() N    { return narrow[N](s.total) }

type mean[E any, N Integer] struct{ sum[E, N] }

func (m *mean[E, N]) value() Average { return Average{narrow[int64](m.total), m.n} }

// wide is an integer of 128 bits in two's complement: no sum of fewer than 2⁶³ numbers leaves it.
type wide struct{ hi, lo uint64 }

func (w wide) plus(v wide) wide {
	lo, carry := bits.Add64(w.lo, v.lo, 0)
	hi, _ := bits.Add64(w.hi, v.hi, carry)
	return wide{hi, lo}
}

func (w wide) minus(v wide) wide {
	lo, borrow := bits.Sub64(w.lo, v.lo, 0)
	hi, _ := bits.Sub64(w.hi, v.hi, borrow)
	return wide{hi, lo}
}

func widen[N Integer](n N) wide {
	if n < 0 {
		return wide{math.MaxUint64, uint64(n)}
	}
	return wide{0, uint64(n)}
}

// narrow returns w if N holds it, else the end of N's range that is nearest.
func narrow[N Integer](w wide) N {
	if n := N(w.lo); widen(n) == w {
		return n
	}
	least, greatest := limits[N]()
	if int64(w.hi) < 0 {
		return least
	}
	return greatest
}

func limits[N Integer]() (least, greatest N) {
	if greatest = ^greatest; greatest > 0 { // all bits set: N has no sign
		return 0, greatest
	}
	least = 1
	for least > 0 {
		least <<= 1
	}
	return least, ^least
}
