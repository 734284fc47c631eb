package crdttest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/internal/seeds"
)

// traced is a set beside who follows it by what its joins tell, and nothing else.
type traced[S crdt.Lattice[S]] struct {
	set    S
	mirror map[uint64]bool
	err    error
}

func (w *traced[S]) enter(e uint64) {
	if w.mirror[e] {
		w.err = errors.Join(w.err, fmt.Errorf("%d enters, and was there", e))
	}
	w.mirror[e] = true
}

func (w *traced[S]) leave(e uint64) {
	if !w.mirror[e] {
		w.err = errors.Join(w.err, fmt.Errorf("%d leaves, and was not there", e))
	}
	delete(w.mirror, e)
}

// tracing is a set type of which a mirror is kept: change makes a random delta without changing the state,
// join takes a delta and tells the mirror.
type tracing[S crdt.Lattice[S]] struct {
	new    func() S
	change func(r *rand.Rand, replica int, s S) S
	join   func(w *traced[S], delta S) S
	all    func(s S) []uint64
}

// requireTraces runs sets from a few elements to many blocks of them through changes, deltas in any order and
// repairs. After each step the mirror holds what the set holds, and the novelty alone makes the same.
func requireTraces[S crdt.Lattice[S]](t *testing.T, im tracing[S]) {
	t.Helper()
	t.Parallel()
	for seed := range seeds.Of(t, 20) {
		r := rand.New(rand.NewPCG(seed, 5))
		replicas := make([]*traced[S], Replicas)
		for i := range replicas {
			replicas[i] = &traced[S]{set: im.new(), mirror: map[uint64]bool{}}
		}
		deltas := []S{im.new()}
		for range 60 {
			i := r.IntN(Replicas)
			w := replicas[i]
			var delta S
			switch r.IntN(4) {
			case 0, 1:
				delta = im.change(r, i, w.set)
				deltas = append(deltas, delta)
			case 2:
				delta = deltas[r.IntN(len(deltas))]
			case 3:
				var err error
				delta, err = replicas[r.IntN(Replicas)].set.Since(w.set.Digest())
				require.NoError(t, err)
			}
			before := w.set.Clone()
			novelty := im.join(w, delta)
			require.NoError(t, w.err, "seed %d", seed)
			require.Equal(t, slices.Sorted(maps.Keys(w.mirror)), im.all(w.set), "seed %d", seed)
			require.True(t, novelty.LessOrEqual(delta))
			require.True(t, before.Join(novelty).Equal(novelty), "a novelty has nothing that was there")
			require.True(t, before.Equal(w.set))
		}
	}
}

func someOf(r *rand.Rand) []uint64 {
	es, spread := make([]uint64, r.IntN(40)), 3+r.Uint64N(600)
	for i := range es {
		es[i] = r.Uint64N(spread)
	}
	return es
}

func TestTracesOfRWSetTellWhatEntersAndLeaves(t *testing.T) {
	type set = *crdt.RWSet[uint64]
	ms := minters()
	requireTraces(t, tracing[set]{
		new: crdt.NewRWSet[uint64],
		change: func(r *rand.Rand, replica int, s set) set {
			m := *ms[replica]
			m.Next = s.Context().Max(m.Actor) // one replica, one actor, never set back
			return s.Prepare(crdt.RWSetOp[uint64]{Add: someOf(r), Remove: someOf(r)}).Effect(&m)
		},
		join: func(w *traced[set], delta set) set { return w.set.JoinTrace(delta, w.enter, w.leave) },
		all:  func(s set) []uint64 { return slices.Sorted(s.All()) },
	})
}

func TestTracesOfGSetTellWhatEnters(t *testing.T) {
	type set = *crdt.GSet[uint64]
	requireTraces(t, tracing[set]{
		new:    func() set { return crdt.NewGSet(Uints()) },
		change: func(r *rand.Rand, _ int, s set) set { return s.Clone().Add(someOf(r)...) },
		join:   func(w *traced[set], delta set) set { return w.set.JoinTrace(delta, w.enter) },
		all:    func(s set) []uint64 { return slices.Sorted(s.All()) },
	})
}

// A grow-only map names each key that changes once, before it does.
func TestTracesOfGMapTellWhichKeysChange(t *testing.T) {
	t.Parallel()
	for seed := range seeds.Of(t, 50) {
		r := rand.New(rand.NewPCG(seed, 6))
		m := crdt.NewGMap(Uints(), crdt.NewGCounter)
		var deltas []*crdt.GMap[uint64, *crdt.GCounter]
		for range 60 {
			actor := crdt.Actor(1 + r.IntN(3))
			deltas = append(deltas, m.Clone().Update(r.Uint64N(8), func(c *crdt.GCounter) *crdt.GCounter { return c.Add(actor, 1) }))
			delta := deltas[r.IntN(len(deltas))].Clone()
			delta.Join(deltas[r.IntN(len(deltas))])
			before, told := m.Clone(), map[uint64]int{}
			novelty := m.JoinTrace(delta, func(k uint64) {
				require.True(t, m.Equal(before), "seed %d: nothing has changed yet", seed)
				told[k]++
			})
			want := map[uint64]int{}
			for k := range novelty.All() {
				want[k] = 1
			}
			require.Equal(t, want, told, "seed %d", seed)
		}
		require.Nil(t, m.JoinTrace(m, func(uint64) { require.Fail(t, "it holds what it holds") }))
		require.Nil(t, m.JoinTrace(nil, nil))
	}
}

// A map of registers tells the values that come, then those that go.
func TestTracesOfRegisterMapTellWhatComesAndGoes(t *testing.T) {
	t.Parallel()
	m := crdt.NewRegisterMap(Strings(), Uints())
	var told []string
	join := func(change func(*crdt.RegisterMap[string, uint64])) {
		told = nil
		delta := crdt.NewRegisterMap(Strings(), Uints())
		change(delta)
		note := func(sign string) func(string, uint64) {
			return func(k string, v uint64) {
				now, ok := m.Get(k)
				told = append(told, fmt.Sprintf("%s%s%d now %d%t", sign, k, v, now, ok))
			}
		}
		novelty := m.JoinTrace(delta, note("+"), note("-"))
		require.True(t, m.Clone().Join(novelty).IsEmpty())
		require.Nil(t, m.JoinTrace(delta, note("again +"), note("again -")))
	}
	join(func(d *crdt.RegisterMap[string, uint64]) { d.Set(2, 1, "a", 1) })
	require.Equal(t, []string{"+a1 now 1true"}, told)
	join(func(d *crdt.RegisterMap[string, uint64]) { d.Set(3, 1, "a", 5) })
	require.Equal(t, []string{"+a5 now 5true", "-a1 now 5true"}, told)
	join(func(d *crdt.RegisterMap[string, uint64]) { d.Set(2, 9, "a", 7) })
	require.Empty(t, told, "it was written over before it came")
	join(func(d *crdt.RegisterMap[string, uint64]) { d.Remove(4, 1, "a"); d.Remove(4, 1, "b") })
	require.Equal(t, []string{"-a5 now 0false"}, told)
	join(func(d *crdt.RegisterMap[string, uint64]) { d.Set(1, 1, "b", 3) })
	require.Empty(t, told)
	require.Nil(t, m.JoinTrace(nil, nil, nil))
	require.Nil(t, m.JoinTrace(m, nil, nil))
}
