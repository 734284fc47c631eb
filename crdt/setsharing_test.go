package crdt

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A delta that is new as a whole and the novelties that it brought stand in one slice: whatever is done to
// one of them, the others stay what they were.
func TestDeltasAndNoveltiesChangeAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		minters := []*Minter{{Actor: 1}, {Actor: 2}, {Actor: 3}}
		element := rapid.Uint64Range(0, 2*flatMax)
		some := func() []uint64 { return rapid.SliceOfN(element, 1, 4).Draw(t, "elements") }
		minter := func() *Minter { return rapid.SampledFrom(minters).Draw(t, "minter") }

		delta := SetOp[uint64]{Add: rapid.SliceOfNDistinct(element, 1, flatMax, rapid.ID[uint64]).Draw(t, "delta")}.Effect(minter())
		all := []*Set[uint64]{delta}
		said := [][]byte{delta.Append(nil, uintCodec())}
		for range rapid.IntRange(1, 20).Draw(t, "changes") {
			at := rapid.IntRange(0, len(all)-1).Draw(t, "at")
			s := all[at]
			switch rapid.IntRange(0, 4).Draw(t, "change") {
			case 0:
				s.Add(minter(), some()...)
			case 1:
				s.Remove(some()...)
			case 2:
				s.Join(SetOp[uint64]{Add: some()}.Effect(minter()))
			case 3:
				s.Clear()
			case 4:
				into := NewSet[uint64]()
				if rapid.Bool().Draw(t, "into many") {
					for e := range uint64(2 * flatMax) {
						into.Add(&Minter{Actor: Actor(9 + len(all)), Next: e}, 1000+e) // nobody has seen its dots
					}
				}
				all, said = append(all, into.Join(s), into), append(said, said[at], into.Append(nil, uintCodec()))
			}
			said[at] = s.Append(nil, uintCodec())
			for i, s := range all {
				require.Equal(t, said[i], s.Append(nil, uintCodec()), "set %d of %d after a change of %d", i, len(all), at)
				requireSound(t, s)
			}
		}
	})
}

// What a delta has room for behind its elements is the delta's alone.
func TestDeltaAndNoveltyGrowAlone(t *testing.T) {
	t.Parallel()
	m := &Minter{Actor: 1}
	delta := SetOp[uint64]{Add: []uint64{1, 2, 3}}.Effect(m)
	delta.Add(m, 4)
	require.Greater(t, cap(delta.live.flat()), len(delta.live.flat()), "there is room")
	one, two := NewSet[uint64]().Join(delta), NewSet[uint64]().Join(delta)
	delta.Add(m, 5)
	one.Add(m, 6)
	two.Add(m, 7)
	for e, s := range map[uint64]*Set[uint64]{5: delta, 6: one, 7: two} {
		requireSound(t, s)
		require.ElementsMatch(t, []uint64{1, 2, 3, 4, e}, slices.Collect(s.All()))
	}
}
