package flow

import "iter"

// CountBy groups the elements of in and counts each group's: one entry for every group that is not
// empty. An element counts once, whatever its weight. by must be pure. A change costs O(1).
//
// A count is a distributive aggregate with an inverse, in the terms of "Data Cube" (Gray et al., Data Mining and
// Knowledge Discovery 1, 1997), so it is kept by adding and subtracting; the old entry dies and the new one is
// born, as aggregates do in "DBSP" (Budiu et al., VLDB 2023).
func CountBy[K, E comparable](name string, in Node[E], by func(E) K) Node[Entry[K, int64]] {
	s := declare("count-by", name, in.spec)
	s.refuse(by == nil, "its function is nil")
	s.build = buildStage(func() core[E, Entry[K, int64]] {
		return &countBy[K, E]{by: by, counts: make(map[K]int64)}
	})
	return Node[Entry[K, int64]]{s}
}

type countBy[K, E comparable] struct {
	by     func(E) K
	seen   weights[E]  // distinct: who counts already
	counts map[K]int64 // positive only; the output is enumerated from it
}

func (c *countBy[K, E]) apply(in []Weighted[E], steps *int64) ([]Weighted[Entry[K, int64]], error) {
	if err := c.seen.admit(in); err != nil {
		return nil, err
	}
	before := make(map[K]int64) // of the groups that this batch touches
	for _, it := range in {
		*steps++
		d := c.seen.cross(it.Elem, it.Weight)
		if d == 0 {
			continue
		}
		*steps++
		k := c.by(it.Elem)
		mustFind(k, "CountBy")
		bump(c.counts, before, k, int64(d))
	}
	return replaced(c.counts, before, steps, func(k K) K { return k }), nil
}

// bump changes a count, which is absent while zero, and remembers what it was before the batch.
func bump[K comparable](counts, before map[K]int64, k K, by int64) {
	was := counts[k]
	if _, ok := before[k]; !ok {
		before[k] = was
	}
	if was+by == 0 {
		delete(counts, k)
	} else {
		counts[k] = was + by
	}
}

// replaced gives the old entry of each count that a batch changed to death and the new one to birth.
func replaced[I, K comparable](counts, before map[I]int64, steps *int64, key func(I) K) []Weighted[Entry[K, int64]] {
	var out []Weighted[Entry[K, int64]]
	for i, was := range before {
		*steps++
		is := counts[i]
		if is == was {
			continue
		}
		k := key(i)
		if was != 0 {
			out = append(out, Weighted[Entry[K, int64]]{Entry[K, int64]{k, was}, -1})
		}
		if is != 0 {
			out = append(out, Weighted[Entry[K, int64]]{Entry[K, int64]{k, is}, +1})
		}
	}
	return out
}

func (c *countBy[K, E]) kept() iter.Seq[Weighted[E]] { return c.seen.all() }

func (c *countBy[K, E]) all() iter.Seq[Weighted[Entry[K, int64]]] {
	return func(yield func(Weighted[Entry[K, int64]]) bool) {
		for k, n := range c.counts {
			if !yield(Weighted[Entry[K, int64]]{Entry[K, int64]{k, n}, 1}) {
				return
			}
		}
	}
}

func (c *countBy[K, E]) len() int     { return len(c.counts) }
func (c *countBy[K, E]) entries() int { return len(c.seen.of) + len(c.counts) }
