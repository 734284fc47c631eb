package dataflow

import (
	"context"
	"fmt"
	"time"

	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
)

type place = wire.AtPlace

// Turn is the Place of one run of a process: what the process reads there it is run again for, and what
// it assigns there is recorded, so that the next run writes by difference to it. It is valid until the run
// ends, and no grains.Caller: a process calls no grains and begins no atomic blocks.
type Turn struct {
	place
	engine wire.Engine
}

// Rule is a process. grainc lists it among the kinds of its package.
type Rule struct {
	name string
	kind wire.ProcessKind
}

// Kind returns the process's kind, for generated code.
func (r Rule) Kind() wire.Kind { return wire.NewProcess(r.name, r.kind) }

// Option is a choice in the declaration of a process.
type Option func(*wire.ProcessKind)

// Round sets how long, at least, lies between two runs that changes of views ask for, which come in
// rounds: all runs of a round are made for the same state of what [Shared] computes. The default is one
// second.
func Round(d time.Duration) Option { return func(k *wire.ProcessKind) { k.Round = d } }

// ForEach declares a process that runs for each key of a family, on the silo that the key hashes to:
// when the key's variable changes, and when something else that its last run read has changed. A run
// that returns an error is tried again, later each time. Runs for one key do not overlap on a silo; while
// the key moves to another silo they may, so a run must be harmless when made twice.
func ForEach[K comparable, H any](name string, of variable.Family[K, H], f func(ctx context.Context, t *Turn, k K) error, options ...Option) Rule {
	return rule(name, of.Name, options, func(ctx context.Context, t *Turn, key string) error {
		k, err := of.ParseKey(key)
		if err != nil {
			return fmt.Errorf("process %s, key %q of %s: %w", name, key, of.Name, err)
		}
		return f(ctx, t, k)
	})
}

// Process declares a process that runs once, somewhere, and again when something that it read has
// changed.
func Process(name string, f func(ctx context.Context, t *Turn) error, options ...Option) Rule {
	return rule(name, "", options, func(ctx context.Context, t *Turn, _ string) error { return f(ctx, t) })
}

func rule(name, of string, options []Option, run func(context.Context, *Turn, string) error) Rule {
	k := wire.ProcessKind{Of: of, Round: time.Second, Run: func(ctx context.Context, e wire.Engine, key string) error {
		return run(ctx, &Turn{wire.NewPlace(e), e}, key)
	}}
	for _, o := range options {
		o(&k)
	}
	return Rule{name, k}
}

// Shared returns what f makes of the views that it reads: made once in a round on each silo, and shared
// by the process's runs there, which must not change it. The name tells several such values of one
// process apart: one name stands for one T. f must depend on nothing but views; anything else that it uses
// of its Turn returns an error, and so does Shared where f does.
func Shared[T any](ctx context.Context, t *Turn, name string, f func(ctx context.Context, t *Turn) (T, error)) (T, error) {
	var none T
	v, err := t.engine.(wire.Sharer).Shared(ctx, name, func(ctx context.Context, e wire.Engine) (any, error) {
		return f(ctx, &Turn{wire.NewPlace(e), e})
	})
	if err != nil {
		return none, err
	}
	typed, ok := v.(T)
	if !ok {
		return none, fmt.Errorf("shared value %q is a %T and a %T: give one of them another name", name, v, none)
	}
	return typed, nil
}
