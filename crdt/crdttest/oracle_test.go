package crdttest

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/internal/seeds"
)

// The oracle runs a set through a history and compares its value, after each step, with what the meaning
// of "add wins" says of the operations that the replica has heard of, and of what each of these had heard
// of when it was made. It knows nothing of dots.

const oracleElements = 4

// operation is one add or remove of a history. Operations are numbered, and sets of them are bit sets.
type operation struct {
	add      bool
	elements uint64 // bit set: one for an add, any number for a remove
	seen     uint64 // operations that its replica had heard of
	observed uint64 // adds of its elements that were alive there
}

type oracle struct{ ops []operation }

// alive returns the adds of heard that no operation of heard had observed and thereby ended.
func (o *oracle) alive(heard uint64) uint64 {
	var adds, ended uint64
	for h := heard; h != 0; h &= h - 1 {
		i := bits.TrailingZeros64(h)
		if o.ops[i].add {
			adds |= 1 << i
		}
		ended |= o.ops[i].observed
	}
	return adds &^ ended
}

func (o *oracle) of(adds, elements uint64) (some uint64) {
	for a := adds; a != 0; a &= a - 1 {
		if i := bits.TrailingZeros64(a); o.ops[i].elements&elements != 0 {
			some |= 1 << i
		}
	}
	return some
}

func (o *oracle) perform(add bool, elements, heard uint64) (number int) {
	o.ops = append(o.ops, operation{add, elements, heard, o.of(o.alive(heard), elements)})
	return len(o.ops) - 1
}

// value returns the elements of the adds that are alive.
func (o *oracle) value(heard uint64) (value uint64) {
	for a := o.alive(heard); a != 0; a &= a - 1 {
		value |= o.ops[bits.TrailingZeros64(a)].elements
	}
	return value
}

// textbook is the usual definition: an element is in when some add of it was seen by no remove of it. It
// speaks of causal delivery, where whoever heard of an operation has heard of all that it had heard of; ok
// says whether that was so here, and at the making of each operation.
func (o *oracle) textbook(heard uint64) (value uint64, ok bool) {
	for i, a := range o.ops {
		if heard&(1<<i) == 0 {
			continue
		}
		if !o.closed(heard) || !o.closed(a.seen) {
			return 0, false
		}
		if !a.add {
			continue
		}
		removed := false
		for j, r := range o.ops {
			removed = removed || heard&(1<<j) != 0 && !r.add && r.elements&a.elements != 0 && r.seen&(1<<i) != 0
		}
		if !removed {
			value |= a.elements
		}
	}
	return value, true
}

func (o *oracle) closed(heard uint64) bool {
	for h := heard; h != 0; h &= h - 1 {
		if o.ops[bits.TrailingZeros64(h)].seen&^heard != 0 {
			return false
		}
	}
	return true
}

// subjectSet is a set that the oracle can drive; S is a mutable state, and the deltas are such states too.
type subjectSet[S any] struct {
	new    func() S
	add    func(s S, m *crdt.Minter, e uint64) S
	remove func(s S, es []uint64) S
	join   func(s, delta S)
	clone  func(s S) S
	since  func(from, to S) S
	value  func(s S) ([]uint64, error)
}

type heardState[S any] struct {
	state S
	heard uint64
}

// runOracle drives a history that draw chooses and returns the first contradiction.
func runOracle[S any](im subjectSet[S], draw func(label string, n int) int) error {
	type repair struct {
		to int
		heardState[S]
	}
	var (
		o        oracle
		replicas [Replicas]heardState[S]
		disks    [Replicas]heardState[S]
		ms       = minters()
		messages []heardState[S]
		repairs  []repair
		trail    []string
	)
	for i := range replicas {
		replicas[i] = heardState[S]{state: im.new()}
		disks[i] = heardState[S]{state: im.new()}
	}
	check := func(i int) error {
		got, err := im.value(replicas[i].state)
		if err != nil {
			return fmt.Errorf("replica %d: %w, after %v", i, err, trail)
		}
		want := elementsOf(o.value(replicas[i].heard))
		if !slices.Equal(got, want) {
			return fmt.Errorf("replica %d holds %v, want %v, after %v", i, got, want, trail)
		}
		if book, ok := o.textbook(replicas[i].heard); ok && !slices.Equal(elementsOf(book), want) {
			return fmt.Errorf("the specifications differ: %v and %v, after %v", elementsOf(book), want, trail)
		}
		return nil
	}
	fix := func(from, to int) {
		im.join(replicas[to].state, im.since(replicas[from].state, replicas[to].state))
		replicas[to].heard |= replicas[from].heard
	}

	for steps := 5 + draw("steps", 45); steps > 0; steps-- {
		i := draw("replica", Replicas)
		r := &replicas[i]
		switch step := draw("step", 13); {
		case step <= 3:
			e := draw("element", oracleElements)
			trail = append(trail, fmt.Sprintf("%d adds %d", i, e))
			delta := im.add(r.state, ms[i], uint64(e))
			n := o.perform(true, 1<<e, r.heard)
			r.heard |= 1 << n
			messages = append(messages, heardState[S]{im.clone(delta), 1 << n})
		case step <= 5:
			mask := uint64(1 + draw("elements", 1<<oracleElements-1))
			trail = append(trail, fmt.Sprintf("%d removes %v", i, elementsOf(mask)))
			delta := im.remove(r.state, elementsOf(mask))
			n := o.perform(false, mask, r.heard)
			r.heard |= 1 << n
			messages = append(messages, heardState[S]{im.clone(delta), 1 << n})
		case step <= 8 && len(messages) > 0: // any order, again and again, or never
			m := messages[draw("message", len(messages))]
			trail = append(trail, fmt.Sprintf("%d hears %b", i, m.heard))
			im.join(r.state, m.state)
			r.heard |= m.heard
		case step == 9 && len(messages) > 1: // grouped
			a, b := messages[draw("a", len(messages))], messages[draw("b", len(messages))]
			group := im.clone(a.state)
			im.join(group, b.state)
			messages = append(messages, heardState[S]{group, a.heard | b.heard})
		case step == 10: // a repair, whose answer may be late
			j := (i + 1 + draw("other", Replicas-1)) % Replicas
			trail = append(trail, fmt.Sprintf("%d answers %d's digest", i, j))
			repairs = append(repairs, repair{j, heardState[S]{im.clone(im.since(r.state, replicas[j].state)), r.heard}})
		case step == 11 && len(repairs) > 0:
			k := draw("repair", len(repairs))
			i = repairs[k].to
			trail = append(trail, fmt.Sprintf("%d repairs", i))
			im.join(replicas[i].state, repairs[k].state)
			replicas[i].heard |= repairs[k].heard
		case step == 12: // to disk, or back to what the disk has: then answers on their way are void
			if draw("crash", 2) == 0 {
				disks[i] = heardState[S]{im.clone(r.state), r.heard}
				break
			}
			trail = append(trail, fmt.Sprintf("%d crashes", i))
			*r = heardState[S]{im.clone(disks[i].state), disks[i].heard}
			repairs = slices.DeleteFunc(repairs, func(p repair) bool { return p.to == i })
		}
		if err := check(i); err != nil {
			return err
		}
	}
	trail = append(trail, "all repair")
	for range 2 {
		for i := range replicas {
			for j := range replicas {
				if i != j {
					fix(i, j)
				}
			}
		}
	}
	for i := range replicas {
		if err := check(i); err != nil {
			return err
		}
		if replicas[i].heard != replicas[0].heard {
			return fmt.Errorf("replica %d has not heard of all", i)
		}
	}
	return nil
}

func elementsOf(mask uint64) []uint64 {
	es := []uint64{}
	for ; mask != 0; mask &= mask - 1 {
		es = append(es, uint64(bits.TrailingZeros64(mask)))
	}
	return es
}

func TestSetMeansAddWins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		err := runOracle(compared(), func(label string, n int) int { return rapid.IntRange(0, n-1).Draw(t, label) })
		require.NoError(t, err)
	})
}

func random(seed uint64) func(string, int) int {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(_ string, n int) int { return r.IntN(n) }
}

// TestSetMeansAddWinsLong uses a plain generator, which reaches deeper than rapid's small cases.
func TestSetMeansAddWinsLong(t *testing.T) {
	t.Parallel()
	for seed := range seeds.Of(t, 3000) {
		require.NoError(t, runOracle(compared(), random(seed)), "seed %d", seed)
	}
}

// TestOracleFindsKnownWrongTurns makes each mistake in the naive model and expects the oracle to object: a
// checker that never failed is not believed.
func TestOracleFindsKnownWrongTurns(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]mistakes{
		"a vector in place of a context":             {vector: true},
		"deltas that carry the whole context":        {wholeContext: true},
		"answers that carry the whole context":       {wholeAnswer: true},
		"present on both sides stays":                {bothSides: true},
		"the state with the larger context is taken": {dominating: true},
		"dots minted from the context":               {mintFromContext: true},
		"digests of the context alone":               {contextDigest: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds.UpTo(t, 200_000) {
				if err := runOracle(naiveSubject(m), random(seed)); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Fatal("the oracle accepts it")
		})
	}
	for seed := range seeds.Of(t, 1000) { // and nothing is wrong with the model without them
		require.NoError(t, runOracle(naiveSubject(mistakes{}), random(seed)), "seed %d", seed)
	}
}
