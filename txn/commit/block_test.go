package commit

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/wire"
)

func participant(name string, activation uint64) Participant {
	return Participant{Node: "silo", Grain: wire.NewID("test.Grain", name), Activation: activation}
}

func record(name string, activation, revision uint64, version Attempt) Record {
	return Record{
		Participant: participant(name, activation), Revision: revision,
		Reads:  []Read{{Key: key(name), Version: version}},
		Writes: []Write{{Key: key(name), Value: []byte{byte(revision)}}},
		Ops:    []Operation{{Variable: wire.NewID("test.Var", name), Op: []byte{byte(revision)}}},
	}
}

func newTestBlock() *Block {
	return NewBlock(ID{1, 1}, Timestamp{Time: 5, Client: 1, Seq: 1})
}

func TestBlockMergesTheLatestRecords(t *testing.T) {
	t.Parallel()
	b := newTestBlock()
	b.Join(Participant{Node: "silo", Grain: wire.NewID("test.Grain", "z")})
	require.NoError(t, b.Merge(record("y", 7, 2, Attempt{})))
	require.NoError(t, b.Merge(record("y", 7, 1, Attempt{}))) // late
	require.NoError(t, b.Merge(record("x", 8, 1, attempt(9, 9, 9))))
	b.Operate(Operation{Variable: wire.NewID("test.Var", "own"), Op: []byte("add")})
	require.Equal(t, []Participant{{Node: "silo", Grain: wire.NewID("test.Grain", "z")}, participant("y", 7), participant("x", 8)}, b.Participants())
	d, err := b.Submit([]byte("ok"), true)
	require.NoError(t, err)
	require.Equal(t, Decision{
		Attempt: attempt(1, 1, 1),
		Reads:   []Read{{key("x"), attempt(9, 9, 9)}, {key("y"), Attempt{}}},
		Writes:  []Write{{key("x"), []byte{1}}, {key("y"), []byte{2}}},
		Ops: []Operation{
			{wire.NewID("test.Var", "y"), []byte{2}}, {wire.NewID("test.Var", "x"), []byte{1}},
			{wire.NewID("test.Var", "own"), []byte("add")},
		},
		Reply: []byte("ok"), HasReply: true,
	}, d)
	require.Equal(t, Submitted, b.Phase())
	_, err = b.Submit(nil, false)
	require.Error(t, err)
}

func TestBlockThatCannotCommit(t *testing.T) {
	t.Parallel()
	failed := errors.New("the call's fate is unknown")
	for name, c := range map[string]struct {
		do   func(*Block)
		want error
	}{
		"two versions of one state": {func(b *Block) {
			_ = b.Merge(record("x", 1, 1, Attempt{}))
			other := record("y", 1, 1, Attempt{})
			other.Writes, other.Reads[0] = nil, Read{key("x"), attempt(2, 2, 2)}
			_ = b.Merge(other)
		}, ErrContradiction},
		"two writers of one state": {func(b *Block) {
			_ = b.Merge(record("x", 1, 1, Attempt{}))
			other := record("y", 1, 1, Attempt{})
			other.Reads, other.Writes = record("x", 1, 1, Attempt{}).Reads, record("x", 1, 1, Attempt{}).Writes
			_ = b.Merge(other)
		}, ErrContradiction},
		"a participant activated anew": {func(b *Block) {
			_ = b.Merge(record("x", 1, 3, Attempt{}))
			_ = b.Merge(record("x", 2, 1, Attempt{})) // what the first wrote is lost
		}, ErrContradiction},
		"a failed call": {func(b *Block) { _ = b.Doom(failed); _ = b.Doom(ErrWounded) }, failed},
		"wounded":       {func(b *Block) { require.True(t, b.Wound(b.Attempt())) }, ErrWounded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newTestBlock()
			c.do(b)
			_, err := b.Submit(nil, false)
			require.ErrorIs(t, err, c.want)
			require.ErrorIs(t, b.Err(), c.want)
			v := b.Abandon(nil)
			require.Equal(t, Again, v.Action)
			require.ErrorIs(t, v.Err, c.want)
			require.Equal(t, attempt(1, 1, 2), b.Retry())
			require.Equal(t, Holder{attempt(1, 1, 2), Timestamp{Time: 5, Client: 1, Seq: 1}}, b.Holder())
			require.Empty(t, b.Participants())
			require.NoError(t, b.Err())
		})
	}
}

func TestWoundComesTooLate(t *testing.T) {
	t.Parallel()
	b := newTestBlock()
	require.False(t, b.Wound(attempt(1, 1, 2)), "of another attempt")
	_, err := b.Submit(nil, false)
	require.NoError(t, err)
	require.False(t, b.Wound(b.Attempt()))
	require.NoError(t, b.Doom(ErrWounded))
	b.NotSubmitted()
	require.True(t, b.Wound(b.Attempt()))
	require.Panics(t, func() { b.Retry() })
	own := errors.New("no money")
	require.Equal(t, Verdict{Action: Fail, Err: own}, b.Abandon(own))
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	a := attempt(1, 1, 1)
	stale := []Read{{key("x"), attempt(2, 2, 2)}}
	for name, c := range map[string]struct {
		lost   bool
		result Result
		want   Verdict
	}{
		"committed": {false, Result{Code: Committed, Attempt: a}, Verdict{Action: Answer, Committed: true, Attempt: a}},
		"an earlier one had": {false, Result{Code: AlreadyCommitted, Attempt: attempt(1, 1, 7), Reply: []byte("r"), HasReply: true},
			Verdict{Action: Answer, Attempt: attempt(1, 1, 7), Reply: []byte("r"), HasReply: true}},
		"conflict":           {false, Result{Code: Conflict, Attempt: a, Stale: stale}, Verdict{Action: Again, Stale: stale, Err: ErrConflict}},
		"refused before":     {true, Result{Code: Refused, Attempt: a}, Verdict{Action: Again, Err: ErrConflict}},
		"lost, aborted":      {true, Result{Code: Aborted, Attempt: a}, Verdict{Action: Again, Err: ErrConflict}},
		"lost, committed":    {true, Result{Code: Committed, Attempt: a}, Verdict{Action: Answer, Committed: true, Attempt: a}},
		"aborted by another": {false, Result{Code: Refused, Attempt: attempt(1, 1, AllAttempts)}, Verdict{Action: Fail, Err: ErrRefused}},
		"taken over": {false, Result{Code: Refused, Attempt: attempt(1, 1, 9)},
			Verdict{Action: InDoubt, Err: &InDoubtError{ID: a.ID, Err: ErrTakenOver}}},
		"forgotten, sent once": {false, Result{Code: Forgotten}, Verdict{Action: Fail, Err: ErrClientGone}},
		"forgotten, lost": {true, Result{Code: Forgotten},
			Verdict{Action: InDoubt, Err: &InDoubtError{ID: a.ID, Err: ErrClientGone}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newTestBlock()
			_, err := b.Submit(nil, false)
			require.NoError(t, err)
			if c.lost {
				require.Equal(t, Verdict{Action: Ask, Inquire: Inquire{ID: a.ID, N: 1}}, b.Lost())
				require.Equal(t, Asking, b.Phase())
			}
			require.Equal(t, c.want, b.Resolved(c.result))
			require.Equal(t, Ended, b.Phase())
		})
	}
	b := newTestBlock()
	_, _ = b.Submit(nil, false)
	v := b.Resolved(Result{Code: Invalid, Attempt: a, Reason: "no such thing"})
	require.Equal(t, Fail, v.Action)
	require.EqualError(t, v.Err, "atomic block 1.1 was refused: no such thing")

	b = newTestBlock()
	_, _ = b.Submit(nil, false)
	b.Lost()
	v = b.GiveUp(errors.New("deadline exceeded"))
	require.Equal(t, InDoubt, v.Action)
	var doubt *InDoubtError
	require.ErrorAs(t, v.Err, &doubt)
	require.Equal(t, ID{1, 1}, doubt.ID)
	require.EqualError(t, v.Err, "atomic block 1.1: in doubt: it was submitted and its outcome is not known: deadline exceeded")
}

func TestABlockThatTakesAnIDOver(t *testing.T) {
	t.Parallel()
	b := NewBlockAfter(ID{1, 1}, Timestamp{Time: 9, Client: 1, Seq: 1}, 100)
	require.Equal(t, attempt(1, 1, 101), b.Attempt())
	require.NoError(t, b.Merge(record("x", 1, 1, attempt(2, 2, 2))))
	require.Equal(t, []Read{{key("x"), attempt(2, 2, 2)}}, b.Reads())
}
