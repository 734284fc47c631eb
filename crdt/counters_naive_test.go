package crdt_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/internal/seeds"
)

// naiveReset is the plainest resettable counter: every addition by itself, and the names of those that a
// reset has observed. With the mistake it is what released systems had inside of maps: rows that a reset
// throws away, joined by maximum.
type naiveReset struct {
	mistake bool
	adds    map[addition]int64
	ended   map[addition]bool
	rows    map[crdt.Actor][2]uint64 // of the mistaken one
}

type addition struct {
	actor crdt.Actor
	no    int
}

func newNaiveReset(mistake bool) *naiveReset {
	return &naiveReset{mistake, map[addition]int64{}, map[addition]bool{}, map[crdt.Actor][2]uint64{}}
}

func (c *naiveReset) add(a crdt.Actor, n int64) *naiveReset {
	d := newNaiveReset(c.mistake)
	if c.mistake {
		row := c.rows[a]
		if n > 0 {
			row[0] += uint64(n)
		} else {
			row[1] += uint64(-n)
		}
		d.rows[a] = row
	} else {
		no := 0
		for k := range c.adds {
			if k.actor == a {
				no = max(no, k.no+1)
			}
		}
		for k, v := range c.adds { // absolute rows: a delta says the earlier ones of its sign
			if k.actor == a && (v > 0) == (n > 0) {
				d.adds[k] = v
			}
		}
		d.adds[addition{a, no}] = n
	}
	c.Join(d)
	return d
}

func (c *naiveReset) reset() *naiveReset {
	d := newNaiveReset(c.mistake)
	if c.mistake {
		clear(c.rows)
		return d
	}
	for k := range c.adds {
		if !c.ended[k] {
			d.ended[k] = true
		}
	}
	c.Join(d)
	return d
}

func (c *naiveReset) value() (sum int64) {
	for k, n := range c.adds {
		if !c.ended[k] {
			sum += n
		}
	}
	for _, row := range c.rows {
		sum += int64(row[0] - row[1])
	}
	return sum
}

func (c *naiveReset) Join(d *naiveReset) *naiveReset {
	if d == nil {
		return nil
	}
	maps.Copy(c.adds, d.adds)
	maps.Copy(c.ended, d.ended)
	for a, row := range d.rows {
		mine := c.rows[a]
		c.rows[a] = [2]uint64{max(mine[0], row[0]), max(mine[1], row[1])}
	}
	return d
}

func (c *naiveReset) Clone() *naiveReset {
	if c == nil {
		return newNaiveReset(false)
	}
	return &naiveReset{c.mistake, maps.Clone(c.adds), maps.Clone(c.ended), maps.Clone(c.rows)}
}

func (c *naiveReset) Size() int {
	if c == nil {
		return 0
	}
	return 1
}

// A replica's digest is of no use here: the whole state is the answer.
func (c *naiveReset) Since([]byte) (*naiveReset, error) { return c.Clone(), nil }
func (c *naiveReset) Digest() []byte                    { return nil }
func (c *naiveReset) LessOrEqual(*naiveReset) bool      { panic("not asked for") }
func (c *naiveReset) Equal(*naiveReset) bool            { panic("not asked for") }
func (c *naiveReset) IsEmpty() bool                     { return c == nil }
func (c *naiveReset) Hash() uint64                      { panic("not asked for") }
func (c *naiveReset) Parts() []*naiveReset              { panic("not asked for") }
func (c *naiveReset) String() string                    { return fmt.Sprint(c.value()) }

func naiveResets(mistake bool) counterModel[*naiveReset] {
	sameRow := func(a, b did) bool { return a.n != 0 && b.n != 0 && a.actor == b.actor && (a.n > 0) == (b.n > 0) }
	return counterModel[*naiveReset]{
		new: func() *naiveReset { return newNaiveReset(mistake) },
		step: func(r *rand.Rand, a crdt.Actor, c *naiveReset, l ledger, heard uint64) (*naiveReset, []did, error) {
			if n := r.Int64N(11) - 5; n != 0 && r.IntN(4) > 0 {
				return c.add(a, n), []did{{actor: a, n: n}}, nil
			}
			var gone, ended uint64
			l.each(heard, func(_ int, d did) { gone |= d.ended })
			l.each(heard&^gone, func(i int, d did) {
				if d.n != 0 {
					ended |= 1 << i
				}
			})
			d := c.reset()
			if ended == 0 {
				return nil, nil, nil
			}
			return d, []did{{ended: ended}}, nil
		},
		same:  func(a, b did) bool { return sameRow(a, b) || a.ended != 0 && a.ended == b.ended },
		check: func(c *naiveReset, l ledger, heard, _ uint64) error { return valueIs(c.value(), l.sum(heard)) },
	}
}

// The model without the mistake is right, so that it is the mistake that the oracle finds.
func TestNaiveResetsAreRight(t *testing.T) {
	t.Parallel()
	for seed := range seeds.Of(t, 300) {
		require.NoError(t, runCounter(naiveResets(false), seed), "seed %d", seed)
	}
}
