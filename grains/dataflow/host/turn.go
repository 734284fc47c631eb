package host

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/martinelli-go/martinelli/grains/wire"
)

type engine = wire.Engine

// turn is the engine of one run of a process: it notes what the run reads. It is a wire.Recorder and a
// wire.Sharer.
type turn struct {
	engine
	s   *scheduler
	job *job
	run string // names this run in the record; "" before it has put anything there
}

func (t *turn) unsupported(what string) error {
	return fmt.Errorf("process %s %s: %w: a process reads variables and views, and writes variables", t.job.p.name, what, wire.ErrUnsupported)
}

// Call implements wire.Engine.
func (t *turn) Call(_ context.Context, to wire.ID, _ wire.Invocation) error {
	return t.unsupported("calls grain " + to.String())
}

// Atomic implements wire.Engine.
func (t *turn) Atomic(context.Context, wire.Closure) error {
	return t.unsupported("begins an atomic block")
}

// Mutate implements wire.Engine: a run whose key is elsewhere, or whose silo has no lease, writes nothing.
func (t *turn) Mutate(ctx context.Context, variable wire.ID, op []byte) error {
	if err := t.may(); err != nil {
		return fmt.Errorf("process %s writes variable %s: %w", t.job.p.name, variable, err)
	}
	return t.engine.Mutate(ctx, variable, op)
}

// may says whether the run may still write.
func (t *turn) may() error {
	c := t.s.host.config
	return c.Standing().Resume(c.Now(), t.job.grant)
}

// Read implements wire.Engine.
func (t *turn) Read(ctx context.Context, variable wire.ID, use func(wire.Object)) error {
	t.s.mu.Lock()
	note(t.s, t.job, variable, t.job.read.variables, t.job.fresh.variables, t.s.byVariable)
	t.s.mu.Unlock()
	// What is not kept here would change without a word.
	if err := t.s.host.variables.Follow(variable.Kind()); err != nil {
		return fmt.Errorf("variable %s, for process %s: %w", variable, t.job.p.name, err)
	}
	return t.engine.Read(ctx, variable, use)
}

// Keys implements wire.Engine.
func (t *turn) Keys(ctx context.Context, family string) ([]string, error) {
	t.s.mu.Lock()
	note(t.s, t.job, family, t.job.read.families, t.job.fresh.families, t.s.byFamily)
	t.s.mu.Unlock()
	if err := t.s.host.variables.Follow(family); err != nil {
		return nil, fmt.Errorf("keys of %s, for process %s: %w", family, t.job.p.name, err)
	}
	return t.engine.Keys(ctx, family)
}

// Follow implements wire.Engine.
func (t *turn) Follow(ctx context.Context, node string) (wire.Followed, error) {
	f, err := t.engine.Follow(ctx, node)
	if err != nil {
		return nil, err
	}
	// A change before this is in what the run will read; one after it counts.
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	note(t.s, t.job, node, t.job.read.views, t.job.fresh.views, t.s.byView)
	return f, nil
}

// Shared implements wire.Sharer.
func (t *turn) Shared(ctx context.Context, name string, value func(ctx context.Context, e wire.Engine) (any, error)) (any, error) {
	p := t.job.p
	t.s.mu.Lock()
	v := p.shared[name]
	first := v == nil
	if first {
		v = &shared{done: make(chan struct{}), views: map[string]struct{}{}}
		p.shared[name] = v
	}
	t.s.mu.Unlock()
	if first {
		// The value is for others too: it is not given up with this run.
		life, cancel := context.WithTimeout(t.s.host.life, t.s.host.timing.run)
		v.value, v.err = t.s.make(life, v, name, p, value)
		cancel()
		close(v.done)
	}
	select {
	case <-v.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the shared value %q of process %s: %w", name, p.name, context.Cause(ctx))
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if v.err != nil {
		if p.shared[name] == v {
			delete(p.shared, name)
		}
		return nil, fmt.Errorf("shared value %q of process %s: %w", name, p.name, v.err)
	}
	if v.changed {
		t.s.markDirty(t.job)
		return v.value, nil
	}
	for view := range v.views {
		note(t.s, t.job, view, t.job.read.views, t.job.fresh.views, t.s.byView)
	}
	return v.value, nil
}

func (s *scheduler) make(ctx context.Context, v *shared, name string, p *process, value func(context.Context, wire.Engine) (any, error)) (_ any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it panicked: %v\n%s", r, debug.Stack())
		}
	}()
	return value(ctx, &sharedTurn{s.host.config.Engine, s, v, fmt.Sprintf("shared value %q of process %s", name, p.name)})
}

// sharedTurn is the engine of what makes a shared value: it knows views only.
type sharedTurn struct {
	engine
	s    *scheduler
	of   *shared
	name string
}

func (t *sharedTurn) unsupported(what string) error {
	return fmt.Errorf("%s %s: %w: it may depend on views alone", t.name, what, wire.ErrUnsupported)
}

// Call implements wire.Engine.
func (t *sharedTurn) Call(_ context.Context, to wire.ID, _ wire.Invocation) error {
	return t.unsupported("calls grain " + to.String())
}

// Mutate implements wire.Engine.
func (t *sharedTurn) Mutate(_ context.Context, variable wire.ID, _ []byte) error {
	return t.unsupported("writes variable " + variable.String())
}

// Read implements wire.Engine.
func (t *sharedTurn) Read(_ context.Context, variable wire.ID, _ func(wire.Object)) error {
	return t.unsupported("reads variable " + variable.String())
}

// Keys implements wire.Engine.
func (t *sharedTurn) Keys(_ context.Context, family string) ([]string, error) {
	return nil, t.unsupported("lists the keys of " + family)
}

// Atomic implements wire.Engine.
func (t *sharedTurn) Atomic(context.Context, wire.Closure) error {
	return t.unsupported("begins an atomic block")
}

// Follow implements wire.Engine.
func (t *sharedTurn) Follow(ctx context.Context, node string) (wire.Followed, error) {
	f, err := t.engine.Follow(ctx, node)
	if err != nil {
		return nil, err
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.of.views[node] = struct{}{}
	add(t.s.sharedBy, node, t.of)
	return f, nil
}
