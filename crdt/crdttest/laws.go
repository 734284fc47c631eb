// Package crdttest states what every type of package crdt must obey, as property tests: the lattice laws,
// that a mutator equals joining its delta, that novelties are the smallest, that the order agrees with
// join, that encodings are canonical and digests repair, and that states, deltas and novelties share nothing
// that changes. Who writes a lattice of his own runs [Laws] on it, and [Drafts] when it has an Effect.
//
// Laws say nothing about what a state means: a type that loses every write converges too. Beside them goes
// a test against a specification; crdttest's own tests hold them for sets, flags, registers, maps and graphs,
// as random histories of replicas that crash and hear of things late, twice, out of order or never.
package crdttest

import (
	"bytes"
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

// missing says which function the subject lacks, "" when it has all.
func (s Subject[L]) missing() string {
	switch {
	case s.New == nil:
		return "Subject.New is nil: it returns the least state"
	case s.Begin == nil:
		return "Subject.Begin is nil: it returns what changes a state at random"
	case s.Append == nil:
		return "Subject.Append is nil: it appends the canonical encoding"
	case s.Decode == nil:
		return "Subject.Decode is nil: it reads the canonical encoding"
	}
	return ""
}

// counted returns the subject with mutators that count.
func (s Subject[L]) counted(n *effort) Subject[L] {
	begin := s.Begin
	s.Begin = func() func(*rapid.T, int, L) L {
		mutate := begin()
		return func(t *rapid.T, replica int, state L) L {
			n.tried++
			delta := mutate(t, replica, state)
			if !delta.IsEmpty() {
				n.made++
			}
			return delta
		}
	}
	return s
}

// effort counts mutators that were called, and those that changed something.
type effort struct{ tried, made int }

// enoughTries is how many calls of mutators say that no mutator ever changes anything.
const enoughTries = 100

// idle says what is wrong with laws that nothing was put to, "" when something was.
func (n effort) idle() string {
	if n.tried < enoughTries || n.made > 0 {
		return ""
	}
	return fmt.Sprintf("none of %d mutators changed anything, so the laws were put to the least state alone: "+
		"what Subject.Begin returns must change the state and return the delta", n.tried)
}

// Replicas is how many replicas take part in a history.
const Replicas = 3

// history is a number of replicas' states and everything that they sent, all from one run: states that no
// history produces need not obey any law.
type history[L crdt.Lattice[L]] struct {
	states []L    // of the replicas
	pool   []L    // states and deltas on the way; never changed
	shared string // what changed nevertheless, "" when nothing did
}

// told is a state or delta as it was when it was handed out.
type told[L crdt.Lattice[L]] struct {
	what  string
	state L
	bytes []byte
}

func (s Subject[L]) told(what string, state L) told[L] {
	return told[L]{what, state, s.Append(nil, state)}
}

// changed says which of all has changed since, "" when none has.
func (s Subject[L]) changed(all []told[L]) string {
	for _, x := range all {
		if now := s.Append(nil, x.state); !bytes.Equal(x.bytes, now) {
			return fmt.Sprintf("%s shares with a state and changed with it: encoded %x before, %x after, as %v", x.what, x.bytes, now, x.state)
		}
	}
	return ""
}

// sharing says what of a ⊔ b shares with what when both sides and the novelty change later, by c; "" when
// nothing does.
func (s Subject[L]) sharing(a, b, c L) string {
	x, mine := a.Clone(), b.Clone()
	novelty := x.Join(b)
	fixed := []told[L]{s.told("the argument of Join", b), s.told("a novelty", novelty)}
	mine.Join(c)
	x.Join(c)
	if problem := s.changed(fixed); problem != "" || novelty.IsEmpty() {
		return problem
	}
	fixed = []told[L]{s.told("the argument of Join", b), s.told("the state that told a novelty", x)}
	novelty.Join(c)
	return s.changed(fixed)
}

func (s Subject[L]) run(t *rapid.T) history[L] {
	mutate := s.Begin()
	h := history[L]{pool: []L{s.New()}}
	for range Replicas {
		h.states = append(h.states, s.New())
	}
	var sent []told[L]
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
			h.pool, sent = append(h.pool, delta), append(sent, s.told("a mutator's delta", delta))
		case 3:
			clone := h.states[i].Clone()
			h.pool, sent = append(h.pool, clone), append(sent, s.told("a clone", clone))
		case 4:
			novelty := h.states[i].Join(h.draw(t, "joined"))
			h.pool, sent = append(h.pool, novelty), append(sent, s.told("a novelty", novelty))
		}
	}
	h.shared = s.changed(sent)
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

// Laws checks all laws, each as a subtest. It fails when a function of the subject is missing, or when no
// mutator ever changed anything.
func Laws[L crdt.Lattice[L]](t *testing.T, s Subject[L]) {
	t.Helper()
	if missing := s.missing(); missing != "" {
		t.Fatal(missing)
	}
	check := func(name string, law func(Subject[L], *rapid.T, history[L])) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n effort
			counted := s.counted(&n)
			rapid.Check(t, func(t *rapid.T) {
				h := counted.run(t)
				require.Empty(t, h.shared)
				law(counted, t, h)
			})
			require.Empty(t, n.idle())
		})
	}
	check("join", Subject[L].joinLaws)
	check("order", Subject[L].orderLaws)
	check("novelty", Subject[L].noveltyLaws)
	check("encoding", Subject[L].encodingLaws)
	check("digest", Subject[L].digestLaws)
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

	kept := b.Clone()
	require.Empty(t, s.sharing(a, b, c), "of a=%v b=%v c=%v", a, b, c)
	same(kept, b, "unchanged")
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
	answers := []told[L]{s.told("an answer to a digest", forB), s.told("an answer to a digest", forA)}
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
	require.Empty(t, s.changed(answers))
}
