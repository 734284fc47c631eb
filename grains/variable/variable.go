package variable

import (
	"context"
	"fmt"
	"iter"
	"reflect"

	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Place is anything that holds variables: a client, a silo, a grain, the turn of a process.
type Place = wire.Place

// Option is a choice in the declaration of a variable. Of several that contradict each other the last one
// counts.
type Option struct{ replicas int }

// Everywhere keeps the variable on all silos: reads are always local, and every write travels to each.
var Everywhere = Option{wire.Everywhere}

// Replicas keeps the variable on n silos, or on all if there are fewer. The default is 3: two may be lost
// without losing what was acknowledged and has spread. An n below 1 stands for 1; grainc refuses constants
// that are.
func Replicas(n int) Option { return Option{max(n, 1)} }

func replicas(options []Option) (n int) {
	for _, o := range options {
		n = o.replicas
	}
	return n
}

type (
	declared[H any]  = flow.Declared[H]
	family[K, H any] = flow.Family[K, H]
	//lint:ignore U1000 staticcheck does not see that a generic alias is used by being embedded
	of[E any] = flow.Of[E]
)

// Var is one declared variable, whose handle is H.
type Var[H any] struct {
	declared[H]
	replicas int
	bind     func(p Place, id wire.ID) H
}

// On returns the variable's handle at p.
func (v Var[H]) On(p Place) H { return v.bind(p, wire.NewID(v.Name, "")) }

// Family is one variable of the same type for each key.
type Family[K comparable, H any] struct {
	family[K, H]
	replicas int
	bind     func(p Place, id wire.ID) H
	keys     wire.KeyCodec[K]
	problem  error
}

// By makes a family of what would be one variable. K is a string, an int64, a [16]byte, a type made of
// one of them, or a struct of them; nodes refuse the kind of a family whose K is anything else.
func By[K comparable, H any](v Var[H]) Family[K, H] {
	keys, err := wire.KeyCodecFor[K]()
	return Family[K, H]{family[K, H]{Name: v.Name}, v.replicas, v.bind, keys, err}
}

// At returns the handle of the variable of that key at p.
func (f Family[K, H]) At(p Place, k K) H {
	if f.problem != nil {
		// No node accepts the kind, so every call of the handle is refused.
		return f.bind(p, wire.NewID(f.Name, fmt.Sprint(k)))
	}
	return f.bind(p, wire.NewID(f.Name, f.keys.Text(k)))
}

// Keys yields the keys of the variables that hold anything (a set with an element, a counter that is not
// 0, a register that was set), in the order of their texts. It asks every silo that may hold some, at
// once, before it yields the first; an error ends it.
func (f Family[K, H]) Keys(ctx context.Context, p Place) iter.Seq2[K, error] {
	return func(yield func(K, error) bool) {
		var none K
		texts, err := []string(nil), f.problem
		if err == nil {
			texts, err = wire.Of(p).Keys(ctx, f.Name)
		}
		if err != nil {
			yield(none, err)
			return
		}
		for _, text := range texts {
			k, err := f.keys.Parse(text)
			if err != nil {
				err = fmt.Errorf("key %q of %s: %w", text, f.Name, err)
			}
			if !yield(k, err) || err != nil {
				return
			}
		}
	}
}

// ParseKey returns the key of that text.
func (f Family[K, H]) ParseKey(text string) (k K, err error) {
	if f.problem != nil {
		return k, f.problem
	}
	return f.keys.Parse(text)
}

// base is what every handle has.
type base struct {
	engine wire.Engine
	id     wire.ID
}

func at(p Place, id wire.ID) base { return base{wire.Of(p), id} }

// ID names the variable: its declared name and the text of its key.
func (h base) ID() wire.ID { return h.id }

func (h base) String() string { return h.id.String() }

// lattice returns the lattice that the node at hand was given for the variable.
func lattice[L wire.Lattice](h base) (L, error) {
	var none L
	k, ok := h.engine.Hosted(h.id.Kind())
	if !ok || k.Variable() == nil {
		return none, fmt.Errorf("variable %s: %w: add the Shared() of its package to this node's Config.Grains", h.id, wire.ErrNoSuchKind)
	}
	l, ok := k.Variable().Lattice.(L)
	if !ok {
		wanted := reflect.New(reflect.TypeFor[L]().Elem()).Interface()
		return none, &otherType{h.id, stateType(wanted), stateType(k.Variable().Lattice)}
	}
	return l, nil
}

// otherType says that the node was given a variable of another type under that name. The kind that the caller
// speaks of is hosted by nobody, so it is a wire.ErrNoSuchKind.
type otherType struct {
	variable     wire.ID
	wanted, held string // types of states
}

// Error says both types and what to do.
func (e *otherType) Error() string {
	return fmt.Sprintf("variable %s is used as %s, and this node was given it as %s: two declarations share the name %q: give one another name",
		e.variable, e.wanted, e.held, e.variable.Kind())
}

// Unwrap returns wire.ErrNoSuchKind.
func (e *otherType) Unwrap() error { return wire.ErrNoSuchKind }

// stateType names the type of the states of a lattice, or of an object.
func stateType(of any) string {
	if t, ok := of.(interface{ stateType() string }); ok {
		return t.stateType()
	}
	return fmt.Sprintf("states of a %T", of)
}

// read calls use with the variable's state.
func read[L any](ctx context.Context, h base, use func(L)) error {
	var wrong error
	err := h.engine.Read(ctx, h.id, func(o wire.Object) {
		typed, ok := o.(interface{ state() L })
		if !ok {
			var none L
			wrong = &otherType{h.id, fmt.Sprintf("%T", none), stateType(o)}
			return
		}
		use(typed.state())
	})
	if err == nil {
		err = wrong
	}
	return err
}
