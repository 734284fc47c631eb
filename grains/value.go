package grains

import (
	"context"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Value is a text that travels with a call beside its arguments, and with every call that is made because of
// it, under the context that the method was given: who the request is for, in which language, by what name logs
// know it.
//
//	var Tenant = grains.NewValue[TenantID]("wine.tenant")
//
//	ctx = Tenant.With(ctx, "acme")          // where the request comes in
//	tenant := Tenant.Of(ctx)                // in any grain that it leads to
//
// Values travel with one-way calls and with streams too. They prove nothing: whoever calls says what they are.
// A call carries 32 at most, of 8 KiB together, names included. Calls without any do not pay for it.
type Value[T ~string] struct{ name string }

// NewValue returns the value of that name. The name is what travels: the same on all nodes, and no other
// value's; begin it with the name of your package. Two values of one name are one, whatever their types: what the
// one is given the other reads, and nothing finds that out. It panics if the name is empty.
func NewValue[T ~string](name string) Value[T] {
	if name == "" {
		panic(`grains: NewValue(""): give the value a name, such as "wine.tenant"`)
	}
	return Value[T]{name}
}

// With returns a context whose calls carry v. Where that is more than may travel they fail instead, with an
// error that is a *[ValuesError] and [ErrNotExecuted].
func (k Value[T]) With(ctx context.Context, v T) context.Context {
	return wire.WithValue(ctx, k.name, string(v))
}

// Of returns what ctx's request carries, "" for nothing.
func (k Value[T]) Of(ctx context.Context) T {
	text, _ := wire.ValueOf(ctx, k.name)
	return T(text)
}

// ValuesError says that a call was given more values than may travel. Its fields:
//
//	Name  string // of the value that was too much
//	Count int    // values, with it
//	Bytes int    // that they measure
type ValuesError = wire.ValuesError
