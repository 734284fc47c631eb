package crdt_test

import (
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/internal/seeds"
)

// A history of operations on three replicas, with deltas lost, late, doubled and grouped, repairs by digest,
// and crashes that take a replica back to its disk, where it goes on as a new actor. After each step the
// value is compared with what the operations mean that the replica has heard of: a set of them, as bits.
// The specification knows nothing of rows.

// did is one operation of a history. Numbers of one row are absolute, so that hearing of an addition is
// hearing of the earlier ones of the same actor and sign.
type did struct {
	actor crdt.Actor
	n     int64      // added
	to    crdt.Actor // given to, when n was given and not added
	ended uint64     // additions that a reset observed
}

type ledger []did

// before is op i and the earlier ones that its delta says too.
func (l ledger) before(i int, same func(a, b did) bool) (mask uint64) {
	for j := range i + 1 {
		if same(l[j], l[i]) {
			mask |= 1 << j
		}
	}
	return mask
}

func (l ledger) each(mask uint64, f func(i int, d did)) {
	for ; mask != 0; mask &= mask - 1 {
		i := bits.TrailingZeros64(mask)
		f(i, l[i])
	}
}

// sum adds up what was added and not ended by a reset that was heard of.
func (l ledger) sum(heard uint64) (sum int64) {
	var ended uint64
	l.each(heard, func(_ int, d did) { ended |= d.ended })
	l.each(heard&^ended, func(_ int, d did) {
		if d.to == 0 {
			sum += d.n
		}
	})
	return sum
}

type counterModel[L crdt.Lattice[L]] struct {
	new func() L
	// step performs a random operation as an actor. It returns the delta and what was done, nil when nothing.
	step func(r *rand.Rand, actor crdt.Actor, state L, l ledger, heard uint64) (L, []did, error)
	// same says whether the delta of b says a too.
	same func(a, b did) bool
	// check compares a state with what was heard; all is everything that was ever done.
	check func(state L, l ledger, heard, all uint64) error
	// reuse makes the mistake that a crashed owner goes on with its old row.
	reuse bool
	// forget makes the mistake that an operation takes effect before it is on disk.
	forget bool
}

func runCounter[L crdt.Lattice[L]](m counterModel[L], seed uint64) error {
	type copied struct {
		state L
		heard uint64
	}
	r := rand.New(rand.NewPCG(seed, 3))
	var (
		l        ledger
		replicas [3]copied
		disks    [3]copied
		actors   = [3]crdt.Actor{1, 2, 3}
		next     = crdt.Actor(4)
		messages []copied
		trail    []string
	)
	for i := range replicas {
		replicas[i], disks[i] = copied{state: m.new()}, copied{state: m.new()}
	}
	all := func() uint64 { return 1<<len(l) - 1 }
	check := func(i int) error {
		if err := m.check(replicas[i].state, l, replicas[i].heard, all()); err != nil {
			return fmt.Errorf("replica %d: %w, after %v", i, err, trail)
		}
		return nil
	}
	for range 5 + r.IntN(50) {
		i := r.IntN(3)
		at := &replicas[i]
		switch step := r.IntN(12); {
		case step <= 4 && len(l) < 60:
			delta, done, err := m.step(r, actors[i], at.state, l, at.heard)
			if err != nil {
				return fmt.Errorf("replica %d: %w, after %v", i, err, trail)
			}
			var says uint64
			for _, d := range done {
				l = append(l, d)
				trail = append(trail, fmt.Sprintf("%d: %+v", i, d))
				says |= l.before(len(l)-1, m.same)
			}
			at.heard |= says
			if !m.forget { // an owner keeps what it did before it tells
				disks[i].state.Join(delta)
				disks[i].heard |= says
			}
			messages = append(messages, copied{delta.Clone(), says})
		case step <= 7 && len(messages) > 0:
			msg := messages[r.IntN(len(messages))]
			trail = append(trail, fmt.Sprintf("%d hears %b", i, msg.heard))
			at.state.Join(msg.state)
			at.heard |= msg.heard
		case step == 8 && len(messages) > 1:
			a, b := messages[r.IntN(len(messages))], messages[r.IntN(len(messages))]
			group := copied{a.state.Clone(), a.heard | b.heard}
			group.state.Join(b.state)
			messages = append(messages, group)
		case step == 9:
			j := (i + 1 + r.IntN(2)) % 3
			lacking, err := replicas[j].state.Since(at.state.Digest())
			if err != nil {
				return err
			}
			trail = append(trail, fmt.Sprintf("%d repairs from %d", i, j))
			if lacking.Size() > 0 {
				at.state.Join(lacking)
			}
			at.heard |= replicas[j].heard
		case step == 10:
			disks[i] = copied{at.state.Clone(), at.heard}
		case step == 11:
			trail = append(trail, fmt.Sprintf("%d crashes", i))
			*at = copied{disks[i].state.Clone(), disks[i].heard}
			if m.forget && !m.reuse { // the rule for who may have lost a part of its row
				actors[i] = next
				next++
			}
		}
		if err := check(i); err != nil {
			return err
		}
	}
	for range 2 {
		for i := range replicas {
			for j := range replicas {
				replicas[i].state.Join(replicas[j].state)
				replicas[i].heard |= replicas[j].heard
			}
		}
	}
	for i := range replicas {
		if err := check(i); err != nil {
			return err
		}
	}
	return nil
}

func valueIs[V int64 | uint64](got V, want int64) error {
	if int64(got) != want {
		return fmt.Errorf("value %d, want %d", got, want)
	}
	return nil
}

func gcounterModel() counterModel[*crdt.GCounter] {
	return counterModel[*crdt.GCounter]{
		new: crdt.NewGCounter,
		step: func(r *rand.Rand, a crdt.Actor, c *crdt.GCounter, _ ledger, _ uint64) (*crdt.GCounter, []did, error) {
			n := 1 + r.Int64N(5)
			return c.Add(a, uint64(n)), []did{{actor: a, n: n}}, nil
		},
		same:  func(a, b did) bool { return a.actor == b.actor },
		check: func(c *crdt.GCounter, l ledger, heard, _ uint64) error { return valueIs(c.Value(), l.sum(heard)) },
	}
}

func lexModel() counterModel[*crdt.LexCounter] {
	return counterModel[*crdt.LexCounter]{
		new: crdt.NewLexCounter,
		step: func(r *rand.Rand, a crdt.Actor, c *crdt.LexCounter, _ ledger, _ uint64) (*crdt.LexCounter, []did, error) {
			n := r.Int64N(11) - 5
			if n == 0 {
				return nil, nil, nil
			}
			return c.Add(a, n), []did{{actor: a, n: n}}, nil
		},
		same:  func(a, b did) bool { return a.actor == b.actor },
		check: func(c *crdt.LexCounter, l ledger, heard, _ uint64) error { return valueIs(c.Value(), l.sum(heard)) },
	}
}

func resetModel() counterModel[*crdt.ResetCounter] {
	sameRow := func(a, b did) bool { return a.n != 0 && b.n != 0 && a.actor == b.actor && (a.n > 0) == (b.n > 0) }
	return counterModel[*crdt.ResetCounter]{
		new: crdt.NewResetCounter,
		step: func(r *rand.Rand, a crdt.Actor, c *crdt.ResetCounter, l ledger, heard uint64) (*crdt.ResetCounter, []did, error) {
			if n := r.Int64N(11) - 5; n != 0 && r.IntN(4) > 0 {
				return c.Add(a, n), []did{{actor: a, n: n}}, nil
			}
			// A reset ends all additions that were heard of, but names no row of which nothing is left.
			var gone, ended uint64
			l.each(heard, func(_ int, d did) { gone |= d.ended })
			l.each(heard&^gone, func(_ int, d did) {
				l.each(heard, func(j int, o did) {
					if sameRow(o, d) {
						ended |= 1 << j
					}
				})
			})
			delta := c.Reset()
			if (delta == nil) != (ended == 0) {
				return nil, nil, fmt.Errorf("reset gives %v, and additions %b are alive", delta, ended)
			}
			if delta == nil {
				return nil, nil, nil
			}
			return delta, []did{{ended: ended}}, nil
		},
		same:  func(a, b did) bool { return sameRow(a, b) || a.ended != 0 && a.ended == b.ended },
		check: func(c *crdt.ResetCounter, l ledger, heard, _ uint64) error { return valueIs(c.Value(), l.sum(heard)) },
	}
}

func boundedModel() counterModel[*crdt.BoundedCounter] {
	rights := func(l ledger, heard uint64, a crdt.Actor) (n int64) {
		l.each(heard, func(_ int, d did) {
			switch {
			case d.to == a:
				n += d.n
			case d.to != 0 && d.actor == a:
				n -= d.n
			case d.to == 0 && d.actor == a:
				n += d.n
			}
		})
		return n
	}
	return counterModel[*crdt.BoundedCounter]{
		new: crdt.NewBoundedCounter,
		step: func(r *rand.Rand, a crdt.Actor, c *crdt.BoundedCounter, l ledger, heard uint64) (delta *crdt.BoundedCounter, done []did, err error) {
			n, to := 1+r.Int64N(4), crdt.Actor(1+r.IntN(3))
			switch r.IntN(4) {
			case 0:
				return c.Inc(a, uint64(n)), []did{{actor: a, n: n}}, nil
			case 1, 2:
				delta, err = c.Dec(a, uint64(n))
				done = []did{{actor: a, n: -n}}
			default:
				if to == a {
					return nil, nil, nil
				}
				delta, err = c.Transfer(a, to, uint64(n))
				done = []did{{actor: a, n: n, to: to}}
			}
			have := max(0, rights(l, heard, a)) // a gift that was used may be lost with the memory
			if have >= n {
				return delta, done, err
			}
			var no *crdt.NoRights
			if !errors.As(err, &no) || int64(no.Have) != have || int64(no.Want) != n || delta != nil {
				return nil, nil, fmt.Errorf("%d of %d gives %v and error %v", n, have, delta, err)
			}
			return nil, nil, nil
		},
		same: func(a, b did) bool { return a.actor == b.actor && a.to == b.to && (a.n > 0) == (b.n > 0) },
		check: func(c *crdt.BoundedCounter, l ledger, heard, all uint64) error {
			if total := l.sum(all); total < 0 {
				return fmt.Errorf("%d more was decremented than incremented", -total)
			}
			for a, n := range c.All() {
				if want := max(0, rights(l, heard, a)); int64(n) != want {
					return fmt.Errorf("actor %d has rights to %d, want %d", a, n, want)
				}
			}
			return valueIs(c.Value(), max(0, l.sum(heard)))
		},
	}
}

const histories = 500

func requireMeaning[L crdt.Lattice[L]](t *testing.T, m counterModel[L]) {
	t.Helper()
	for seed := range seeds.Of(t, histories) {
		require.NoError(t, runCounter(m, seed), "seed %d", seed)
	}
	m.forget = true // rows are lost, and their owners go on as new actors
	for seed := range seeds.Of(t, histories) {
		require.NoError(t, runCounter(m, seed), "seed %d, forgetful", seed)
	}
}

func TestGCounterMeansItsAdditions(t *testing.T)      { t.Parallel(); requireMeaning(t, gcounterModel()) }
func TestLexCounterMeansItsAdditions(t *testing.T)    { t.Parallel(); requireMeaning(t, lexModel()) }
func TestResetCounterMeansObservedReset(t *testing.T) { t.Parallel(); requireMeaning(t, resetModel()) }
func TestBoundedCounterNeverOverspends(t *testing.T)  { t.Parallel(); requireMeaning(t, boundedModel()) }

func requireCaught[L crdt.Lattice[L]](t *testing.T, m counterModel[L]) {
	t.Helper()
	for seed := range seeds.UpTo(t, 10*histories) {
		if err := runCounter(m, seed); err != nil {
			t.Logf("seed %d: %v", seed, err)
			return
		}
	}
	t.Fatal("the oracle accepts it")
}

// TestCounterOracleFindsKnownWrongTurns makes each mistake and expects the oracle to object.
func TestCounterOracleFindsKnownWrongTurns(t *testing.T) {
	t.Parallel()
	t.Run("an owner that lost its row goes on with it", func(t *testing.T) {
		t.Parallel()
		m := boundedModel()
		m.forget, m.reuse = true, true
		requireCaught(t, m)
		g := gcounterModel()
		g.forget, g.reuse = true, true
		requireCaught(t, g)
	})
	t.Run("rights are taken from the value", func(t *testing.T) {
		t.Parallel()
		m := boundedModel()
		step := m.step
		m.step = func(r *rand.Rand, a crdt.Actor, c *crdt.BoundedCounter, l ledger, heard uint64) (*crdt.BoundedCounter, []did, error) {
			n := 1 + r.Int64N(4)
			if r.IntN(2) == 0 || int64(c.Value()) < n {
				return step(r, a, c, l, heard)
			}
			forged := c.Clone() // with rights that nobody gave
			forged.Inc(a, uint64(n))
			d, err := forged.Dec(a, uint64(n))
			if err != nil {
				return nil, nil, nil
			}
			c.Join(d)
			return d, []did{{actor: a, n: -n}}, nil
		}
		requireCaught(t, m)
	})
	t.Run("a reset forgets rows", func(t *testing.T) {
		t.Parallel()
		requireCaught(t, naiveResets(true))
	})
	t.Run("an amount below zero", func(t *testing.T) {
		t.Parallel() // giving -n is taking n from who was not asked
		m := boundedModel()
		step := m.step
		m.step = func(r *rand.Rand, a crdt.Actor, c *crdt.BoundedCounter, l ledger, heard uint64) (*crdt.BoundedCounter, []did, error) {
			victim := crdt.Actor(1 + r.IntN(3))
			if n := c.Rights(victim); victim != a && n > 0 && r.IntN(2) == 0 {
				d, err := c.Transfer(victim, a, n)
				return d, []did{{actor: victim, n: int64(n), to: a}}, err
			}
			return step(r, a, c, l, heard)
		}
		requireCaught(t, m)
	})
}
