package txn_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn"
)

func TestIDOf(t *testing.T) {
	t.Parallel()
	id, other := txn.ID{Client: 4, Seq: 2}, txn.ID{Client: 4, Seq: 3}
	doubt := &txn.InDoubt{ID: id}
	unknown := &grains.CallError{To: wire.NewID("bank.Account", "7"), Method: "Pay", Cause: grains.ErrUnknown, Call: id}
	for name, c := range map[string]struct {
		err  error
		want txn.ID
		ok   bool
	}{
		"none":                      {nil, txn.ID{}, false},
		"another":                   {errors.New("no money"), txn.ID{}, false},
		"in doubt":                  {doubt, id, true},
		"in doubt, wrapped":         {fmt.Errorf("paying: %w", doubt), id, true},
		"in doubt, elsewhere":       {wire.DecodeError(wire.AppendError(nil, doubt, nil), nil), id, true},
		"unknown":                   {unknown, id, true},
		"unknown, wrapped":          {errors.Join(errors.New("x"), unknown), id, true},
		"unknown, elsewhere":        {wire.DecodeError(wire.AppendError(nil, unknown, nil), nil), id, true},
		"not from outside":          {&grains.CallError{Cause: grains.ErrUnknown}, txn.ID{}, false},
		"not executed":              {&grains.CallError{Cause: grains.ErrNotExecuted}, txn.ID{}, false},
		"the block before the call": {fmt.Errorf("%w: %w", &grains.CallError{Cause: grains.ErrUnknown, Call: other}, doubt), id, true},
	} {
		got, ok := txn.IDOf(c.err)
		require.Equal(t, c.ok, ok, name)
		require.Equal(t, c.want, got, name)
	}
}

// coordinator runs a block once.
type coordinator struct {
	wire.Engine
	closure wire.Closure
	err     error
}

func (c *coordinator) Atomic(ctx context.Context, b wire.Closure) error {
	c.closure = b
	if err := b.Run(ctx); err != nil {
		return err
	}
	return c.err
}

// The value is that of the function where the block has committed, and none where it has not; it is kept
// for a retry when the method that began the block returns that type.
func TestValuesOfBlocks(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), &coordinator{}
	number, text := wire.IntCodec[int64](), wire.StringCodec[string]()
	give := func(context.Context) (int64, error) { return 7, nil }
	n, err := txn.AtomicValue(ctx, wire.NewCaller(c), give)
	require.NoError(t, err)
	require.Equal(t, int64(7), n)

	b, kept := c.closure.Encode(number)
	require.True(t, kept)
	require.NoError(t, c.closure.Restore(number, b))
	for _, codec := range []any{text, wire.EmptyCodec, nil} {
		_, kept = c.closure.Encode(codec)
		require.False(t, kept)
		require.ErrorIs(t, c.closure.Restore(codec, b), txn.ErrReplyLost)
	}
	require.Error(t, c.closure.Restore(number, []byte{0xff}))

	for _, fails := range []error{txn.ErrAborted, &txn.InDoubt{}} {
		n, err = txn.AtomicValue(ctx, wire.NewCaller(&coordinator{err: fails}), give)
		require.Equal(t, fails, err)
		require.Zero(t, n)
	}

	require.NoError(t, txn.Atomic(ctx, wire.NewCaller(c), func(context.Context) error { return nil }))
	b, kept = c.closure.Encode(wire.EmptyCodec)
	require.True(t, kept, "a method without a result has the reply that is empty")
	require.Empty(t, b)
	_, kept = c.closure.Encode(number)
	require.False(t, kept)
}

// A committed block whose retry restored another try's value returns that.
func TestRestoredValues(t *testing.T) {
	t.Parallel()
	n, err := txn.AtomicValue(t.Context(), wire.NewCaller(restoring{}), func(context.Context) (int64, error) { return 7, nil })
	require.NoError(t, err)
	require.Equal(t, int64(9), n)
}

type restoring struct{ wire.Engine }

func (restoring) Atomic(ctx context.Context, b wire.Closure) error {
	if err := b.Run(ctx); err != nil {
		return err
	}
	return b.Restore(wire.IntCodec[int64](), wire.PutInt(nil, int64(9)))
}

// State of a struct that no silo made says so.
func TestStateThatIsNotBound(t *testing.T) {
	t.Parallel()
	var s txn.State[int64]
	_, err := s.Read(t.Context())
	require.ErrorIs(t, err, wire.ErrUnbound)
	require.ErrorIs(t, s.Update(t.Context(), func(*int64) error { return nil }), wire.ErrUnbound)
}
