// Package register is what the program chaos runs on: registers whose histories can be checked, with a
// journal of every turn, and variables that lose nothing.
package register

import (
	"context"
	"fmt"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn"
)

//go:generate go tool grainc .

// Key names a register.
type Key string

// Op names one call of a client, ever; a write leaves it in the register as the value.
type Op int64

// Life names one activation of one register: no two have the same.
type Life struct {
	Silo       int64 `json:"silo"`       // which of the silos, from 1
	Run        int64 `json:"run"`        // its incarnation: when this run of its process began, in nanoseconds
	Activation int64 `json:"activation"` // counts the activations of this run
}

// Seen is what a turn answers.
type Seen struct {
	By      Life
	Value   int64 // before the turn, for CompareAndSet; else after it
	Seq     int64 // counts the values that the register has had
	Swapped bool  // CompareAndSet has written, as Write always does
}

// Cell is a register's state. It says who wrote it.
type Cell struct {
	Value int64
	Seq   int64
	By    Life
}

// Added and Counted are variables that clients change beside the registers.
var (
	Added   = variable.By[Key](variable.Set[int64]("chaos.added"))
	Counted = variable.By[Key](variable.Counter("chaos.counted"))
)

// Register holds a number; its first is 0.
type Register interface {
	grains.Keyed[Key]
	// Read returns the value, in an atomic block.
	//grain:readonly
	Read(ctx context.Context, op Op) (Seen, error)
	// Write replaces the value by op, in an atomic block.
	Write(ctx context.Context, op Op) (Seen, error)
	// CompareAndSet replaces the value by op if it is old, in an atomic block.
	CompareAndSet(ctx context.Context, op Op, old int64) (Seen, error)
	// Touch is a plain turn: what it says of its activation is all that it says, and nothing but there
	// being one activation at a time makes it true.
	Touch(ctx context.Context, op Op) (Seen, error)
	// Relay is a plain turn whose effect is elsewhere: it lets another register Take op.
	Relay(ctx context.Context, op Op, to Key) (Seen, error)
	// Take notes that an activation of from, by, has relayed op. That one which has been followed by
	// another is not heard any more is for the hosts to see to.
	Take(ctx context.Context, op Op, from Key, by Life) (Seen, error)
}

type register struct {
	grains.Implements[Register]
	journal *Journal
	life    Life
	cell    txn.State[Cell]
}

func newRegister(j *Journal) *register { return &register{journal: j, life: j.activated()} }

// noted journals a turn.
func (r *register) noted(ctx context.Context, op Op, kind Kind, turn func() (Seen, error)) (Seen, error) {
	t := Turn{Key: r.Key(), Op: op, Kind: kind, Life: r.life, Start: Now()}
	seen, err := turn()
	t.Seq, t.Wrote, t.Effective, t.End = seen.Seq, seen.Swapped, err == nil && wire.BlockOf(ctx) == nil, Now()
	r.journal.note(t)
	return seen, err
}

// change runs f on the state in an atomic block. f says whether it wrote.
func (r *register) change(ctx context.Context, kind Kind, f func(c *Cell) bool) (Seen, error) {
	return txn.AtomicValue(ctx, r, func(ctx context.Context) (Seen, error) {
		c, err := r.cell.Read(ctx)
		if err != nil {
			return Seen{}, err
		}
		r.journal.middle(kind)
		before := c.Value
		if !f(&c) {
			return Seen{By: r.life, Value: before, Seq: c.Seq}, nil
		}
		c.Seq, c.By = c.Seq+1, r.life
		err = r.cell.Update(ctx, func(to *Cell) error { *to = c; return nil })
		return Seen{By: r.life, Value: before, Seq: c.Seq, Swapped: true}, err
	})
}

func (r *register) Read(ctx context.Context, op Op) (Seen, error) {
	return r.noted(ctx, op, Read, func() (Seen, error) {
		return r.change(ctx, Read, func(*Cell) bool { return false })
	})
}

func (r *register) Write(ctx context.Context, op Op) (Seen, error) {
	return r.noted(ctx, op, Write, func() (Seen, error) {
		seen, err := r.change(ctx, Write, func(c *Cell) bool { c.Value = int64(op); return true })
		seen.Value = int64(op)
		return seen, err
	})
}

func (r *register) CompareAndSet(ctx context.Context, op Op, old int64) (Seen, error) {
	return r.noted(ctx, op, CompareAndSet, func() (Seen, error) {
		return r.change(ctx, CompareAndSet, func(c *Cell) bool {
			if c.Value != old {
				return false
			}
			c.Value = int64(op)
			return true
		})
	})
}

func (r *register) Touch(ctx context.Context, op Op) (Seen, error) {
	return r.noted(ctx, op, Touch, func() (Seen, error) {
		r.journal.middle(Touch)
		return Seen{By: r.life}, nil
	})
}

func (r *register) Relay(ctx context.Context, op Op, to Key) (Seen, error) {
	return r.noted(ctx, op, Relay, func() (Seen, error) {
		r.journal.middle(Relay)
		_, err := GetRegister(r, to).Take(ctx, op, r.Key(), r.life)
		return Seen{By: r.life}, err
	})
}

func (r *register) Take(_ context.Context, op Op, from Key, by Life) (Seen, error) {
	t := Turn{Key: r.Key(), Op: op, Kind: Take, Life: r.life, From: from, Of: by, Start: Now(), Effective: true}
	t.End = Now()
	r.journal.note(t)
	return Seen{By: r.life}, nil
}

func (l Life) String() string {
	return fmt.Sprintf("activation %d of silo %d, run %d", l.Activation, l.Silo, l.Run)
}
