package cluster

import (
	"context"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// engine is what the places on this client call.
type engine struct{ *Client }

// Call implements wire.Engine.
func (e engine) Call(ctx context.Context, to wire.ID, c wire.Invocation) error {
	in := link.BranchOf(wire.BlockOf(ctx))
	root, retry := wire.RetryOf(ctx)
	if !retry && in == nil {
		root = e.blocks.NextCall(ctx)
	}
	return e.router.Call(ctx, "", to, c, link.Calling{Root: root, Retry: retry, In: in})
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
