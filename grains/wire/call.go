package wire

import (
	"context"
	"strings"
)

// Invocation is one call as an engine sees it, whatever its types.
type Invocation interface {
	// Method is the called method.
	Method() Handler
	// Traits are those of the method, as far as they apply to this call.
	Traits() Traits
	// Run calls impl, which implements the grain's interface, with clones of the arguments, and keeps a
	// clone of the result. The error is the method's own.
	Run(ctx context.Context, impl any) error
	// AppendArgs appends the encoding of the arguments.
	AppendArgs(b []byte) []byte
	// DecodeResult sets the result from its encoding.
	DecodeResult(b []byte) error
	// DecodeError turns the encoding of an error into the error.
	DecodeError(b []byte) error
}

// MethodInfo describes a method of a grain interface.
type MethodInfo struct {
	Number uint32
	Name   string
	Traits
	// Of is the interface, nil in code that an older grainc wrote.
	Of *Interface
}

// Traits are what the directives of a method say of it.
type Traits struct {
	// ReadOnly: the method changes nothing. Calls of such methods of one grain may run side by side, and one
	// whose fate is unknown is made again.
	ReadOnly bool
	// Reentrant: while the method waits for a call that it makes, other calls of its grain may run, those
	// that come back among them.
	Reentrant bool
	// OneWay: nobody waits for the method. See Send.
	OneWay bool
	// Idempotent: running the method twice does what running it once does; a call whose fate is unknown is
	// made again.
	Idempotent bool
	// Stream: the method returns an iter.Seq2[R, error]. See StreamMethod.
	Stream bool
}

// String names the traits that are set, "readonly, reentrant"; "none" for none.
func (t Traits) String() string {
	var set []string
	for _, one := range []struct {
		is   bool
		name string
	}{{t.ReadOnly, "readonly"}, {t.Reentrant, "reentrant"}, {t.OneWay, "oneway"}, {t.Idempotent, "idempotent"}, {t.Stream, "stream"}} {
		if one.is {
			set = append(set, one.name)
		}
	}
	if set == nil {
		return "none"
	}
	return strings.Join(set, ", ")
}

// String is the method's name.
func (m MethodInfo) String() string { return m.Name }

// Interface is a grain interface as one build knows it.
type Interface struct {
	Kind string
	// Version is what the directive version says, 0 without one: for people.
	Version uint32
	// Fingerprint is a hash of the methods, their traits and the shapes of what they take and return. Equal
	// ones need no further look.
	Fingerprint uint64
	// Lineage is the fingerprint that the interface had when its numbers were first given out. Interfaces
	// of one lineage can talk whatever else differs, because numbers keep their meaning; those of different
	// lineages cannot.
	Lineage uint64
}

// Handler is a method of a grain interface as engines see it, whatever its types; *Method implements it.
type Handler interface {
	Info() MethodInfo
	// ResultCodec is the Codec of the method's result; EmptyCodec for a method that returns an error alone.
	ResultCodec() any
	// Serve decodes the arguments, calls impl and appends the encoding of the result to b.
	Serve(ctx context.Context, impl any, args, b []byte) ([]byte, error)
	ErrorTable() *ErrorTable
}

// Method describes one method of a grain interface, with the types of its arguments (a generated struct
// where there are several) and of its result. Generated code holds one, as a variable, for each.
type Method[A, R any] struct {
	Number uint32
	Name   string
	Traits
	Of     *Interface
	Args   Codec[A]
	Result Codec[R]
	Errors *ErrorTable
	// Do calls the method on an implementation.
	Do func(ctx context.Context, impl any, a A) (R, error)
	// BindArgs and BindResult give the references in a value the engine that calls through them are made by:
	// of the grain that is called, and of who has called. Nil where the type holds none. See RefType.
	BindArgs   func(e Engine, a A) A
	BindResult func(e Engine, r R) R
}

// String is the method's name.
func (m *Method[A, R]) String() string { return m.Name }

// Info describes the method.
func (m *Method[A, R]) Info() MethodInfo {
	return MethodInfo{m.Number, m.Name, m.Traits, m.Of}
}

// ResultCodec is the codec of the method's result.
func (m *Method[A, R]) ResultCodec() any { return m.Result }

// ErrorTable is the table by which errors of the method travel.
func (m *Method[A, R]) ErrorTable() *ErrorTable { return m.Errors }

// Serve implements Handler.
func (m *Method[A, R]) Serve(ctx context.Context, impl any, args, b []byte) ([]byte, error) {
	a, err := m.Args.Decode(args)
	if err != nil {
		return nil, &BadArguments{m.Name, err}
	}
	if m.BindArgs != nil {
		a = m.BindArgs(engineOf(impl), a)
	}
	r, err := m.Do(ctx, impl, a)
	if err != nil {
		return nil, err
	}
	return m.Result.Append(b, r), nil
}

type call[A, R any] struct {
	m      *Method[A, R]
	args   A
	result R
}

func (c *call[A, R]) Method() Handler            { return c.m }
func (c *call[A, R]) Traits() Traits             { return c.m.Traits }
func (c *call[A, R]) AppendArgs(b []byte) []byte { return c.m.Args.Append(b, c.args) }
func (c *call[A, R]) DecodeError(b []byte) error { return DecodeError(b, c.m.Errors) }
func (c *call[A, R]) DecodeResult(b []byte) (err error) {
	c.result, err = c.m.Result.Decode(b)
	return err
}

func (c *call[A, R]) Run(ctx context.Context, impl any) error {
	a := c.m.Args.Copy(c.args)
	if c.m.BindArgs != nil {
		a = c.m.BindArgs(engineOf(impl), a)
	}
	r, err := c.m.Do(ctx, impl, a)
	if err != nil {
		return MethodError(err, c.m.Errors)
	}
	c.result = c.m.Result.Copy(r)
	return nil
}

// Call makes the call that a stub's method stands for.
func Call[A, R any](ctx context.Context, r Ref, m *Method[A, R], args A) (R, error) {
	c := &call[A, R]{m: m, args: args}
	e := r.at()
	if err := e.Call(ctx, r.id, c); err != nil {
		var none R
		return none, err
	}
	if m.BindResult != nil {
		return m.BindResult(e, c.result), nil
	}
	return c.result, nil
}

// Send makes the call of a method that is one-way. The stub of a method with //grain:oneway is
//
//	func (r userRef) Poke(ctx context.Context, a string) error {
//		return wire.Send(ctx, r.Ref, &methodUserPoke, a)
//	}
//
// where methodUserPoke is a Method[A, struct{}] with Traits.OneWay. It returns when the call is on its way,
// nil or an error that is ErrNotExecuted. The arguments are copied before that.
func Send[A any](ctx context.Context, r Ref, m *Method[A, struct{}], args A) error {
	return r.at().Call(ctx, r.id, &call[A, struct{}]{m: m, args: m.Args.Copy(args)})
}
