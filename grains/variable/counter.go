package variable

import (
	"context"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// CounterHandle is a counter somewhere that goes up and down.
type CounterHandle struct {
	//lint:ignore U1000 staticcheck does not see that a generic alias is used by being embedded
	of[int64]
	base
}

// Counter declares a counter.
func Counter(name string, options ...Option) Var[*CounterHandle] {
	return Var[*CounterHandle]{declared[*CounterHandle]{Name: name}, replicas(options), func(p Place, id wire.ID) *CounterHandle {
		return &CounterHandle{base: at(p, id)}
	}}
}

// CounterKind returns the kind of a counter, for generated code.
func CounterKind(v Var[*CounterHandle]) wire.Kind {
	return source(v, newCounterLattice(), flow.CounterElements())
}

// CounterKindBy returns the kind of a family of counters, for generated code.
func CounterKindBy[K comparable](f Family[K, *CounterHandle]) wire.Kind {
	return sourceBy(f, newCounterLattice(), flow.CounterElements())
}

// Add adds n, which may be negative. After an error that wraps grains.ErrUnknown it may have been added:
// adding again may count twice.
func (h *CounterHandle) Add(ctx context.Context, n int64) error {
	if _, err := lattice[*counterLattice](h.base); err != nil {
		return err
	}
	return h.engine.Mutate(ctx, h.id, crdt.CounterOp{N: n}.Append(nil))
}

// Value is the sum of all additions that the nearest replica knows.
func (h *CounterHandle) Value(ctx context.Context) (n int64, err error) {
	err = read(ctx, h.base, func(c *crdt.Counter) { n = c.Value() })
	return n, err
}

// counterLattice is a counter as hosts know it.
type counterLattice = typed[*crdt.Counter, crdt.CounterOp]

func newCounterLattice() *counterLattice {
	return &counterLattice{
		states:  crdt.CodecOf(crdt.DecodeCounter),
		ops:     wire.Codec[crdt.CounterOp]{Append: func(b []byte, op crdt.CounterOp) []byte { return op.Append(b) }, Decode: crdt.DecodeCounterOp},
		shows:   func(c *crdt.Counter) bool { return c.Value() != 0 },
		prepare: unprepared[*crdt.Counter, crdt.CounterOp],
		effect: func(op crdt.CounterOp, actor crdt.Actor, own []byte) (_ *crdt.Counter, _ []byte, err error) {
			var row crdt.CounterRow
			if own != nil {
				if row, err = crdt.DecodeCounterRow(own); err != nil {
					return nil, nil, err
				}
			}
			return op.Effect(actor, &row), row.Append(nil), nil
		},
	}
}
