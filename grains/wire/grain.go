package wire

import (
	"context"
	"time"
)

// Activation is what a host gives one grain: an engine that knows whose calls these are, and the grain's
// transactional state.
type Activation interface {
	Engine
	// Touch makes ctx's block hold the lock of the grain's transactional state, and c's current value
	// loaded. Errors: ErrNoBlock, ErrOutsideBlock, and that the block was aborted meanwhile.
	Touch(ctx context.Context, c Cell) error
	// Changed says that c has a draft that ctx's block made.
	Changed(ctx context.Context, c Cell) error
	// Deactivate ends the activation when the turns that run have left.
	Deactivate()
	// KeepAlive keeps the activation for d, whether or not it is called; 0 takes that back.
	KeepAlive(d time.Duration)
}

// Cell is a field of transactional state as its host sees it. The host calls it for one block at a time,
// the one that holds the grain's lock.
type Cell interface {
	// Number is the field's locked number, Name its name in the code.
	Number() uint32
	Name() string
	// Load sets the current value from its encoding; nil is the zero value.
	Load(b []byte) error
	// Forget drops current value and draft.
	Forget()
	// Discard drops the draft.
	Discard()
	// Install makes the draft the current value.
	Install()
	// AppendDraft appends the draft's encoding to b.
	AppendDraft(b []byte) []byte
}

// Core is what a host keeps of one grain, and what the grain's struct refers to: with the host's own, so that
// there is one object for both.
type Core struct {
	id         ID
	activation Activation
	cells      []Cell
}

// ID names the grain.
func (c *Core) ID() ID { return c.id }

// Grain is embedded, unseen, by grains.Implements. It promotes GrainID alone.
type Grain struct {
	atCaller
	core *Core
}

type atCaller = AtCaller

// GrainID names the grain.
func (g *Grain) GrainID() ID {
	if g.core == nil { // made by hand
		return ID{}
	}
	return g.core.id
}

func (g *Grain) attach(to *Grain) { *g = *to }

func (g *Grain) self() *Core { return g.core }

// Implementation is the struct that implements a grain's interface, by embedding grains.Implements.
type Implementation interface {
	GrainID() ID
	self() *Core
}

// Deactivate ends g's activation; where no silo made g there is none.
func Deactivate(g Implementation) {
	if c := g.self(); c != nil {
		c.activation.Deactivate()
	}
}

// KeepAlive keeps g's activation.
func KeepAlive(g Implementation, d time.Duration) {
	if c := g.self(); c != nil {
		c.activation.KeepAlive(d)
	}
}

// NewCore returns what a new activation begins with.
func NewCore(id ID, a Activation) Core { return Core{id: id, activation: a} }

// NewGrain returns what an instance of the grain is made with, by GrainKind.New. Fields that were bound to an
// earlier instance are so no more.
func (c *Core) NewGrain() *Grain {
	c.cells = nil
	return &Grain{NewCaller(c.activation), c}
}

// Cells returns the fields that were bound to the grain, in the order of their numbers in the code.
func (g *Grain) Cells() []Cell { return g.core.cells }

// Slot is embedded, unseen, by txn.State. It is not safe for concurrent use: a grain's turns, and the lock
// of its transactional state, keep callers apart.
type Slot[T any] struct {
	grain   *Core
	number  uint32
	name    string
	codec   Codec[T]
	value   T
	draft   T
	drafted bool
}

type cell[T any] struct{ *Slot[T] }

func (c cell[T]) Number() uint32 { return c.number }

func (c cell[T]) Name() string { return c.name }

func (c cell[T]) Load(b []byte) error {
	c.Forget()
	if b == nil {
		return nil
	}
	v, err := c.codec.Decode(b)
	if err != nil {
		return At(c.name, err)
	}
	c.value = v
	return nil
}

func (c cell[T]) Forget() {
	var zero T
	c.value = zero
	c.Discard()
}

func (c cell[T]) Discard() {
	var zero T
	c.draft, c.drafted = zero, false
}

func (c cell[T]) Install() {
	if c.drafted {
		c.value = c.draft
	}
	c.Discard()
}

func (c cell[T]) AppendDraft(b []byte) []byte { return c.codec.Append(b, c.draft) }

func (s *Slot[T]) slot() *Slot[T] { return s }

// Bind gives a field of state its number, name and codec. Generated code calls it for each before the
// activation is used.
func Bind[T any](g *Grain, number uint32, name string, field interface{ slot() *Slot[T] }, codec Codec[T]) {
	s := field.slot()
	*s = Slot[T]{grain: g.core, number: number, name: name, codec: codec}
	g.core.cells = append(g.core.cells, cell[T]{s})
}

// ReadSlot returns a copy of the field's value as ctx's block sees it.
func ReadSlot[T any](ctx context.Context, field interface{ slot() *Slot[T] }) (T, error) {
	s := field.slot()
	if err := s.touch(ctx); err != nil {
		var zero T
		return zero, err
	}
	return s.codec.Copy(*s.current()), nil
}

// UpdateSlot calls f with a copy of the field's value as ctx's block sees it, and makes what f leaves
// there the value, unless f returns an error.
func UpdateSlot[T any](ctx context.Context, field interface{ slot() *Slot[T] }, f func(*T) error) error {
	s := field.slot()
	if err := s.touch(ctx); err != nil {
		return err
	}
	v := s.codec.Copy(*s.current())
	if err := f(&v); err != nil {
		return err
	}
	// f may have kept what it was given: the draft is a copy that nobody else holds.
	s.draft, s.drafted = s.codec.Copy(v), true
	return s.grain.activation.Changed(ctx, cell[T]{s})
}

func (s *Slot[T]) touch(ctx context.Context) error {
	if s.grain == nil {
		return ErrUnbound
	}
	return s.grain.activation.Touch(ctx, cell[T]{s})
}

func (s *Slot[T]) current() *T {
	if s.drafted {
		return &s.draft
	}
	return &s.value
}
