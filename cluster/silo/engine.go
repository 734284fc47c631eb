package silo

import (
	"context"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// engine is what the places on this silo call.
type engine struct{ *Silo }

// Call implements wire.Engine. A call of a grain is made through its activation; what comes here is from
// outside any grain.
func (e engine) Call(ctx context.Context, to wire.ID, c wire.Invocation) error {
	root, retry := wire.RetryOf(ctx)
	if !retry && wire.BlockOf(ctx) == nil {
		root = e.blocks.NextCall(ctx)
	}
	return e.grains.Call(ctx, to, c, root, retry)
}

// Mutate implements wire.Engine.
func (e engine) Mutate(ctx context.Context, variable wire.ID, op []byte) error {
	in := link.BranchOf(wire.BlockOf(ctx))
	if in == nil {
		return e.variables.Mutate(ctx, variable, op)
	}
	prepared, err := e.variables.Prepare(ctx, variable, op)
	if err == nil {
		in.Operate(commit.Operation{Variable: variable, Op: prepared})
	}
	return err
}

// Read implements wire.Engine.
func (e engine) Read(ctx context.Context, variable wire.ID, use func(wire.Object)) error {
	return e.variables.Read(ctx, variable, use)
}

// Keys implements wire.Engine.
func (e engine) Keys(ctx context.Context, family string) ([]string, error) {
	return e.variables.Keys(ctx, family)
}

// Follow implements wire.Engine.
func (e engine) Follow(ctx context.Context, node string) (wire.Followed, error) {
	return e.flows.Follow(ctx, node)
}

// Atomic implements wire.Engine.
func (e engine) Atomic(ctx context.Context, c wire.Closure) error {
	return e.blocks.Atomic(ctx, c, nil)
}

// Outcome implements wire.Engine.
func (e engine) Outcome(ctx context.Context, id wire.BlockID) (wire.Outcome, error) {
	return e.blocks.Outcome(ctx, id)
}

// Hosted implements wire.Engine.
func (e engine) Hosted(name string) (wire.Kind, bool) {
	k, ok := e.kinds[name]
	return k, ok
}
