package flow_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt/flow"
)

func stateOf(t require.TestingT, op *flow.Operator) []byte {
	state, err := op.AppendState(nil)
	require.NoError(t, err)
	return state
}

func TestRestoreRefusesWhatIsNoState(t *testing.T) {
	t.Parallel()
	op := joinMeets.new(t)
	_, err := op.Apply(0, change(likeCodec, +1, like{"ann", "barolo"}))
	require.NoError(t, err)
	_, err = op.Apply(1, change(countCodec, +1, price{Key: "barolo", Value: 2}))
	require.NoError(t, err)
	state := stateOf(t, op)
	refused := func(bad []byte, want string) {
		var e *flow.StateError
		require.ErrorAs(t, op.Restore(bad), &e)
		require.ErrorContains(t, e, want)
		require.Equal(t, "priced", e.Node)
		require.Equal(t, state, stateOf(t, op), "nothing has changed")
	}
	for cut := range state {
		refused(state[:cut], `flow: this is no state of node "priced" at byte`)
	}
	refused(append(bytes.Clone(state), 0), "field 3 is missing")
	refused(append([]byte{8, 2}, state[2:]...), "its version is 2, not 1")
	refused(append([]byte{8, 0x81, 0}, state[2:]...), "not in its shortest form")
	refused(stateOf(t, productMeets.new(t)), "it was made by other code")
	refused(append(bytes.Clone(state), 3<<3|2, 0), "3 inputs are held, not two")

	var malformed *flow.BatchError
	require.ErrorAs(t, op.Restore(append(bytes.Clone(state[:11]), 3<<3|2, 1, 9, 3<<3|2, 0)), &malformed)
	require.NoError(t, op.Restore(state))
	require.NoError(t, op.Restore(stateOf(t, joinMeets.new(t))), "an empty state is one, too")
	require.Zero(t, op.Work().Entries)
}

func TestRestoreMendsABrokenOperator(t *testing.T) {
	t.Parallel()
	op := one(t, flow.Join("first-letter", source, func(l like) string { return l.Value[:1] }, other, wine), likesPair)
	_, err := op.Apply(0, change(likeCodec, +1, like{"ann", "x"}))
	require.NoError(t, err)
	state := stateOf(t, op)
	require.Panics(t, func() { _, _ = op.Apply(0, change(likeCodec, +1, like{"ann", ""})) })
	_, err = op.AppendState(nil)
	require.ErrorIs(t, err, flow.ErrBroken)
	_, err = op.Apply(1, nil)
	require.ErrorIs(t, err, flow.ErrBroken)
	_, err = op.Replace([][][]byte{nil, nil})
	require.ErrorIs(t, err, flow.ErrBroken)
	require.NoError(t, op.Restore(state))
	require.Equal(t, state, stateOf(t, op))
}

func TestRestoreOfANetworkRefusesWhatIsNoState(t *testing.T) {
	t.Parallel()
	n := newNet(t)
	require.NoError(t, n.Push("source", 1, change(likeCodec, +1, like{"ann", "barolo"})))
	_, err := n.Run()
	require.NoError(t, err)
	state, err := n.AppendState(nil)
	require.NoError(t, err)
	refused := func(bad []byte) {
		var e *flow.StateError
		require.ErrorAs(t, n.Restore(bad), &e)
		again, err := n.AppendState(nil)
		require.NoError(t, err)
		require.Equal(t, state, again, "nothing has changed")
	}
	for cut := range state {
		refused(state[:cut])
	}
	refused(append(bytes.Clone(state), 2<<3|2, 0))
	refused(append([]byte{8, 9}, state[2:]...))
	require.NoError(t, n.Restore(state))
}

// Whatever is restored is the state that its bytes say, and nothing panics.
func FuzzRestoreOperator(f *testing.F) {
	op := joinMeets.new(f)
	_, _ = op.Apply(0, change(likeCodec, +2, like{"ann", "barolo"}))
	_, _ = op.Apply(1, change(countCodec, -1, price{Key: "barolo", Value: 2}))
	f.Add(stateOf(f, op))
	f.Add(stateOf(f, joinMeets.new(f)))
	f.Fuzz(func(t *testing.T, state []byte) {
		op := joinMeets.new(t)
		if err := op.Restore(state); err == nil {
			require.Equal(t, state, stateOf(t, op))
		}
	})
}

func FuzzRestoreNetwork(f *testing.F) {
	n := newNet(f)
	require.NoError(f, n.Push("source", 1, change(likeCodec, +1, like{"ann", "barolo"})))
	require.NoError(f, n.Push("prices", 1, change(countCodec, +1, price{Key: "barolo", Value: 2})))
	_, err := n.Run()
	require.NoError(f, err)
	state, err := n.AppendState(nil)
	require.NoError(f, err)
	f.Add(state)
	f.Fuzz(func(t *testing.T, state []byte) {
		n := newNet(t)
		if err := n.Restore(state); err == nil {
			again, err := n.AppendState(nil)
			require.NoError(t, err)
			require.Equal(t, state, again)
		}
	})
}
