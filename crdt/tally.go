package crdt

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// number names one number of a tally: whose it is, and which of the numbers that this actor has.
type number struct {
	of  Actor
	sub uint64
}

func (k number) compare(o number) int {
	if c := cmp.Compare(k.of, o.of); c != 0 {
		return c
	}
	return cmp.Compare(k.sub, o.sub)
}

type amount struct {
	number
	n uint64
}

// tally is what grow-only, bounded and resettable counters have in common: named numbers that only grow,
// joined by the larger of each. Sorted by name, none zero.
type tally []amount

func (t tally) find(k number) (int, bool) {
	if n := len(t); n == 0 || t[n-1].compare(k) < 0 {
		return n, false
	}
	return slices.BinarySearchFunc(t, k, func(a amount, k number) int { return a.compare(k) })
}

func (t tally) get(k number) uint64 {
	if i, ok := t.find(k); ok {
		return t[i].n
	}
	return 0
}

// raise makes the number at least n and returns by how much it grew.
func (t *tally) raise(k number, n uint64) (by uint64) {
	i, ok := t.find(k)
	switch {
	case n == 0:
		return 0
	case !ok:
		*t = slices.Insert(*t, i, amount{k, n})
		return n
	case n <= (*t)[i].n:
		return 0
	}
	by = n - (*t)[i].n
	(*t)[i].n = n
	return by
}

// join raises all that delta names and returns the amounts that were new; grew, which may be nil, hears of
// each by how much it grew.
func (t *tally) join(delta tally, grew func(k number, by uint64)) (novelty tally) {
	for _, a := range delta {
		by := t.raise(a.number, a.n)
		if by == 0 {
			continue
		}
		novelty = append(novelty, a)
		if grew != nil {
			grew(a.number, by)
		}
	}
	return novelty
}

func (t tally) lessOrEqual(o tally) bool {
	for _, a := range t {
		if a.n > o.get(a.number) {
			return false
		}
	}
	return true
}

func (t tally) hash() uint64 {
	var h uint64
	for _, a := range t {
		h += Dot{Actor(Dot{a.of, a.sub}.hash()), a.n}.hash()
	}
	return h
}

// of returns the amounts of one actor.
func (t tally) of(a Actor) tally {
	from, _ := t.find(number{of: a})
	to := from
	for to < len(t) && t[to].of == a {
		to++
	}
	return t[from:to]
}

// actors calls f with each actor's amounts, by actor, until f returns false.
func (t tally) actors(f func(Actor, tally) bool) {
	for len(t) > 0 {
		n := 1
		for n < len(t) && t[n].of == t[0].of {
			n++
		}
		if !f(t[0].of, t[:n:n]) {
			return
		}
		t = t[n:]
	}
}

// numActors counts the actors.
func (t tally) numActors() (n int) {
	for i := range t {
		if i == 0 || t[i].of != t[i-1].of {
			n++
		}
	}
	return n
}

// wide is a sum of 64-bit numbers that does not wrap around.
type wide struct{ hi, lo uint64 }

func (w *wide) add(n uint64) {
	var carry uint64
	w.lo, carry = bits.Add64(w.lo, n, 0)
	w.hi += carry
}

// minus returns w - o, 0 where o is larger and the largest number where the difference is beyond it.
func (w wide) minus(o wide) uint64 {
	lo, borrow := bits.Sub64(w.lo, o.lo, 0)
	hi, borrow := bits.Sub64(w.hi, o.hi, borrow)
	switch {
	case borrow != 0:
		return 0
	case hi != 0:
		return math.MaxUint64
	}
	return lo
}
