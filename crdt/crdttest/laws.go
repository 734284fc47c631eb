// Package crdttest states what every type of package crdt must obey, as property tests: the lattice laws,
// that a mutator equals joining its delta, that novelties are the smallest, that the order agrees with
// join, that encodings are canonical and digests repair. Who writes a lattice of his own runs [Laws] on it.
//
// Laws say nothing about what a state means: a type that loses every write converges too. Beside them goes
// a test against a specification; crdttest's own tests hold one for the set.
package crdttest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
)

// Subject is a lattice under test.
type Subject[L crdt.Lattice[L]] struct {
	// New returns the least state.
	New func() L
	// Begin is called once for each history. The function it returns applies a random mutator to the state
	// of one replica (0 … Replicas-1), which has that state as its only one, and returns the mutator's
	// delta; nil when it changed nothing.
	Begin func() func(t *rapid.T, replica int, state L) (delta L)
	// Append and Decode are the canonical encoding.
	Append func(b []byte, state L) []byte
	Decode func(b []byte) (L, error)
	// LooseDigest says that Since may answer more than is lacking, as long as it repairs.
	LooseDigest bool
}

// Replicas is how many replicas take part in a history.
const Replicas = 3

// history is a number of replicas' states and everything that they sent, all from one run: states that no
// history produces need not obey any law.
type history[L crdt.Lattice[L]] struct {
	states []L // of the replicas
	pool   []L // states and deltas on the way; never changed
}

func (s Subject[L]) run(t *rapid.T) history[L] {
	mutate := s.Begin()
	h := history[L]{pool: []L{s.New()}}
	for range Replicas {
		h.states = append(h.states, s.New())
	}
	steps := rapid.IntRange(1, 40).Draw(t, "steps")
	for range steps {
		i := rapid.IntRange(0, Replicas-1).Draw(t, "replica")
		switch rapid.IntRange(0, 4).Draw(t, "step") {
		case 0, 1, 2:
			before := h.states[i].Clone()
			delta := mutate(t, i, h.states[i])
			novelty := before.Join(delta)
			require.True(t, before.Equal(h.states[i]), "a mutator is not the join of its delta %v: %v, want %v", delta, before, h.states[i])
			require.True(t, novelty.Equal(delta), "a mutator's delta %v is not its novelty %v", delta, novelty)
			h.pool = append(h.pool, delta)
		case 3:
			h.pool = append(h.pool, h.states[i].Clone())
		case 4:
			d := h.draw(t, "joined")
			h.pool = append(h.pool, h.states[i].Join(d))
		}
	}
	for _, st := range h.states {
		h.pool = append(h.pool, st.Clone())
	}
	return h
}

func (h *history[L]) draw(t *rapid.T, label string) L {
	i := rapid.IntRange(0, len(h.pool)-1).Draw(t, label)
	return h.pool[i]
}

func join[L crdt.Lattice[L]](a, b L) L {
	c := a.Clone()
	c.Join(b)
	return c
}

// Laws checks all laws, each as a subtest.
func Laws[L crdt.Lattice[L]](t *testing.T, s Subject[L]) {
	t.Helper()
	check := func(name string, f func(t *rapid.T, h history[L])) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { f(t, s.run(t)) })
		})
	}
	check("join", s.joinLaws)
	check("order", s.orderLaws)
	check("novelty", s.noveltyLaws)
	check("encoding", s.encodingLaws)
	check("digest", s.digestLaws)
}

func (s Subject[L]) joinLaws(t *rapid.T, h history[L]) {
	a, b, c := h.draw(t, "a"), h.draw(t, "b"), h.draw(t, "c")
	same := func(x, y L, law string) {
		require.True(t, x.Equal(y), "%s: %v and %v, of a=%v b=%v c=%v", law, x, y, a, b, c)
		require.Equal(t, x.Hash(), y.Hash(), "%s: hashes of %v and %v", law, x, y)
	}
	same(join(a, b), join(b, a), "commutative")
	same(join(join(a, b), c), join(a, join(b, c)), "associative")
	same(join(a, a), a, "idempotent")
	same(join(a, s.New()), a, "the least state is neutral")
	same(join(s.New(), a), a, "joining into the least state")

	kept, bytes := a.Clone(), s.Append(nil, a)
	x := b.Clone()
	novelty := x.Join(a)
	mine := a.Clone()
	mine.Join(c)
	x.Join(c)
	require.Equal(t, bytes, s.Append(nil, a), "join changed its argument, or a clone shares with it")
	same(kept, a, "unchanged")
	_ = novelty
}

func (s Subject[L]) orderLaws(t *rapid.T, h history[L]) {
	a, b, c := h.draw(t, "a"), h.draw(t, "b"), h.draw(t, "c")
	ab := join(a, b)
	require.True(t, a.LessOrEqual(a), "reflexive: %v", a)
	require.True(t, s.New().LessOrEqual(a), "the least state is least: %v", a)
	require.True(t, a.LessOrEqual(ab) && b.LessOrEqual(ab), "join is an upper bound: %v of %v and %v", ab, a, b)
	require.Equal(t, a.LessOrEqual(b), ab.Equal(b), "a ≤ b means a ⊔ b = b: %v, %v", a, b)
	require.Equal(t, a.Equal(b), a.LessOrEqual(b) && b.LessOrEqual(a), "antisymmetric: %v, %v", a, b)
	if a.LessOrEqual(c) && b.LessOrEqual(c) {
		require.True(t, ab.LessOrEqual(c), "join is the least upper bound: %v, %v ≤ %v", a, b, c)
	}
	require.Equal(t, a.IsEmpty(), a.Equal(s.New()), "IsEmpty: %v", a)
}

func (s Subject[L]) noveltyLaws(t *rapid.T, h history[L]) {
	state, delta := h.draw(t, "state"), h.draw(t, "delta")
	after := state.Clone()
	novelty := after.Join(delta)
	require.True(t, join(state, novelty).Equal(after), "novelty %v of %v in %v", novelty, delta, state)
	require.Equal(t, delta.LessOrEqual(state), novelty.IsEmpty(), "novelty %v of %v in %v", novelty, delta, state)
	var none L
	require.Equal(t, any(novelty) == any(none), novelty.IsEmpty(), "no news is nil: %v", novelty)

	want, whole := s.New(), s.New()
	for _, part := range delta.Parts() {
		whole.Join(part)
		if !part.LessOrEqual(state) {
			want.Join(part)
		}
	}
	require.True(t, whole.Equal(delta), "the parts of %v make %v", delta, whole)
	require.True(t, novelty.Equal(want), "novelty of %v in %v is %v; the smallest is %v", delta, state, novelty, want)
	require.True(t, after.Join(delta).IsEmpty(), "joining twice brings news")
}

func (s Subject[L]) encodingLaws(t *rapid.T, h history[L]) {
	a, b := h.draw(t, "a"), h.draw(t, "b")
	prefix := []byte("prefix")
	enc := s.Append(prefix, a)
	require.Equal(t, "prefix", string(enc[:6]))
	enc = enc[6:]
	got, err := s.Decode(enc)
	require.NoError(t, err, "%v", a)
	require.True(t, got.Equal(a), "%v decoded as %v", a, got)
	require.Equal(t, a.Hash(), got.Hash())
	require.Equal(t, string(enc), string(s.Append(nil, got)))
	require.Equal(t, a.Equal(b), string(enc) == string(s.Append(nil, b)), "equal states have equal bytes: %v, %v", a, b)
	require.Equal(t, s.Append(nil, join(a, b)), s.Append(nil, join(b, a)))
	require.NotEmpty(t, fmt.Sprint(a))
	for cut := range enc { // what is cut short may decode, but only to what encodes so
		if part, err := s.Decode(enc[:cut]); err == nil {
			require.Equal(t, enc[:cut], s.Append([]byte{}, part))
		}
	}
}

func (s Subject[L]) digestLaws(t *rapid.T, h history[L]) {
	a, b := h.draw(t, "a").Clone(), h.draw(t, "b").Clone()
	since := func(x, y L) L {
		d, err := x.Since(y.Digest())
		require.NoError(t, err)
		require.True(t, d.LessOrEqual(x), "Since makes up %v of %v", d, x)
		return d
	}
	require.True(t, since(a, a).IsEmpty(), "an equal replica lacks nothing: %v", since(a, a))
	require.Equal(t, string(a.Digest()), string(a.Clone().Digest()))
	forB, forA := since(a, b), since(b, a)
	if !s.LooseDigest {
		require.True(t, b.Clone().Join(a).Equal(forB), "Since of %v for %v: %v", a, b, forB)
	}
	if forB.IsEmpty() && forA.IsEmpty() {
		require.True(t, a.Equal(b), "nothing to repair between %v and %v", a, b)
	}
	both := join(a, b)
	a.Join(forA)
	b.Join(forB)
	require.True(t, a.Equal(both) && b.Equal(both), "repaired to %v and %v, want %v", a, b, both)
}
