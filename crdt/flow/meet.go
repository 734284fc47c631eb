package flow

import "iter"

// Distinct is the collection of the elements of in, each with weight 1 however many supports it has. No
// operator needs it before it: folds and joins count an element once by themselves. It is for those who
// read weights, and to keep changes of weight from travelling on. A change costs O(1): it is the incremental
// distinct of "DBSP" (Budiu et al., VLDB 2023, section 4), which tells crossings of zero alone.
func Distinct[E comparable](name string, in Node[E]) Node[E] {
	s := declare("distinct", name, in.spec)
	s.build = buildStage(func() core[E, E] { return &distinct[E]{} })
	return Node[E]{s}
}

type distinct[E comparable] struct{ seen weights[E] }

func (d *distinct[E]) apply(in []Weighted[E], steps *int64) ([]Weighted[E], error) {
	if err := d.seen.admit(in); err != nil {
		return nil, err
	}
	var out []Weighted[E]
	for _, it := range in {
		*steps++
		if c := d.seen.cross(it.Elem, it.Weight); c != 0 {
			out = append(out, Weighted[E]{it.Elem, int64(c)})
		}
	}
	return out, nil
}

func (d *distinct[E]) kept() iter.Seq[Weighted[E]] { return d.seen.all() }

func (d *distinct[E]) all() iter.Seq[Weighted[E]] {
	return func(yield func(Weighted[E]) bool) {
		for e, w := range d.seen.of {
			if w > 0 && !yield(Weighted[E]{e, 1}) {
				return
			}
		}
	}
}

func (d *distinct[E]) len() int     { return d.seen.positive }
func (d *distinct[E]) entries() int { return len(d.seen.of) }

// Intersection is the collection of the elements that are in both a and b, each with weight 1. An element
// is there exactly while both hold it, whatever their supports: removing it on one side takes it out,
// adding it there again brings it back. A change costs O(1). In "DBSP" (Budiu et al., VLDB 2023, section 4) it
// is a join on the whole element; here, as in DifferenceNonMonotone, both inputs are held with their weights
// and only crossings are told, which needs no pairs.
func Intersection[E comparable](name string, a, b Node[E]) Node[E] {
	s := declare("intersection", name, a.spec, b.spec)
	s.build = buildDuo(func() pairing[E, E, E] {
		return newMeet(func(a, b bool) bool { return a && b }, func(m *meet[E]) int { return m.both })
	})
	return Node[E]{s}
}

// DifferenceNonMonotone is the collection of the elements that are in a and not in b, each with weight 1.
// A change costs O(1). It is the difference of Z-sets followed by a distinct of "DBSP" (Budiu et al., VLDB
// 2023, section 4), on inputs that are distinct themselves.
//
// It is not monotone: what is added to b takes elements out, and what is removed from b brings them in.
// What it promises: its view is that of a and b as far as it was told of them, and nothing else, so
// whoever was told the same, in whatever order, sees the same; and once both inputs are at rest the view
// is the difference. What it does not promise: that an element that is seen was in the difference of a
// and b at any one moment. While news of b is on its way the view holds elements that b has long had, so
// what cannot be taken back must not be done because an element is seen here. A [Gate] or a [Network],
// which apply both inputs at a common frontier, take away the part of this that comes from two ways of
// one source.
func DifferenceNonMonotone[E comparable](name string, a, b Node[E]) Node[E] {
	s := declare("difference-non-monotone", name, a.spec, b.spec)
	s.build = buildDuo(func() pairing[E, E, E] {
		return newMeet(func(a, b bool) bool { return a && !b }, func(m *meet[E]) int { return m.a.positive - m.both })
	})
	return Node[E]{s}
}

// meet holds whether each element is present on either side; in decides from that alone, and an element
// that is nowhere is out.
type meet[E comparable] struct {
	in   func(a, b bool) bool
	size func(*meet[E]) int
	a, b weights[E]
	both int // elements that are present on both sides
}

func newMeet[E comparable](in func(a, b bool) bool, size func(*meet[E]) int) *meet[E] {
	return &meet[E]{in: in, size: size}
}

func (m *meet[E]) left(in []Weighted[E], steps *int64) (out []Weighted[E], err error) {
	if err := m.a.admit(in); err != nil {
		return nil, err
	}
	for _, it := range in {
		*steps++
		if d := m.a.cross(it.Elem, it.Weight); d != 0 {
			*steps++
			there := m.b.of[it.Elem] > 0
			out = m.crossed(out, it.Elem, d, there, m.in(false, there), m.in(true, there))
		}
	}
	return out, nil
}

func (m *meet[E]) right(in []Weighted[E], steps *int64) (out []Weighted[E], err error) {
	if err := m.b.admit(in); err != nil {
		return nil, err
	}
	for _, it := range in {
		*steps++
		if d := m.b.cross(it.Elem, it.Weight); d != 0 {
			*steps++
			there := m.a.of[it.Elem] > 0
			out = m.crossed(out, it.Elem, d, there, m.in(there, false), m.in(there, true))
		}
	}
	return out, nil
}

// crossed appends what it means that e entered (d = +1) or left one side: absent and present say whether
// it is in the output while it is not, and while it is, on that side.
func (m *meet[E]) crossed(out []Weighted[E], e E, d int, there, absent, present bool) []Weighted[E] {
	if there {
		m.both += d
	}
	switch {
	case present && !absent:
		return append(out, Weighted[E]{e, int64(d)})
	case absent && !present:
		return append(out, Weighted[E]{e, int64(-d)})
	default:
		return out
	}
}

func (m *meet[E]) quiet(bool) {} // its output is no larger than its inputs

func (m *meet[E]) has(e E) bool { return m.in(m.a.of[e] > 0, m.b.of[e] > 0) }

func (m *meet[E]) keptLeft() iter.Seq[Weighted[E]]  { return m.a.all() }
func (m *meet[E]) keptRight() iter.Seq[Weighted[E]] { return m.b.all() }

func (m *meet[E]) all() iter.Seq[Weighted[E]] {
	return func(yield func(Weighted[E]) bool) {
		for e, w := range m.a.of {
			if w > 0 && m.in(true, m.b.of[e] > 0) && !yield(Weighted[E]{e, 1}) {
				return
			}
		}
	}
}

func (m *meet[E]) len() int     { return m.size(m) }
func (m *meet[E]) entries() int { return len(m.a.of) + len(m.b.of) }
