package variable_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// A node that was not given a variable, or given another of that name, says so and what to do.
func TestDeclarationsThatTheNodeDoesNotShare(t *testing.T) {
	t.Parallel()
	n, ctx := newNode(1), t.Context()
	stranger := variable.Set[string]("test.stranger").On(n.place())
	for _, err := range []error{
		stranger.Add(ctx, "a"), stranger.Add(ctx), stranger.Assign(ctx, func(func(string) bool) {}),
		variable.Counter("test.stranger").On(n.place()).Add(ctx, 1),
	} {
		require.ErrorIs(t, err, grains.ErrNoSuchKind)
		require.ErrorContains(t, err, "variable test.stranger: ")
		require.ErrorContains(t, err, "add the Shared() of its package to this node's Config.Grains")
	}
	hidden := variable.Set[int64]("test.tags").On(n.place())
	counter := variable.Counter("test.tags").On(n.place())
	_, readOther := hidden.All(ctx)
	_, readCounter := counter.Value(ctx)
	for _, err := range []error{hidden.Add(ctx, 1), counter.Add(ctx, 1), readOther, readCounter} {
		require.ErrorIs(t, err, grains.ErrNoSuchKind)
		require.ErrorContains(t, err, "variable test.tags is used as *crdt.")
		require.ErrorContains(t, err, "and this node was given it as *crdt.Set[string]: two declarations share the name")
	}
}

func TestFamilies(t *testing.T) {
	t.Parallel()
	n, ctx := newNode(1), t.Context()
	require.Equal(t, wire.NewID("test.tags-by", "-4"), tagsBy.At(n.place(), -4).ID())
	require.Equal(t, "test.tags-by/-4", tagsBy.At(n.place(), -4).String())
	require.NoError(t, tagsBy.At(n.place(), -4).Add(ctx, "a"))
	require.NoError(t, tagsBy.At(n.place(), 7).Add(ctx, "a"))
	require.NoError(t, tagsBy.At(n.place(), 7).Remove(ctx, "a"))
	keys := func() (all []int64, err error) {
		for k, err := range tagsBy.Keys(ctx, n.place()) {
			if err != nil {
				return all, err
			}
			all = append(all, k)
		}
		return all, nil
	}
	all, err := keys()
	require.NoError(t, err)
	require.Equal(t, []int64{-4}, all, "what holds nothing is not there")
	k, err := tagsBy.ParseKey("-4")
	require.NoError(t, err)
	require.Equal(t, int64(-4), k)

	_, err = n.object(wire.NewID("test.tags-by", "seven")).Join(n.made[0].delta)
	require.NoError(t, err)
	_, err = keys()
	var bad *wire.KeyError
	require.ErrorAs(t, err, &bad)
	require.ErrorContains(t, err, `key "seven" of test.tags-by`)
}

// A type that cannot be a key is refused by whoever is given the variable, and by each use of it.
func TestFamiliesOfTypesThatAreNoKeys(t *testing.T) {
	t.Parallel()
	wrong := variable.By[float64](variable.Set[string]("test.wrong"))
	kind := variable.SetKindBy(wrong, text)
	require.Error(t, kind.Variable().Problem)

	quiet := slog.New(slog.DiscardHandler)
	_, err := silo.Start(t.Context(), silo.Config{Grains: []grains.Kind{kind}, Logger: quiet})
	var refused *silo.ConfigError
	require.ErrorAs(t, err, &refused)
	require.EqualError(t, err, `silo: Config.Grains: variable "test.wrong": float64 cannot be a key: a key is a string, an int64, a [16]byte, a type made of one of them, or a struct of them`)
	_, err = cluster.Connect(t.Context(), cluster.Config{Silos: "127.0.0.1:1", Grains: []grains.Kind{kind}, Logger: quiet})
	require.ErrorContains(t, err, "float64 cannot be a key")

	n := newNode(1)
	require.ErrorIs(t, wrong.At(n.place(), 1.5).Add(t.Context(), "a"), grains.ErrNoSuchKind)
	_, err = wrong.ParseKey("1.5")
	var bad *wire.KeyError
	require.ErrorAs(t, err, &bad)
	var errs []error
	for _, err := range wrong.Keys(t.Context(), n.place()) {
		errs = append(errs, err)
	}
	require.Len(t, errs, 1)
	require.ErrorAs(t, errs[0], &bad)
}

func TestDeclaredTwice(t *testing.T) {
	t.Parallel()
	both := []grains.Kind{variable.SetKind(tags, text), variable.CounterKind(variable.Counter("test.tags"))}
	_, err := silo.Start(t.Context(), silo.Config{Grains: both, Logger: slog.New(slog.DiscardHandler)})
	var refused *silo.ConfigError
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, `kind "test.tags" is there twice`)
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	for want, options := range map[int][]variable.Option{
		0: nil, wire.Everywhere: {variable.Everywhere}, 5: {variable.Replicas(5)}, 1: {variable.Replicas(-3)}, 2: {variable.Everywhere, variable.Replicas(2)},
	} {
		v := variable.Set[string]("test.kept", options...)
		require.Equal(t, want, variable.SetKind(v, text).Variable().Replicas)
		require.Equal(t, want, variable.SetKindBy(variable.By[string](v), text).Variable().Replicas)
	}
}
