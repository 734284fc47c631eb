package host_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// The interface as builds know it: two of one lineage, and one that has begun anew.
var (
	older   = wire.Interface{Kind: kindName, Version: 2, Fingerprint: 0xa2, Lineage: 0xa1}
	newer   = wire.Interface{Kind: kindName, Version: 3, Fingerprint: 0xa3, Lineage: 0xa1}
	foreign = wire.Interface{Kind: kindName, Version: 9, Fingerprint: 0xb9, Lineage: 0xb9}
)

// echo is a method that returns its argument.
func echo[A any](number uint32, of *wire.Interface, codec wire.Codec[A]) *wire.Method[A, A] {
	return &wire.Method[A, A]{
		Number: number, Name: "Echo", Of: of, Args: codec, Result: codec,
		Do: func(_ context.Context, _ any, a A) (A, error) { return a, nil },
	}
}

// build gives a silo a build's methods.
func build(n *node, methods ...wire.Handler) {
	n.host.Kinds[kindName] = wire.NewKind(kindName, wire.KindOptions{}, func(*wire.Grain) *grain { return &grain{world: &world{}} }, methods...)
}

func TestBuildsTalk(t *testing.T) {
	t.Parallel()
	number, text := wire.IntCodec[int64](), wire.StringCodec[string]()
	for name, test := range map[string]struct {
		silo, caller *wire.Interface
		method       uint32
	}{
		"of the same build":           {&newer, &newer, 1},
		"new code calls old":          {&older, &newer, 1},
		"old code calls new":          {&newer, &older, 1},
		"a caller that does not tell": {&newer, nil, 1},
		"a silo that does not tell":   {nil, &foreign, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, 2)
			build(w.silos[1], echo(1, test.silo, number))
			at := wire.NewRef(w.silos[0], kindName, w.key(1, 0))
			got, err := wire.Call(within(t, 10e9), at, echo(test.method, test.caller, number), 7)
			require.NoError(t, err)
			require.EqualValues(t, 7, got)
		})
	}
	for name, test := range map[string]struct {
		silo, caller *wire.Interface
		call         func(context.Context, wire.Ref) error
		is           error
		says         []string
	}{
		"another lineage": {&foreign, &newer, nil, grains.ErrIncompatible,
			[]string{"version 3 (fingerprint 00000000000000a3)", "version 9 (fingerprint 00000000000000b9)", "00000000000000a1", "grain_gen.lock"}},
		"another lineage, from the other side": {&newer, &foreign, nil, grains.ErrIncompatible,
			[]string{"version 3 (fingerprint 00000000000000a3)", "version 9 (fingerprint 00000000000000b9)"}},
		"a method that the silo lacks": {&older, &newer, func(ctx context.Context, at wire.Ref) error {
			_, err := wire.Call(ctx, at, echo(2, &newer, number), 7)
			return err
		}, grains.ErrNoSuchMethod, []string{"version 2", "version 3", "method number 2", "finish the upgrade"}},
		"a method that the silo lacks, and nobody tells": {nil, nil, func(ctx context.Context, at wire.Ref) error {
			_, err := wire.Call(ctx, at, echo(2, nil, number), 7)
			return err
		}, grains.ErrNoSuchMethod, []string{"a version that it does not tell", "method number 2"}},
		"arguments that the silo cannot read": {&older, &newer, func(ctx context.Context, at wire.Ref) error {
			_, err := wire.Call(ctx, at, echo(1, &newer, text), "seven")
			return err
		}, grains.ErrIncompatible, []string{"version 2", "version 3", "arguments of Echo: cannot decode"}},
		"arguments that the silo cannot read, from the other side": {&newer, &older, func(ctx context.Context, at wire.Ref) error {
			_, err := wire.Call(ctx, at, echo(1, &older, text), "seven")
			return err
		}, grains.ErrIncompatible, []string{"version 2", "version 3", "arguments of Echo: cannot decode"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, 2)
			build(w.silos[1], echo(1, test.silo, number))
			if test.call == nil {
				test.call = func(ctx context.Context, at wire.Ref) error {
					_, err := wire.Call(ctx, at, echo(1, test.caller, number), 7)
					return err
				}
			}
			err := test.call(within(t, 10e9), wire.NewRef(w.silos[0], kindName, w.key(1, 0)))
			require.ErrorIs(t, err, test.is)
			require.NotErrorIs(t, err, grains.ErrUnknown)
			require.Equal(t, test.is == grains.ErrNoSuchMethod, errors.Is(err, grains.ErrNotExecuted))
			for _, part := range append(test.says, "silo silo-1 ", "called from silo-0", kindName) {
				require.ErrorContains(t, err, part)
			}
		})
	}
}

// On the silo of the caller there is one build: nothing is compared.
func TestLocalCallsCompareNothing(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	build(w.silos[0], echo(1, &newer, wire.IntCodec[int64]()))
	_, err := wire.Call(within(t, 10e9), wire.NewRef(w.silos[0], kindName, "a"), echo(1, &foreign, wire.IntCodec[int64]()), 7)
	require.NoError(t, err)
}

// Without the check, what one build calls the sum is what the other calls the product.
func TestLineagesAreKeptApart(t *testing.T) {
	t.Parallel()
	for _, faults := range [][]host.Fault{nil, {host.MixLineages}} {
		w := start(t, 2, faults...)
		double := echo(1, &foreign, wire.IntCodec[int64]())
		double.Do = func(_ context.Context, _ any, a int64) (int64, error) { return 2 * a, nil }
		build(w.silos[1], double)
		got, err := wire.Call(within(t, 10e9), wire.NewRef(w.silos[0], kindName, w.key(1, 0)), echo(1, &newer, wire.IntCodec[int64]()), 7)
		if faults == nil {
			require.ErrorIs(t, err, grains.ErrIncompatible)
			continue
		}
		require.NoError(t, err, "without the check the wrong method has run")
		require.EqualValues(t, 14, got)
	}
}

// A silo of an old build that has given a grain to one of the new does not refuse the new one's methods.
func TestAnOldSiloSendsOnWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := unseen(t, 2)
	number := wire.IntCodec[int64]()
	build(w.silos[0], echo(1, &older, number))
	build(w.silos[1], echo(1, &newer, number), echo(2, &newer, number))
	w.up(1, w.silos[0])
	c := w.client()
	key := w.key(1, 0)
	w.up(2, w.silos...) // the client does not know of it yet
	got, err := wire.Call(within(t, 10e9), wire.NewRef(c, kindName, key), echo(2, &newer, number), 7)
	require.NoError(t, err)
	require.EqualValues(t, 7, got)
}
