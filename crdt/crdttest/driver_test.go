package crdttest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/internal/seeds"
)

// What the oracles have in common is here: random histories of a few replicas, and how a test holds a type
// against many. What a history's operations are, and what they mean, is each oracle's own.

// replicated is a type whose replicas can be driven; S is a mutable state, and the deltas are such states too.
type replicated[S any] struct {
	new   func() S
	join  func(s, delta S)
	clone func(s S) S
	since func(from, to S) S
}

// choose draws one of 0 … n-1.
type choose func(label string, n int) int

// heardState is a state, or a delta, and the operations that it has heard of: a bit for each, by its number.
type heardState[S any] struct {
	state S
	heard uint64
}

// driver drives one history.
type driver[S any] struct {
	replicated[S]
	// perform draws an operation and performs it on r. Its number in the history is that of those before it.
	perform func(r heardState[S], m *crdt.Minter, draw choose) (delta S, what string)
	// check says what is wrong with a replica's value after the operations that it has heard of.
	check func(r heardState[S]) error

	replicas, disks [Replicas]heardState[S]
	messages        []heardState[S]
	repairs         []repair[S] // that are on their way
	performed       int
	trail           []string
}

type repair[S any] struct {
	to int
	heardState[S]
}

// run drives a history that draw chooses and returns the first contradiction.
func (d *driver[S]) run(draw choose) error {
	for i := range Replicas {
		d.replicas[i].state, d.disks[i].state = d.new(), d.new()
	}
	ms := minters()
	for steps := 5 + draw("steps", 45); steps > 0; steps-- {
		if err := d.checked(d.step(draw, ms)); err != nil {
			return err
		}
	}
	d.trail = append(d.trail, "all repair")
	for range 2 {
		for i := range Replicas {
			for j := range Replicas {
				if i != j {
					d.hear(j, d.answer(i, j))
				}
			}
		}
	}
	for i, r := range d.replicas {
		if err := d.checked(i); err != nil {
			return err
		}
		if r.heard != d.replicas[0].heard {
			return fmt.Errorf("replica %d has not heard of all", i)
		}
	}
	return nil
}

// step does one thing and returns which replica it was done to.
func (d *driver[S]) step(draw choose, ms []*crdt.Minter) (at int) {
	i := draw("replica", Replicas)
	r := &d.replicas[i]
	tell := func(format string, args ...any) {
		d.trail = append(d.trail, fmt.Sprint(i, " ", fmt.Sprintf(format, args...)))
	}
	switch step := draw("step", 13); {
	case step <= 5:
		delta, what := d.perform(*r, ms[i], draw)
		tell("%s", what)
		bit := uint64(1) << d.performed
		d.performed++
		r.heard |= bit
		d.messages = append(d.messages, heardState[S]{d.clone(delta), bit})
	case step <= 8 && len(d.messages) > 0: // any order, again and again, or never
		m := d.messages[draw("message", len(d.messages))]
		tell("hears %b", m.heard)
		d.hear(i, m)
	case step == 9 && len(d.messages) > 1: // grouped
		a, b := d.messages[draw("a", len(d.messages))], d.messages[draw("b", len(d.messages))]
		group := d.clone(a.state)
		d.join(group, b.state)
		d.messages = append(d.messages, heardState[S]{group, a.heard | b.heard})
	case step == 10: // a repair, whose answer may be late
		j := (i + 1 + draw("other", Replicas-1)) % Replicas
		tell("answers %d's digest", j)
		answer := d.answer(i, j)
		d.repairs = append(d.repairs, repair[S]{j, heardState[S]{d.clone(answer.state), answer.heard}})
	case step == 11 && len(d.repairs) > 0:
		late := d.repairs[draw("repair", len(d.repairs))]
		i = late.to
		tell("repairs")
		d.hear(i, late.heardState)
	case step == 12: // to disk, or back to what the disk has: then answers on their way are void
		if draw("crash", 2) == 0 {
			d.disks[i] = heardState[S]{d.clone(r.state), r.heard}
			break
		}
		tell("crashes")
		*r = heardState[S]{d.clone(d.disks[i].state), d.disks[i].heard}
		d.repairs = slices.DeleteFunc(d.repairs, func(p repair[S]) bool { return p.to == i })
	}
	return i
}

// answer is what from answers to's digest.
func (d *driver[S]) answer(from, to int) heardState[S] {
	return heardState[S]{d.since(d.replicas[from].state, d.replicas[to].state), d.replicas[from].heard}
}

func (d *driver[S]) hear(i int, m heardState[S]) {
	d.join(d.replicas[i].state, m.state)
	d.replicas[i].heard |= m.heard
}

func (d *driver[S]) checked(i int) error {
	if err := d.check(d.replicas[i]); err != nil {
		return fmt.Errorf("replica %d: %w, after %v", i, err, d.trail)
	}
	return nil
}

// drawnBy lets rapid choose, which makes a history that fails a short one.
func drawnBy(t *rapid.T) choose {
	return func(label string, n int) int { return rapid.IntRange(0, n-1).Draw(t, label) }
}

// random is a plain generator, which reaches deeper than rapid's small cases.
func random(seed uint64) choose {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(_ string, n int) int { return r.IntN(n) }
}

// holds runs histories small and long, and fails at the first contradiction.
func holds(t *testing.T, long int, run func(draw choose) error) {
	t.Helper()
	t.Run("small", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) { require.NoError(t, run(drawnBy(t))) })
	})
	t.Run("long", func(t *testing.T) {
		t.Parallel()
		holdsLong(t, long, run)
	})
}

// holdsLong is holds without the small ones, for what was written to be right.
func holdsLong(t *testing.T, n int, run func(draw choose) error) {
	t.Helper()
	for seed := range seeds.Of(t, n) {
		require.NoError(t, run(random(seed)), "seed %d", seed)
	}
}

// contradicted expects some history to contradict what was written to be wrong: a checker that never failed
// is not believed.
func contradicted(t *testing.T, run func(draw choose) error) {
	t.Helper()
	for seed := range seeds.UpTo(t, 200_000) {
		if err := run(random(seed)); err != nil {
			t.Logf("seed %d: %v", seed, err)
			return
		}
	}
	t.Fatal("the oracle accepts it")
}
