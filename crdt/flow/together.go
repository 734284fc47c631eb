package flow

import (
	"bytes"
	"iter"
	"slices"

	"github.com/martinelli-go/martinelli/crdt"
)

// CountTogether counts, for each unordered pair of different items, the groups that hold both: an
// element e of in says that group(e) holds item(e). There is one entry for every pair that some group
// holds, the lesser item by cmp first (of items for which cmp returns 0, that which makes the entry's
// encoding the lesser). A group holds an item once, however many elements and weights say so. group,
// item and cmp must be pure.
//
// It is the join of in with itself on the group, followed by a count by pair, in one operator, so that
// the pairs of each group are never stored, only their sums. An item that enters or leaves a group of g
// items costs O(g), which is the number of counts that it changes. Such counts are what recommendations from
// item to item begin with ("Amazon.com Recommendations", Linden, Smith, York, IEEE Internet Computing 7, 2003);
// join and count are those of "DBSP" (Budiu et al., VLDB 2023), with the distinct before them.
func CountTogether[G, I, E comparable](name string, in Node[E], group func(E) G, item func(E) I, cmp func(a, b I) int) Node[Entry[Pair[I, I], int64]] {
	s := declare("count-together", name, in.spec)
	s.refuse(group == nil || item == nil || cmp == nil, "one of its functions is nil")
	s.build = buildStage(func() core[E, Entry[Pair[I, I], int64]] {
		return &together[G, I, E]{
			group: group, item: item, cmp: cmp,
			numbers: make(map[I]uint32), groups: make(map[G][]member), counts: make(map[uint64]int64),
		}
	})
	return Node[Entry[Pair[I, I], int64]]{s}
}

// together numbers the items, so that what there is most of, the pairs, is a map between plain numbers.
type together[G, I, E comparable] struct {
	group func(E) G
	item  func(E) I
	cmp   func(a, b I) int
	codec crdt.Codec[Entry[Pair[I, I], int64]]

	seen    weights[E] // distinct
	numbers map[I]uint32
	items   []numbered[I] // by number
	free    []uint32      // numbers that nobody has
	groups  map[G][]member
	held    int              // sum of the sizes of all groups
	counts  map[uint64]int64 // by pairOf; the output is enumerated from it
}

type numbered[I any] struct {
	item   I
	groups int // how many hold it
}

// member is an item in a group; a group is sorted by number.
type member struct {
	number   uint32
	supports int // distinct elements that say so
}

// pairOf names an unordered pair of numbers.
func pairOf(a, b uint32) uint64 { return uint64(min(a, b))<<32 | uint64(max(a, b)) }

func (t *together[G, I, E]) bind(_ crdt.Codec[E], out crdt.Codec[Entry[Pair[I, I], int64]]) {
	t.codec = out
}

func (t *together[G, I, E]) apply(in []Weighted[E], steps *int64) ([]Weighted[Entry[Pair[I, I], int64]], error) {
	if err := t.seen.admit(in); err != nil {
		return nil, err
	}
	before := make(map[uint64]int64) // of the pairs that this batch touches
	var gone []uint32                // items that left their last group, at least for a while
	for _, it := range in {
		*steps++
		switch t.seen.cross(it.Elem, it.Weight) {
		case +1:
			t.enter(it.Elem, before, steps)
		case -1:
			gone = t.leave(it.Elem, before, gone, steps)
		}
	}
	out := replaced(t.counts, before, steps, t.pair)
	// Numbers are given back only now, because the pairs that died are named by them.
	for _, n := range gone {
		t.release(n)
	}
	return out, nil
}

func (t *together[G, I, E]) enter(e E, before map[uint64]int64, steps *int64) {
	*steps += 2
	g, i := t.group(e), t.item(e)
	mustFind(g, "CountTogether")
	mustFind(i, "CountTogether")
	n := t.number(i)
	members := t.groups[g]
	at, found := find(members, n)
	if found {
		members[at].supports++
		return
	}
	t.count(members, n, +1, before, steps)
	t.groups[g] = slices.Insert(members, at, member{n, 1})
	t.held++
	t.items[n].groups++
}

func (t *together[G, I, E]) leave(e E, before map[uint64]int64, gone []uint32, steps *int64) []uint32 {
	*steps += 2
	g := t.group(e)
	n, known := t.numbers[t.item(e)]
	members := t.groups[g]
	at, found := find(members, n)
	if !known || !found {
		panic(notPure("CountTogether"))
	}
	if members[at].supports > 1 {
		members[at].supports--
		return gone
	}
	members = slices.Delete(members, at, at+1)
	t.count(members, n, -1, before, steps)
	if len(members) == 0 {
		delete(t.groups, g)
	} else {
		t.groups[g] = members
	}
	t.held--
	if t.items[n].groups--; t.items[n].groups == 0 {
		gone = append(gone, n)
	}
	return gone
}

// count changes the counts of the pairs of n with each of others.
func (t *together[G, I, E]) count(others []member, n uint32, by int64, before map[uint64]int64, steps *int64) {
	*steps += int64(len(others))
	for _, m := range others {
		bump(t.counts, before, pairOf(n, m.number), by)
	}
}

func find(members []member, n uint32) (int, bool) {
	return slices.BinarySearchFunc(members, n, func(m member, n uint32) int {
		return int(int64(m.number) - int64(n))
	})
}

// number returns the number of i, giving it one when it has none.
func (t *together[G, I, E]) number(i I) uint32 {
	if n, ok := t.numbers[i]; ok {
		return n
	}
	n := uint32(len(t.items))
	if last := len(t.free) - 1; last >= 0 {
		n, t.free = t.free[last], t.free[:last]
		t.items[n].item = i
	} else {
		t.items = append(t.items, numbered[I]{item: i})
	}
	t.numbers[i] = n
	return n
}

// release gives n back unless its item came back within the batch, or n was given back already.
func (t *together[G, I, E]) release(n uint32) {
	if int(n) >= len(t.items) {
		return
	}
	i := t.items[n].item
	if m, ok := t.numbers[i]; !ok || m != n || t.items[n].groups > 0 {
		return
	}
	delete(t.numbers, i)
	t.items[n] = numbered[I]{}
	if len(t.numbers) == 0 {
		t.items, t.free = nil, nil
		return
	}
	t.free = append(t.free, n)
}

// pair returns the items of a pair in their order.
func (t *together[G, I, E]) pair(p uint64) Pair[I, I] {
	ab := Pair[I, I]{t.items[p>>32].item, t.items[uint32(p)].item}
	ba := Pair[I, I]{ab.B, ab.A}
	c := t.cmp(ab.A, ab.B)
	if c == 0 {
		c = bytes.Compare(
			t.codec.Append(nil, Entry[Pair[I, I], int64]{Key: ab}),
			t.codec.Append(nil, Entry[Pair[I, I], int64]{Key: ba}))
	}
	if c > 0 {
		return ba
	}
	return ab
}

func (t *together[G, I, E]) kept() iter.Seq[Weighted[E]] { return t.seen.all() }

func (t *together[G, I, E]) all() iter.Seq[Weighted[Entry[Pair[I, I], int64]]] {
	return func(yield func(Weighted[Entry[Pair[I, I], int64]]) bool) {
		for p, n := range t.counts {
			if !yield(Weighted[Entry[Pair[I, I], int64]]{Entry[Pair[I, I], int64]{t.pair(p), n}, 1}) {
				return
			}
		}
	}
}

func (t *together[G, I, E]) len() int { return len(t.counts) }

func (t *together[G, I, E]) entries() int {
	return len(t.seen.of) + len(t.numbers) + t.held + len(t.counts)
}
