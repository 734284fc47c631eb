package host

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// Variables is what a node does for variables: a silo's host of replicas, or a client's.
type Variables interface {
	Mutate(ctx context.Context, variable wire.ID, op []byte) error
	Prepare(ctx context.Context, variable wire.ID, op []byte) ([]byte, error)
	Read(ctx context.Context, variable wire.ID, use func(wire.Object)) error
	Keys(ctx context.Context, family string) ([]string, error)
}

// Flows is what a node does for views.
type Flows interface {
	Follow(ctx context.Context, node string) (wire.Followed, error)
}

// Engine serves the places of a silo or client that are no grains. Each of its parts must be set before
// the first call.
type Engine struct {
	// Route makes a call: here, or at the silo that owns the grain. Root is its id; retry says that it
	// was made before.
	Route     func(ctx context.Context, to wire.ID, c wire.Invocation, root wire.BlockID, retry bool) error
	Variables Variables
	Flows     Flows
	Blocks    *Coordinator
	Kinds     map[string]wire.Kind
	// Outgoing are around the calls that are made by this engine.
	Outgoing []wire.Interceptor
}

// Call implements wire.Engine: a call from outside any grain gets an id, by which its outcome can be asked
// for if it begins a block.
func (e *Engine) Call(ctx context.Context, to wire.ID, c wire.Invocation) error {
	if len(e.Outgoing) > 0 {
		return wire.MakeCall(ctx, e.Outgoing, wire.TurnOf(ctx), to, c, func(ctx context.Context) error { return e.call(ctx, to, c) })
	}
	return e.call(ctx, to, c)
}

func (e *Engine) call(ctx context.Context, to wire.ID, c wire.Invocation) error {
	if t := c.Traits(); wire.BlockOf(ctx) != nil || t.Stream || t.OneWay { // it has no id of its own
		return e.Route(ctx, to, c, wire.BlockID{}, false)
	}
	root, retry := wire.RetryOf(ctx)
	if !retry {
		root = e.Blocks.NextCall(ctx)
	}
	return e.Route(ctx, to, c, root, retry)
}

// Mutate implements wire.Engine: inside a block the operation is the block's.
func (e *Engine) Mutate(ctx context.Context, variable wire.ID, op []byte) error {
	in := link.BranchOf(wire.BlockOf(ctx))
	if in == nil {
		return e.Variables.Mutate(ctx, variable, op)
	}
	prepared, err := e.Variables.Prepare(ctx, variable, op)
	if err == nil {
		err = in.Operate(commit.Operation{Variable: variable, Op: prepared})
	}
	return err
}

// Read implements wire.Engine.
func (e *Engine) Read(ctx context.Context, variable wire.ID, use func(wire.Object)) error {
	return e.Variables.Read(ctx, variable, use)
}

// Keys implements wire.Engine.
func (e *Engine) Keys(ctx context.Context, family string) ([]string, error) {
	return e.Variables.Keys(ctx, family)
}

// Follow implements wire.Engine.
func (e *Engine) Follow(ctx context.Context, node string) (wire.Followed, error) {
	return e.Flows.Follow(ctx, node)
}

// Atomic implements wire.Engine.
func (e *Engine) Atomic(ctx context.Context, c wire.Closure) error {
	return e.Blocks.Atomic(ctx, c, nil)
}

// Outcome implements wire.Engine.
func (e *Engine) Outcome(ctx context.Context, id wire.BlockID) (wire.Outcome, error) {
	return e.Blocks.Outcome(ctx, id)
}

// Hosted implements wire.Engine.
func (e *Engine) Hosted(name string) (wire.Kind, bool) {
	k, ok := e.Kinds[name]
	return k, ok
}

// Door is the engine as places outside see it. After Close it refuses everything at once, while what
// still runs on the node goes on using the engine itself; Open puts another engine behind it.
type Door struct {
	// Node is what is closed, for the error: "silo 10.0.0.1:7000".
	Node   string
	engine atomic.Pointer[Engine]
	closed atomic.Bool
}

// Open lets calls through to e from now on, unless the door was closed.
func (d *Door) Open(e *Engine) { d.engine.Store(e) }

// Close refuses all that comes from now on, for good.
func (d *Door) Close() { d.closed.Store(true) }

func (d *Door) enter() (*Engine, error) {
	if d.closed.Load() {
		return nil, fmt.Errorf("%s has been stopped: %w", d.Node, wire.ErrNotExecuted)
	}
	e := d.engine.Load()
	if e == nil {
		return nil, fmt.Errorf("%s does not serve yet: %w", d.Node, wire.ErrNotExecuted)
	}
	return e, nil
}

// Call implements wire.Engine.
func (d *Door) Call(ctx context.Context, to wire.ID, c wire.Invocation) error {
	e := d.engine.Load()
	if d.closed.Load() || e == nil {
		return &wire.CallError{To: to, Method: c.Method().Info().Name, Cause: wire.ErrNotExecuted, Detail: d.Node + " has been stopped"}
	}
	return e.Call(ctx, to, c)
}

// Mutate implements wire.Engine.
func (d *Door) Mutate(ctx context.Context, variable wire.ID, op []byte) error {
	e, err := d.enter()
	if err != nil {
		return err
	}
	return e.Mutate(ctx, variable, op)
}

// Read implements wire.Engine.
func (d *Door) Read(ctx context.Context, variable wire.ID, use func(wire.Object)) error {
	e, err := d.enter()
	if err != nil {
		return err
	}
	return e.Read(ctx, variable, use)
}

// Keys implements wire.Engine.
func (d *Door) Keys(ctx context.Context, family string) ([]string, error) {
	e, err := d.enter()
	if err != nil {
		return nil, err
	}
	return e.Keys(ctx, family)
}

// Follow implements wire.Engine.
func (d *Door) Follow(ctx context.Context, node string) (wire.Followed, error) {
	e, err := d.enter()
	if err != nil {
		return nil, err
	}
	return e.Follow(ctx, node)
}

// Atomic implements wire.Engine.
func (d *Door) Atomic(ctx context.Context, c wire.Closure) error {
	e, err := d.enter()
	if err != nil {
		return fmt.Errorf("%w: %w", wire.ErrAborted, err)
	}
	return e.Atomic(ctx, c)
}

// Outcome implements wire.Engine.
func (d *Door) Outcome(ctx context.Context, id wire.BlockID) (wire.Outcome, error) {
	e, err := d.enter()
	if err != nil {
		return 0, err
	}
	return e.Outcome(ctx, id)
}

// Hosted implements wire.Engine.
func (d *Door) Hosted(name string) (wire.Kind, bool) {
	e := d.engine.Load()
	if e == nil {
		return wire.Kind{}, false
	}
	return e.Hosted(name)
}
