package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/shop"
	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/shop/server"
	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/wine"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// engine hosts kinds, and sends every call through the encoders if it is remote.
type engine struct {
	wire.Engine
	remote bool
	kinds  map[string]wire.Kind
	active map[wire.ID]any
}

func newEngine(remote bool, kinds []grains.Kind) *engine {
	e := &engine{remote: remote, kinds: map[string]wire.Kind{}, active: map[wire.ID]any{}}
	for _, k := range kinds {
		e.kinds[k.Name()] = k
	}
	return e
}

func (e *engine) Call(ctx context.Context, to wire.ID, c wire.Invocation) error {
	kind, ok := e.kinds[to.Kind()]
	if !ok {
		return &wire.CallError{To: to, Method: c.Method().Info().Name, Cause: wire.ErrNoSuchKind}
	}
	impl := e.active[to]
	if impl == nil {
		core := wire.NewCore(to, activation{e, wire.NewStreams(0, func() {})})
		impl = kind.Grain().New(core.NewGrain())
		e.active[to] = impl
	}
	if !e.remote {
		return c.Run(ctx, impl)
	}
	m := kind.Grain().Method(c.Method().Info().Number)
	reply, err := m.Serve(ctx, impl, c.AppendArgs(nil), nil)
	if err != nil {
		return c.DecodeError(wire.AppendError(nil, err, m.ErrorTable()))
	}
	return c.DecodeResult(reply)
}

// activation takes every update at once.
type activation struct {
	*engine
	streams *wire.Streams
}

func (a activation) Streams() *wire.Streams { return a.streams }

func (activation) Panicked(method string, value any, stack []byte) error {
	return fmt.Errorf("%s: %v\n%s", method, value, stack)
}

func (activation) Yielded(context.Context) error { return nil }

func (activation) Aside(_ context.Context, wait func() error) error { return wait() }

func (activation) Deactivate() {}

func (activation) KeepAlive(time.Duration) {}

func (activation) Touch(context.Context, wire.Cell) error { return nil }

func (activation) Changed(_ context.Context, c wire.Cell) error {
	if err := c.Load(c.AppendDraft(nil)); err != nil {
		return err
	}
	return nil
}

func TestCallsThroughGeneratedCode(t *testing.T) {
	t.Parallel()
	for _, remote := range []bool{false, true} {
		t.Run(fmt.Sprint("remote=", remote), func(t *testing.T) {
			t.Parallel()
			c := wire.NewCaller(newEngine(remote, server.Grains()))
			till := shop.GetTill(c, 7)
			require.Equal(t, "shop.Till/7", fmt.Sprint(till))
			require.Equal(t, shop.GetTill(c, 7), till)
			require.NotEqual(t, shop.GetTill(c, 8), till)

			require.NoError(t, till.Pay(t.Context(), 30, ""))
			require.NoError(t, till.Pay(t.Context(), 12, ""))
			r, err := till.Receipt(t.Context())
			require.NoError(t, err)
			require.Equal(t, shop.Receipt{Sum: 42}, r)

			err = till.Pay(t.Context(), -3, "")
			var short *shop.Short
			require.ErrorAs(t, err, &short)
			require.Equal(t, int64(3), short.Cents)
		})
	}
}

type silent struct{}

func (silent) Send(to, text string) error { return nil }
func (silent) Note(text string)           {}

func TestLists(t *testing.T) {
	t.Parallel()
	names := func(kinds []grains.Kind) (all []string) {
		for _, k := range kinds {
			all = append(all, k.Name())
		}
		return all
	}
	shared := []string{"favorites", "recs", "shown", "total", "front", "orders", "likes", "together", "popular"}
	require.Equal(t, shared, names(wine.Shared()))
	require.Equal(t, append(shared, "wine.User", "wine.Cellar", "recommend"), names(wine.Grains(silent{}, silent{})))
	require.Equal(t, []string{"shop.Till"}, names(server.Grains()))
	require.Empty(t, server.Shared())
}

// The graph compiles with the codecs that were generated.
func TestGraph(t *testing.T) {
	t.Parallel()
	var nodes []flow.Bound
	for _, k := range wine.Shared() {
		if n := k.Node(); n != nil {
			nodes = append(nodes, n.Bound)
		}
		if v := k.Variable(); v != nil && k.Name() == "favorites" {
			nodes = append(nodes, v.Source.Bound)
		}
	}
	g, err := flow.Compile(nodes)
	require.NoError(t, err)
	_, err = g.New("popular")
	require.NoError(t, err)
}

func TestKeysOfGrains(t *testing.T) {
	t.Parallel()
	c := wire.NewCaller(newEngine(true, nil))
	a := wine.GetCellar(c, wine.Bottle{Wine: "a,b", Year: 1})
	b := wine.GetCellar(c, wine.Bottle{Wine: `a\`, Year: 1})
	require.Equal(t, `wine.Cellar/a\,b,1`, fmt.Sprint(a))
	require.NotEqual(t, a.GrainID(), b.GrainID())
	err := a.Take(t.Context(), 1)
	require.True(t, errors.Is(err, grains.ErrNoSuchKind), err)
	require.ErrorContains(t, err, `wine.Cellar/a\,b,1.Take`)
}
