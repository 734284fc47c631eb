package consensus

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A leader that has been replaced may still be handed answers to what it had sent before, and would take
// them for a yes to a question that it put later. So a question is settled by nothing but an entry that
// was submitted after it.
func TestQuestionIsNotAnsweredByWhatWasSubmittedBefore(t *testing.T) {
	t.Parallel()
	q := newTestQueue(t)
	before := q.put(t, "before")
	q.waitTaken(t)
	question := &Pending{read: true, queue: q.queue, done: make(chan struct{})}
	require.NoError(t, q.add(question))

	q.raft.answer(0, nil)
	_, err := before.Wait(within(t, patienceOfTests))
	require.NoError(t, err)
	q.waitTaken(t) // an entry of its own, empty
	select {
	case <-question.done:
		require.Fail(t, "settled by an answer to what was asked before")
	default:
	}
	require.Equal(t, []int{1, 0}, q.raft.sizes())
	q.raft.answer(1, nil)
	_, err = question.Wait(within(t, patienceOfTests))
	require.NoError(t, err)
}

// A check of leadership by messages would cost no entry, and could be answered too early.
func TestQuestionCostsAnEntry(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	g := c.groups[c.leader()]
	for range 3 {
		before := g.Stats().Batches
		_, err := g.ReadIndex(within(t, patienceOfTests))
		require.NoError(t, err)
		require.Greater(t, g.Stats().Batches, before)
	}
}
