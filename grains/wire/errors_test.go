package wire_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/grains/wire"
)

var (
	errMoney = errors.New("not enough money")
	errStock = errors.New("no bottle left")
)

// tooFew is an error struct that is returned as a pointer, tooOld one that is returned as a value.
type (
	tooFew struct{ Left int64 }
	tooOld struct{ Years int64 }
)

func (e *tooFew) Error() string { return fmt.Sprintf("%d left", e.Left) }
func (e tooOld) Error() string  { return fmt.Sprintf("%d years old", e.Years) }

var table = &wire.ErrorTable{Package: "shop", Errors: []wire.ErrorEntry{
	wire.Sentinel(1, errMoney),
	wire.Sentinel(3, errStock),
	wire.ErrorStruct(4, wire.Codec[*tooFew]{
		Append: func(b []byte, e *tooFew) []byte { return wire.PutInt(b, e.Left) },
		Decode: func(b []byte) (*tooFew, error) {
			n, err := wire.TakeInt[int64](b)
			if err != nil {
				return nil, err
			}
			return &tooFew{n}, nil
		},
	}),
	wire.ErrorStruct(5, wire.Codec[tooOld]{
		Append: func(b []byte, e tooOld) []byte { return wire.PutInt(b, e.Years) },
		Decode: func(b []byte) (tooOld, error) {
			n, err := wire.TakeInt[int64](b)
			return tooOld{n}, err
		},
	}),
}}

func travel(err error, at *wire.ErrorTable) error {
	return wire.DecodeError(wire.AppendError(nil, err, table), at)
}

// An error without more text arrives as the very same; any other keeps its text and all that it wraps.
func TestErrorsArriveAsTheyWere(t *testing.T) {
	t.Parallel()
	require.Equal(t, errMoney, travel(errMoney, table))
	require.Equal(t, error(&tooFew{3}), travel(&tooFew{3}, table))
	require.Equal(t, error(tooOld{30}), travel(tooOld{30}, table))
	require.Equal(t, wire.ErrAborted, travel(wire.ErrAborted, table))
	require.Equal(t, context.DeadlineExceeded, travel(context.DeadlineExceeded, table))

	wrapped := fmt.Errorf("user alice: %w", errMoney)
	back := travel(wrapped, table)
	require.EqualError(t, back, wrapped.Error())
	require.ErrorIs(t, back, errMoney)
	require.NotErrorIs(t, back, errStock)

	several := fmt.Errorf("order 7: %w: %w, %w: %w", errMoney, &tooFew{-1}, tooOld{0}, context.Canceled)
	back = travel(several, table)
	require.EqualError(t, back, several.Error())
	require.ErrorIs(t, back, errMoney)
	require.ErrorIs(t, back, context.Canceled)
	var few *tooFew
	require.ErrorAs(t, back, &few)
	require.Equal(t, int64(-1), few.Left)
	var old tooOld
	require.ErrorAs(t, back, &old)
	require.Zero(t, old.Years)

	// What has arrived can travel on, by way of another grain.
	again := travel(back, table)
	require.EqualError(t, again, several.Error())
	require.ErrorIs(t, again, errMoney)
	require.ErrorAs(t, again, &few)
}

func TestErrorsOfStrangersKeepTheirText(t *testing.T) {
	t.Parallel()
	for _, err := range []error{errors.New("disk full"), errors.New(""), fmt.Errorf("reading: %w", errors.ErrUnsupported)} {
		back := travel(err, table)
		require.EqualError(t, back, err.Error())
		var remote *wire.RemoteError
		require.ErrorAs(t, back, &remote)
	}
	// Another interface's package, or an older version of this one: the text is all that is left.
	for _, at := range []*wire.ErrorTable{nil, {}, {Errors: []wire.ErrorEntry{wire.Sentinel(9, errStock)}}} {
		for _, err := range []error{errMoney, &tooFew{1}, fmt.Errorf("so: %w", errStock)} {
			back := travel(err, at)
			var remote *wire.RemoteError
			require.ErrorAs(t, back, &remote)
			require.Equal(t, err.Error(), remote.Text)
			require.NotErrorIs(t, back, errStock)
		}
	}
	// Of several, those that are known here keep their identity.
	back := travel(errors.Join(errMoney, errStock), &wire.ErrorTable{Errors: []wire.ErrorEntry{wire.Sentinel(1, errMoney)}})
	require.ErrorIs(t, back, errMoney)
	require.NotErrorIs(t, back, errStock)
}

// What is in doubt stays in doubt, under its id, over any number of grains.
func TestDoubtTravels(t *testing.T) {
	t.Parallel()
	id := wire.BlockID{Client: 1 << 60, Seq: 3}
	to := wire.NewID("shop.User", "alice")
	for _, err := range []error{&wire.InDoubt{ID: id}, fmt.Errorf("buying: %w", &wire.InDoubt{ID: id})} {
		for range 3 {
			err = travel(err, table)
			var doubt *wire.InDoubt
			require.ErrorAs(t, err, &doubt)
			require.Equal(t, id, doubt.ID)
			require.ErrorIs(t, err, wire.ErrUnknown, "an InDoubt is an ErrUnknown too")
		}
	}
	var err error = &wire.CallError{To: to, Method: "Buy", Cause: wire.ErrUnknown, Call: id, Detail: "the silo is gone"}
	text := "shop.User/alice.Buy: the silo is gone: unknown whether the call was executed (call 1152921504606846976.3)"
	for range 3 {
		require.EqualError(t, err, text)
		require.ErrorIs(t, err, wire.ErrUnknown)
		var call *wire.CallError
		require.ErrorAs(t, err, &call)
		require.Equal(t, id, call.Call)
		err = travel(err, table)
	}
	// One that surely did not run has no id to ask about.
	err = travel(&wire.CallError{To: to, Method: "Buy", Cause: wire.ErrNotExecuted, Detail: "no silo is up"}, table)
	require.EqualError(t, err, "shop.User/alice.Buy: no silo is up: the call was not executed")
	require.ErrorIs(t, err, wire.ErrNotExecuted)
	require.NotErrorIs(t, err, wire.ErrUnknown)
	var call *wire.CallError
	require.ErrorAs(t, err, &call)
	require.True(t, call.Call.IsZero())
}

// An error of the call itself is a *CallError on the other side; one that the method passes on is inside of what
// arrives, whether it travels or not.
func TestCallErrorsTravel(t *testing.T) {
	t.Parallel()
	to, none := wire.NewID("shop.User", "alice"), &wire.ErrorTable{}
	for _, cause := range []error{wire.ErrPanic, wire.ErrOverloaded, wire.ErrNoLease, wire.ErrCycle, wire.ErrUnknown} {
		sent := &wire.CallError{To: to, Method: "Buy", Cause: cause, Detail: "so", Ended: context.DeadlineExceeded, Call: wire.BlockID{Client: 3, Seq: 4}}
		require.Equal(t, error(sent), travel(sent, none))
		nested := &wire.CallError{To: wire.NewID("k", "b"), Method: "F", Cause: sent}
		require.EqualError(t, travel(nested, none), nested.Error())
		for _, seen := range []error{wire.MethodError(sent, none), wire.DecodeError(wire.AppendMethodError(nil, sent, none), none)} {
			_, bare := seen.(*wire.CallError)
			require.False(t, bare, "what a method passes on is no error of its own call")
			require.EqualError(t, seen, sent.Error())
			call, ok := errors.AsType[*wire.CallError](seen)
			require.True(t, ok)
			require.Equal(t, []any{to, "Buy", "so", sent.Call}, []any{call.To, call.Method, call.Detail, call.Call})
			require.NotErrorIs(t, seen, wire.ErrNotExecuted)
			require.ErrorIs(t, seen, context.DeadlineExceeded)
			require.Equal(t, !errors.Is(cause, wire.ErrNotExecuted), errors.Is(seen, cause))
			require.Equal(t, seen, wire.MethodError(seen, none), "it is the same however many methods pass it on")
		}
	}
	deep := error(wire.ErrPanic)
	for range 100 {
		deep = &wire.CallError{To: to, Cause: deep}
	}
	require.EqualError(t, travel(deep, none), deep.Error())
}

// Every error of the framework has a number.
func TestErrorsOfTheFrameworkTravel(t *testing.T) {
	t.Parallel()
	all := []error{
		wire.ErrUnknown, wire.ErrNotExecuted, wire.ErrNoSuchKind, wire.ErrIncompatible, wire.ErrCycle, wire.ErrTooLarge,
		wire.ErrPanic, wire.ErrNoBlock, wire.ErrOutsideBlock, wire.ErrAborted, wire.ErrUnbound, wire.ErrDecode,
		wire.ErrReplyLost, wire.ErrUnsupported, context.Canceled, context.DeadlineExceeded,
	}
	for _, err := range all {
		require.Equal(t, err, travel(err, nil))
		back := travel(fmt.Errorf("grain x: %w", err), nil)
		for _, other := range all {
			require.Equal(t, other == err, errors.Is(back, other), "%v as %v", err, other)
		}
	}
	for _, err := range []error{wire.ErrNoLease, wire.ErrOverloaded, wire.ErrNoSuchMethod} { // each is an ErrNotExecuted besides
		back := travel(err, nil)
		require.ErrorIs(t, back, err)
		require.ErrorIs(t, back, wire.ErrNotExecuted)
	}
}

func TestErrorsFromTheFuture(t *testing.T) {
	t.Parallel()
	b := wire.AppendError(nil, errors.New("new"), nil)
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), 1<<40) // a number of no error
	b = protowire.AppendString(protowire.AppendTag(b, 99, protowire.BytesType), "?")   // a field of no version
	require.Equal(t, error(&wire.RemoteError{Text: "new"}), wire.DecodeError(b, table))

	for range 1000 {
		b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), 1)
	}
	require.ErrorIs(t, wire.DecodeError(b, table), wire.ErrDecode, "causes are bounded")
	require.ErrorIs(t, wire.DecodeError([]byte{0xff}, table), wire.ErrDecode)
	bad := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.VarintType), nil)[:1]
	bad = append(bad, 4, 0x12, 2, 0x08, 0xff) // entry 4 with a payload that ends early
	b = protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), bad)
	require.ErrorIs(t, wire.DecodeError(b, table), wire.ErrDecode)
}

func TestErrorFields(t *testing.T) {
	t.Parallel()
	read := func(b []byte) (err, bad error) {
		r := wire.NewReader(b, nil)
		for r.Next() != 0 {
			err = wire.ReadError(&r, table)
		}
		return err, r.Err()
	}
	require.Empty(t, wire.AppendErrorField(nil, 7, nil, table))
	err, bad := read(wire.AppendErrorField(nil, 7, errMoney, table))
	require.NoError(t, bad)
	require.Equal(t, errMoney, err)
	// An error that was one of decoding is a value like any other; bytes that are none are not.
	err, bad = read(wire.AppendErrorField(nil, 7, &wire.DecodeFailure{Err: errors.New("x")}, table))
	require.NoError(t, bad)
	require.ErrorIs(t, err, wire.ErrDecode)
	_, bad = read([]byte{7<<3 | 2, 1, 0xff})
	var field *wire.FieldError
	require.ErrorAs(t, bad, &field)
}

// because is an error struct with an error in it, as grainc encodes it.
type because struct{ Cause error }

func (e *because) Error() string { return "because" }

func becauseTable() *wire.ErrorTable {
	t := &wire.ErrorTable{}
	t.Errors = []wire.ErrorEntry{wire.ErrorStruct(1, wire.Codec[*because]{
		Append: func(b []byte, e *because) []byte { return wire.AppendErrorField(b, 1, e.Cause, t) },
		Decode: func(b []byte) (*because, error) {
			e := &because{}
			r := wire.NewReader(b, nil)
			for r.Next() != 0 {
				e.Cause = wire.ReadError(&r, t)
			}
			if r.Err() != nil {
				return nil, r.Err()
			}
			return e, nil
		},
	})}
	return t
}

func TestErrorsInErrors(t *testing.T) {
	t.Parallel()
	table := becauseTable()
	var err error = errMoney
	for range 5 {
		err = &because{err}
	}
	back := wire.DecodeError(wire.AppendError(nil, err, table), table)
	for range 5 {
		var b *because
		require.ErrorAs(t, back, &b)
		back = b.Cause
	}
	require.EqualError(t, back, errMoney.Error())
}

func TestErrorsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		known := []error{errMoney, errStock, wire.ErrAborted, wire.ErrPanic, wire.ErrNotExecuted, context.Canceled}
		err := errors.New(rapid.String().Draw(t, "text"))
		var has []error
		for range rapid.IntRange(0, 4).Draw(t, "wraps") {
			e := rapid.SampledFrom(known).Draw(t, "cause")
			has = append(has, e)
			err = fmt.Errorf("%s: %w: %w", rapid.String().Draw(t, "more"), err, e)
		}
		back := travel(travel(err, table), table)
		require.EqualError(t, back, err.Error())
		for _, e := range has {
			require.ErrorIs(t, back, e)
		}
		for _, e := range known {
			require.Equal(t, errors.Is(err, e), errors.Is(back, e))
		}
	})
}

func FuzzDecodeError(f *testing.F) {
	nested := error(wire.ErrPanic)
	for range 10 {
		nested = &wire.CallError{To: wire.NewID("k", "b"), Method: "F", Cause: nested, Ended: context.Canceled, Call: wire.BlockID{Client: 1}}
	}
	f.Add(wire.AppendError(nil, nested, nil))
	id := wire.BlockID{Client: 1, Seq: 2}
	for _, err := range []error{
		errMoney, errors.New("x"), fmt.Errorf("a: %w: %w: %w", errStock, &tooFew{3}, tooOld{4}), &wire.InDoubt{ID: id},
		&wire.CallError{Cause: wire.ErrUnknown, Call: id}, errors.Join(wire.ErrAborted, wire.ErrCycle),
	} {
		f.Add(wire.AppendError(nil, err, table))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := wire.DecodeError(b, table)
		require.Error(t, err)
		back := travel(err, table)
		require.Equal(t, err.Error(), back.Error())
		var few *tooFew
		require.Equal(t, errors.As(err, &few), errors.As(back, &few))
		require.Equal(t, errors.Is(err, wire.ErrUnknown), errors.Is(back, wire.ErrUnknown))
		_ = wire.DecodeError(b, nil)
	})
}

func FuzzEachField(f *testing.F) {
	f.Add([]byte{})
	f.Add(wire.AppendString(wire.AppendInt(nil, 1, -5), 2, "x"))
	f.Add(wire.AppendFloat64(wire.AppendFloat32(nil, 15, float32(1.5)), 16, 2.5))
	f.Add([]byte{0x0b, 0x0c}) // a group
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		last, sum := -1, 0
		err := wire.EachField(b, func(f wire.Field) error {
			require.Greater(t, f.Offset, last)
			require.Less(t, f.Offset, len(b))
			last = f.Offset
			require.Positive(t, f.Number)
			wrong := 0
			for _, err := range []error{second(f.Uint()), second(f.Fixed32()), second(f.Fixed64()), second(f.Bytes())} {
				if err != nil {
					wrong++
				}
			}
			require.Equal(t, 3, wrong, "a field is of one type")
			v, _ := f.Bytes()
			sum += len(v)
			return nil
		})
		require.LessOrEqual(t, sum, len(b))
		if field := (*wire.FieldError)(nil); err != nil {
			require.ErrorAs(t, err, &field)
			require.LessOrEqual(t, field.Offset, len(b))
		}
	})
}

func second[T any](_ T, err error) error { return err }

// outer is an error whose text is that of another, which hostile bytes leave out.
type outer struct{ Inner error }

func (o *outer) Error() string { return "outer: " + o.Inner.Error() }

// Bytes decide what an error struct holds, so its Error method may have nothing to go on.
func TestErrorStructsOfHostileBytes(t *testing.T) {
	t.Parallel()
	var made *outer
	table := &wire.ErrorTable{Package: "shop", Errors: []wire.ErrorEntry{wire.ErrorStruct(1, wire.Codec[*outer]{
		Append: func(b []byte, e *outer) []byte { return b },
		Decode: func(b []byte) (*outer, error) { return made, nil },
	})}}
	b := wire.AppendError(nil, &outer{errMoney}, table)
	made = &outer{}
	err := wire.DecodeError(b, table)
	require.EqualError(t, err, "outer: not enough money")
	var got *outer
	require.ErrorAs(t, err, &got)
	require.Same(t, made, got)
	made = nil
	err = wire.DecodeError(b, table)
	require.Equal(t, &wire.RemoteError{Text: "outer: not enough money"}, err)
}
