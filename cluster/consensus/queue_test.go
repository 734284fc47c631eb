package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// fakeRaft takes batches and answers when it is told to.
type fakeRaft struct {
	mu      sync.Mutex
	batches [][][]byte
	answers []*fakeFuture
	took    chan struct{}
}

type fakeFuture struct {
	done chan struct{}
	err  error
	out  outcome
}

func (f *fakeFuture) Error() error  { <-f.done; return f.err }
func (f *fakeFuture) Response() any { return f.out }
func (f *fakeFuture) Index() uint64 { return 0 }

func (f *fakeRaft) apply(data []byte, _ time.Duration) raft.ApplyFuture {
	entries, err := splitBatch(data)
	if err != nil {
		panic(err)
	}
	future := &fakeFuture{done: make(chan struct{})}
	f.mu.Lock()
	f.batches, f.answers = append(f.batches, entries), append(f.answers, future)
	f.mu.Unlock()
	f.took <- struct{}{}
	return future
}

func (f *fakeRaft) answer(i int, err error) {
	f.mu.Lock()
	future, entries := f.answers[i], f.batches[i]
	f.mu.Unlock()
	future.err, future.out = err, outcome{first: 1, term: 1, results: entries}
	close(future.done)
}

func (f *fakeRaft) sizes() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []int
	for _, b := range f.batches {
		out = append(out, len(b))
	}
	return out
}

type testQueue struct {
	*queue
	raft *fakeRaft

	mu   sync.Mutex
	hold error
}

func newTestQueue(t *testing.T) *testQueue {
	q := &testQueue{raft: &fakeRaft{took: make(chan struct{}, 1000)}}
	q.queue = &queue{
		apply: q.raft.apply,
		ready: func() error {
			q.mu.Lock()
			defer q.mu.Unlock()
			return q.hold
		},
		leader:   func() Server { return Server{ID: "other", Addr: "o:1"} },
		wake:     make(chan struct{}, 1),
		stopped:  make(chan struct{}),
		inFlight: map[*batch]struct{}{},
	}
	q.idle.Add(1)
	go q.run()
	t.Cleanup(q.stop)
	return q
}

func (q *testQueue) set(err error) {
	q.mu.Lock()
	q.hold = err
	q.mu.Unlock()
	q.poke()
}

func (q *testQueue) put(t *testing.T, entry string) *Pending {
	t.Helper()
	p := &Pending{entry: []byte(entry), queue: q.queue, done: make(chan struct{})}
	require.NoError(t, q.add(p))
	return p
}

func (q *testQueue) waitTaken(t *testing.T) {
	t.Helper()
	select {
	case <-q.raft.took:
	case <-time.After(patienceOfTests):
		require.FailNow(t, "no batch was submitted")
	}
}

func TestWhatWaitsTogetherGoesTogether(t *testing.T) {
	t.Parallel()
	q := newTestQueue(t)
	first := q.put(t, "first")
	q.waitTaken(t)
	var rest []*Pending
	for range 10 {
		rest = append(rest, q.put(t, "x"))
	}
	q.raft.answer(0, nil)
	q.waitTaken(t)
	q.raft.answer(1, nil)
	for _, p := range append(rest, first) {
		_, err := p.Wait(within(t, patienceOfTests))
		require.NoError(t, err)
	}
	require.Equal(t, []int{1, 10}, q.raft.sizes())
}

func TestFullQueueSendsASecondBatchAndNoThird(t *testing.T) {
	t.Parallel()
	q := newTestQueue(t)
	q.put(t, "first")
	q.waitTaken(t)
	big := string(make([]byte, batchFull/4))
	for range 4 {
		q.put(t, big)
	}
	q.waitTaken(t) // the second
	for range 8 {
		q.put(t, big)
	}
	require.Len(t, q.raft.sizes(), 2)
	q.raft.answer(0, nil)
	q.waitTaken(t)
	require.Len(t, q.raft.sizes(), 3)
}

func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	q := newTestQueue(t)
	q.set(errHold)
	big := string(make([]byte, batchLimit/3))
	for range 7 {
		q.put(t, big)
	}
	q.put(t, string(make([]byte, 2*batchLimit))) // alone, but not stuck
	q.set(nil)
	for i := range 5 {
		q.waitTaken(t)
		q.raft.answer(i, nil)
		if i == 3 {
			break
		}
	}
	require.Equal(t, []int{2, 2, 2, 1}, q.raft.sizes()[:4])
}

// A leader whose first entry is not applied yet must not submit.
func TestNothingIsSubmittedBeforeLeadershipIsConfirmed(t *testing.T) {
	t.Parallel()
	q := newTestQueue(t)
	q.set(errHold)
	p := q.put(t, "x")
	for range 100 {
		require.False(t, q.step())
	}
	require.Empty(t, q.raft.sizes())

	q.set(&NotLeader{})
	_, err := p.Wait(within(t, patienceOfTests))
	require.ErrorIs(t, err, ErrNotLeader)

	q.set(errHold)
	p = q.put(t, "y")
	q.set(nil)
	q.waitTaken(t)
	q.raft.answer(0, nil)
	result, err := p.Wait(within(t, patienceOfTests))
	require.NoError(t, err)
	require.Equal(t, "y", string(result))
}

func TestContextBeforeAndAfterSubmission(t *testing.T) {
	t.Parallel()
	q := newTestQueue(t)
	sent := q.put(t, "sent")
	q.waitTaken(t)
	kept := q.put(t, "kept") // waits behind it
	ended, cancel := context.WithCancel(t.Context())
	cancel()

	_, err := kept.Wait(ended)
	require.ErrorIs(t, err, ErrNotSubmitted)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrInDoubt)

	_, err = sent.Wait(ended)
	require.ErrorIs(t, err, ErrInDoubt)
	require.ErrorIs(t, err, context.Canceled)

	q.raft.answer(0, nil)
	result, err := sent.Wait(t.Context()) // who asks again learns it
	require.NoError(t, err)
	require.Equal(t, "sent", string(result))
	require.Equal(t, []int{1}, q.raft.sizes(), "what was withdrawn must not be submitted")
}

// Raft does not answer what it had queued when it was shut down.
func TestShutdownWithAPendingApplyIsInDoubt(t *testing.T) {
	t.Parallel()
	q := newTestQueue(t)
	sent := q.put(t, "sent")
	q.waitTaken(t)
	waits := q.put(t, "waits")
	q.stop()
	q.abandon()
	_, err := sent.Wait(t.Context())
	require.ErrorIs(t, err, ErrInDoubt)
	_, err = waits.Wait(t.Context())
	require.ErrorIs(t, err, ErrClosed)
	require.NotErrorIs(t, err, ErrInDoubt)
	require.ErrorIs(t, q.add(&Pending{}), ErrClosed)

	q.raft.answer(0, nil) // too late to matter
	_, err = sent.Wait(t.Context())
	require.ErrorIs(t, err, ErrInDoubt)
}

func TestOneBatchOneOutcome(t *testing.T) {
	t.Parallel()
	q := newTestQueue(t)
	q.set(errHold)
	a, b := q.put(t, "a"), q.put(t, "b")
	q.set(nil)
	q.waitTaken(t)
	q.raft.answer(0, raft.ErrLeadershipLost)
	for _, p := range []*Pending{a, b} {
		_, err := p.Wait(within(t, patienceOfTests))
		require.ErrorIs(t, err, ErrInDoubt)
	}
}

func TestBatchRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOf(rapid.SliceOf(rapid.Byte())).Draw(t, "entries")
		data := []byte{batchVersion}
		for _, e := range entries {
			data = appendEntry(data, e)
		}
		got, err := splitBatch(data)
		require.NoError(t, err)
		require.Len(t, got, len(entries))
		for i := range got {
			require.Equal(t, string(entries[i]), string(got[i]))
		}
	})
}

func TestHostileBatches(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := append([]byte{batchVersion}, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")...)
		entries, err := splitBatch(data)
		if err == nil {
			total := 1
			for _, e := range entries {
				total += len(e) + 1
			}
			require.LessOrEqual(t, total, len(data))
		}
	})
	for _, junk := range [][]byte{nil, {}, {2}, {1, 5, 'a'}, {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}} {
		_, err := splitBatch(junk)
		require.Error(t, err, "%v", junk)
	}
}

// A log that this version cannot read must stop the replica, not be skipped.
func TestUnreadableLogStopsTheReplica(t *testing.T) {
	t.Parallel()
	j := &journal{}
	m := newMachine(j)
	good := appendEntry([]byte{batchVersion}, []byte("a"))
	m.Apply(&raft.Log{Index: 2, Term: 1, Data: good})
	out := m.Apply(&raft.Log{Index: 3, Term: 1, Data: []byte{9}}).(outcome)
	var corrupt *Corrupt
	require.ErrorAs(t, out.err, &corrupt)
	out = m.Apply(&raft.Log{Index: 4, Term: 1, Data: good}).(outcome)
	require.ErrorAs(t, out.err, &corrupt)
	require.Equal(t, []string{"a"}, j.all())
	_, err := m.Snapshot()
	require.ErrorAs(t, err, &corrupt)
	require.ErrorAs(t, m.wait(t.Context(), 2, nil), &corrupt)
	require.EqualValues(t, 1, m.applied())
}

var errDisk = errors.New("the disk failed")

func TestProposalsInOneBatchKeepTheirResults(t *testing.T) {
	t.Parallel()
	q := newTestQueue(t)
	q.set(errHold)
	var all []*Pending
	for k := range 20 {
		p := &Pending{entry: fmt.Appendf(nil, "%d", k), read: k%3 == 0, queue: q.queue, done: make(chan struct{})}
		require.NoError(t, q.add(p))
		all = append(all, p)
	}
	q.set(nil)
	q.waitTaken(t)
	q.raft.answer(0, nil)
	for k, p := range all {
		result, err := p.Wait(within(t, patienceOfTests))
		require.NoError(t, err)
		if p.read {
			require.Nil(t, result)
			require.EqualValues(t, 13, p.position, "a question is answered by the end of its batch")
		} else {
			require.Equal(t, fmt.Sprint(k), string(result))
		}
	}
}
