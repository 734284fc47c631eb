package grains_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/wire"
)

func TestAValueNeedsAName(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, `grains: NewValue(""): give the value a name, such as "wine.tenant"`, func() { grains.NewValue[string]("") })
}

// What is no interceptor is refused before any call.
func TestInterceptorsThatAreNone(t *testing.T) {
	t.Parallel()
	none := []grains.Interceptor{func(ctx context.Context, _ grains.CallInfo, next func(context.Context) error) error { return next(ctx) }, nil}
	for field, c := range map[string]silo.Config{"Incoming": {Incoming: none}, "Outgoing": {Outgoing: none}} {
		_, err := silo.Start(t.Context(), c)
		var wrong *silo.ConfigError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, field, wrong.Field)
		require.ErrorContains(t, err, "index 1")
	}
	_, err := cluster.Connect(t.Context(), cluster.Config{Silos: "127.0.0.1:1", Outgoing: none})
	var wrong *cluster.ConfigError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, "Outgoing", wrong.Field)
}

func TestTraitsAreNamed(t *testing.T) {
	t.Parallel()
	require.Equal(t, "readonly, reentrant", fmt.Sprint(wire.Traits{ReadOnly: true, Reentrant: true}))
	require.Equal(t, "none", fmt.Sprint(wire.Traits{}))
	require.Equal(t, "Add", fmt.Sprint(wire.MethodInfo{Name: "Add", Traits: wire.Traits{OneWay: true}}))
}
