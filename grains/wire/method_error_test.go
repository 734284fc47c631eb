package wire_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/wire"
)

var errKnown = errors.New("known")

// That a call inside a method was not executed must not tell the method's caller that the method was not.
func TestNotExecutedDoesNotLeakThroughMethods(t *testing.T) {
	t.Parallel()
	table := &wire.ErrorTable{Errors: []wire.ErrorEntry{wire.Sentinel(1, errKnown)}}
	nested := fmt.Errorf("half done: %w: %w", errKnown, &wire.CallError{To: wire.NewID("k", "b"), Method: "F", Cause: wire.ErrNotExecuted})
	for name, seen := range map[string]error{
		"here":      wire.MethodError(nested, table),
		"elsewhere": wire.DecodeError(wire.AppendMethodError(nil, nested, table), table),
	} {
		require.NotErrorIs(t, seen, wire.ErrNotExecuted, name)
		require.ErrorIs(t, seen, errKnown, name)
		require.Equal(t, nested.Error(), seen.Error(), name)
	}
	plain := errors.New("plain")
	require.Equal(t, plain, wire.MethodError(plain, table), "any other error is passed on as it is")
}

// Nor that it found no lease, which would say the same; where the call itself found none, that is one of its
// not having been executed.
func TestNoLeaseDoesNotLeakThroughMethods(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, wire.ErrNoLease, wire.ErrNotExecuted)
	nested := &wire.CallError{To: wire.NewID("k", "b"), Method: "F", Cause: wire.ErrNoLease}
	for _, seen := range []error{wire.MethodError(nested, nil), wire.DecodeError(wire.AppendMethodError(nil, nested, nil), nil)} {
		require.NotErrorIs(t, seen, wire.ErrNoLease)
		require.NotErrorIs(t, seen, wire.ErrNotExecuted)
		require.EqualError(t, seen, nested.Error())
	}
	require.ErrorIs(t, wire.DecodeError(wire.AppendError(nil, nested, nil), nil), wire.ErrNoLease)
	fenced := wire.DecodeError(wire.AppendError(nil, wire.ErrFenced, nil), nil)
	require.NotErrorIs(t, fenced, wire.ErrFenced, "it is of one silo's turn alone")
}

type bigError struct{ text string }

func (e bigError) Error() string { return "big" }

func TestLargeErrorStructsKeepTheirTextAlone(t *testing.T) {
	t.Parallel()
	codec := wire.Codec[bigError]{
		Append: func(b []byte, e bigError) []byte { return append(b, e.text...) },
		Decode: func(b []byte) (bigError, error) { return bigError{string(b)}, nil },
	}
	table := &wire.ErrorTable{Errors: []wire.ErrorEntry{wire.ErrorStruct(1, codec)}}
	for size, kept := range map[int]bool{1000: true, 65 << 10: false} {
		seen := wire.DecodeError(wire.AppendError(nil, bigError{strings.Repeat("x", size)}, table), table)
		require.Equal(t, kept, errors.As(seen, new(bigError)), size)
		require.Equal(t, "big", seen.Error())
	}
}

// A grain's struct that was made by hand refuses, rather than panics.
func TestNowhere(t *testing.T) {
	t.Parallel()
	var g wire.Grain
	require.True(t, g.GrainID().IsZero())
	e := wire.Of(&g)
	ctx := t.Context()
	require.ErrorIs(t, e.Atomic(ctx, wire.Closure{}), wire.ErrUnbound)
	require.ErrorIs(t, e.Mutate(ctx, wire.ID{}, nil), wire.ErrUnbound)
	require.ErrorIs(t, e.Read(ctx, wire.ID{}, nil), wire.ErrUnbound)
	_, err := e.Follow(ctx, "x")
	require.ErrorIs(t, err, wire.ErrUnbound)
	require.NotPanics(t, func() { wire.NewRef(&g, "k", "x") })
}
