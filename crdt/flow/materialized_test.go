package flow_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt/flow"
)

func TestMaterializedReset(t *testing.T) {
	t.Parallel()
	m := flow.NewMaterialized(textCodec)
	born, died, err := m.Apply(change(textCodec, 2, "d", "a", "b"))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "d"}, born)
	require.Empty(t, died)

	born, died, err = m.Reset([][]byte{change(textCodec, 1, "b"), change(textCodec, 1, "c", "e")})
	require.NoError(t, err)
	require.Equal(t, []string{"c", "e"}, born)
	require.Equal(t, []string{"a", "d"}, died)
	require.Equal(t, 3, m.Len())
	require.EqualValues(t, 1, m.Weight("b"))

	var malformed *flow.BatchError
	_, _, err = m.Reset([][]byte{change(textCodec, 1, "z"), {1}})
	require.ErrorAs(t, err, &malformed)
	require.ErrorContains(t, err, "snapshot batch 2 of 2")
	_, _, err = m.Apply([]byte{1})
	require.ErrorAs(t, err, &malformed)
	require.ElementsMatch(t, []string{"b", "c", "e"}, slices.Collect(m.All()))

	for range m.All() {
		break
	}
	// What has gone below nothing is not there, and is not yielded.
	born, died, err = m.Apply(change(textCodec, -2, "b"))
	require.NoError(t, err)
	require.Empty(t, born)
	require.Equal(t, []string{"b"}, died)
	require.False(t, m.Contains("b"))
	require.Zero(t, m.Weight("b"))
	require.ElementsMatch(t, []string{"c", "e"}, slices.Collect(m.All()))
}
