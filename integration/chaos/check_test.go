package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/integration/bank"
	"github.com/martinelli-go/martinelli/integration/chaos/register"
	"github.com/martinelli-go/martinelli/txn"
)

// Histories by hand: the good ones pass, the bad ones do not. A checker that never failed is not believed.

func reg(id int64, k register.Kind, from, to int64, value int64) *operation {
	return &operation{
		ID: register.Op(id), Kind: k, Key: "r", Invoke: from, Return: to, Deadline: from + int64(answerWithin), Outcome: done,
		Seen: register.Seen{Value: value, Swapped: k == register.Write},
	}
}

func with(o *operation, f func(*operation)) *operation {
	f(o)
	return o
}

func TestRegistersThatAreNotLinearizable(t *testing.T) {
	t.Parallel()
	lost := func(s settled) func(*operation) {
		return func(o *operation) {
			o.Outcome, o.Seen = unknown, register.Seen{}
			if s != "" {
				o.Settled, o.SettledAt = s, o.Return+5
			}
		}
	}
	swap := func(id, from, to, old, value int64, swapped bool) *operation {
		return with(reg(id, register.CompareAndSet, from, to, value), func(o *operation) { o.Old, o.Seen.Swapped = old, swapped })
	}
	for _, c := range []struct {
		name string
		ops  []*operation
		ok   bool
	}{
		{"one after the other", []*operation{reg(1, register.Write, 0, 1, 1), reg(2, register.Read, 2, 3, 1)}, true},
		{"a read of the past", []*operation{reg(1, register.Write, 0, 1, 1), reg(2, register.Write, 2, 3, 2), reg(3, register.Read, 4, 5, 1)}, false},
		{"at once, in either order", []*operation{reg(1, register.Write, 0, 9, 1), reg(2, register.Write, 0, 9, 2), reg(3, register.Read, 10, 11, 1)}, true},
		{"two orders", []*operation{reg(1, register.Write, 0, 9, 1), reg(2, register.Write, 0, 9, 2), reg(3, register.Read, 10, 11, 1), reg(4, register.Read, 12, 13, 2)}, false},
		{"a value from nowhere", []*operation{reg(1, register.Read, 0, 1, 7)}, false},
		{"an unknown write may be seen late", []*operation{with(reg(1, register.Write, 0, 1, 0), lost("")), reg(2, register.Read, 2, 3, 0), reg(3, register.Read, 4, 5, 1)}, true},
		{"but not undone", []*operation{with(reg(1, register.Write, 0, 1, 0), lost("")), reg(2, register.Read, 2, 3, 1), reg(3, register.Read, 4, 5, 0)}, false},
		{"a write that is said to be aborted is not seen", []*operation{with(reg(1, register.Write, 0, 1, 0), lost(aborted)), reg(2, register.Read, 2, 3, 1)}, false},
		{"one that is said to be committed was so by then", []*operation{with(reg(1, register.Write, 0, 1, 0), lost(committed)), reg(2, register.Read, 7, 8, 0), reg(3, register.Read, 9, 10, 1)}, false},
		{"swaps in a row", []*operation{swap(1, 0, 1, 0, 0, true), swap(2, 2, 3, 1, 1, true), reg(3, register.Read, 4, 5, 2)}, true},
		{"two swaps of one value", []*operation{swap(1, 0, 9, 0, 0, true), swap(2, 0, 9, 0, 0, true)}, false},
		{"a swap that should have been made", []*operation{swap(1, 0, 1, 0, 0, false)}, false},
		{"a lost update", []*operation{reg(1, register.Write, 0, 1, 1), swap(2, 2, 3, 1, 1, true), reg(3, register.Read, 4, 5, 1)}, false},
	} {
		bad := linear(c.ops)
		require.Equal(t, c.ok, len(bad) == 0, "%s: %v", c.name, bad)
		for _, v := range bad {
			require.Equal(t, checkLinear, v.Check)
			require.Contains(t, v.Detail, "operation", c.name)
		}
	}
}

// The part of a history that is printed ends with what cannot be.
func TestTheShortestPartIsFound(t *testing.T) {
	t.Parallel()
	var ops []*operation
	for i := int64(1); i <= 200; i++ {
		ops = append(ops, reg(i, register.Write, 10*i, 10*i+1, i), reg(1000+i, register.Read, 10*i+2, 10*i+3, i))
	}
	ops[120].Seen.Value = 61 // a write's answer, which says nothing
	ops[121].Seen.Value = 60 // a read of the past
	bad := linear(ops)
	require.Len(t, bad, 1)
	require.Contains(t, bad[0].Detail, "operation 1061,")
	require.NotContains(t, bad[0].Detail, "operation 62,")
}

func TestTurnsThatOverlap(t *testing.T) {
	t.Parallel()
	first, second := register.Life{Silo: 1, Run: 7, Activation: 3}, register.Life{Silo: 2, Run: 8, Activation: 1}
	turn := func(op int64, by register.Life, from, to int64) register.Turn {
		return register.Turn{Key: "r", Op: register.Op(op), Kind: register.Touch, Life: by, Start: from, End: to, Effective: true}
	}
	taken := func(turns ...register.Turn) (ops []*operation) {
		for _, t := range turns {
			ops = append(ops, &operation{ID: t.Op, Kind: t.Kind, Key: "r", Outcome: done, Seen: register.Seen{By: t.Life}})
		}
		return ops
	}
	handover := []register.Turn{turn(1, first, 0, 10), turn(2, first, 11, 20), turn(3, second, 30, 31), turn(4, second, 32, 40)}
	require.Empty(t, activations(handover, taken(handover...), 0))

	paused := []register.Turn{turn(1, first, 0, 10), turn(2, first, 11, 50), turn(3, second, 30, 31)}
	bad := activations(paused, taken(paused...), 0)
	require.Len(t, bad, 1)
	require.Equal(t, checkActivations, bad[0].Check)
	ops := taken(paused...)
	ops[1].Outcome = unknown
	require.Empty(t, activations(paused, ops, 0), "an answer that nobody took does not count")
	ops[1].Outcome, ops[1].Seen.By = done, second
	require.Empty(t, activations(paused, ops, 0), "the answer was that of another turn")

	between := []register.Turn{turn(1, first, 0, 10), turn(3, second, 30, 31), turn(4, first, 40, 41), turn(5, second, 50, 51)}
	require.Len(t, activations(between, taken(between...), 0), 1, "whole turns, in turn")
	long := []register.Turn{
		turn(1, first, 0, 1), turn(2, first, 90, 91), turn(3, second, 30, 31), turn(4, register.Life{Silo: 3}, 60, 61),
	}
	require.Len(t, activations(long, taken(long...), 0), 2, "one overlaps two")
}

func TestCommitsThatAreMixed(t *testing.T) {
	t.Parallel()
	first, second := register.Life{Silo: 1}, register.Life{Silo: 2}
	var seq int64
	write := func(by register.Life) register.Turn {
		seq++
		return register.Turn{Key: "r", Op: register.Op(seq), Kind: register.Write, Life: by, Seq: seq, Wrote: true, Effective: true}
	}
	good := []register.Turn{write(first), write(first), write(second), write(second)}
	require.Empty(t, commits(good))
	bad := append(good, write(first))
	require.Len(t, commits(bad), 1)
	bad[4].Wrote = false
	require.Empty(t, commits(bad), "it has only read")
	bad[4].Wrote, bad[4].Effective = true, false
	require.Empty(t, commits(bad), "it was not committed")
	twice := append(good, good[3])
	require.Len(t, commits(twice), 1, "one number, two commits")
}

func TestCallsOfWhoHasASuccessor(t *testing.T) {
	t.Parallel()
	first, second := register.Life{Silo: 1}, register.Life{Silo: 2}
	var now int64
	take := func(to register.Key, of register.Life) register.Turn {
		now++
		return register.Turn{Key: to, Op: register.Op(now), Kind: register.Take, From: "r", Of: of, Start: now, End: now, Effective: true}
	}
	good := []register.Turn{take("sink", first), take("sink", first), take("sink", second), take("other", first), take("sink", second)}
	require.Empty(t, relays(good), "who takes knows of no successor that has not called it")
	bad := append(slices.Clone(good), take("sink", first))
	require.Len(t, relays(bad), 1)
	require.Equal(t, checkRelays, relays(bad)[0].Check)
	bad[5].From = "another"
	require.Empty(t, relays(bad))
}

func TestCallsThatAreNotAnswered(t *testing.T) {
	t.Parallel()
	second := int64(time.Second)
	call := func(returned int64, out outcome) *operation {
		return &operation{ID: 1, Kind: register.Read, Key: "r", Deadline: second, Return: returned, Outcome: out}
	}
	for _, out := range []outcome{done, refused, unknown} {
		require.Empty(t, answered([]*operation{call(second, out)}, nil))
		require.Len(t, answered([]*operation{call(second+int64(lateBy)+1, out)}, nil), 1, "late")
	}
	require.Len(t, answered([]*operation{call(1, untyped)}, nil), 1)
	require.Len(t, answered([]*operation{call(1, unanswered)}, nil), 1)

	late := []*operation{call(second+2*int64(lateBy), done)}
	require.Empty(t, answered(late, []stall{{second - 5, second + int64(lateBy)}}), "nobody was there to take it")
	require.Len(t, answered(late, []stall{{0, second}, {second, second + int64(lateBy) - 1}, {second + 2*int64(lateBy), 9 * second}}), 1, "somebody was there for long enough")

	h := newHistory()
	o := &operation{Kind: register.Read, Key: "r"}
	h.begin(o, time.Second)
	require.Len(t, answered(h.close(), nil), 1, "it never came back")
}

func TestErrorsAreClassified(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want outcome
	}{
		{nil, done},
		{fmt.Errorf("call: %w", grains.ErrNotExecuted), refused},
		{fmt.Errorf("call: %w", txn.ErrAborted), refused},
		{bank.ErrNoMoney, refused},
		{fmt.Errorf("call: %w", grains.ErrUnknown), unknown},
		{&txn.InDoubt{}, unknown},
		{txn.ErrReplyLost, unknown},
		{context.DeadlineExceeded, untyped},
		{errors.New("something"), untyped},
	} {
		require.Equal(t, c.want, classify(c.err), "%v", c.err)
	}
}

func TestGoodputIsMeasuredAwayFromFaults(t *testing.T) {
	t.Parallel()
	var ops []*operation
	at := func(from, to time.Duration, rate int) {
		for d := from; d < to; d += time.Second / time.Duration(rate) {
			ops = append(ops, &operation{Kind: register.Read, Return: int64(d), Outcome: done})
		}
	}
	at(0, 10*time.Second, 100)             // quiet
	at(10*time.Second, 30*time.Second, 1)  // faults, and 10 s more
	at(30*time.Second, 40*time.Second, 80) // calm
	faults := []span{{10 * time.Second, 12 * time.Second, "a cut"}, {15 * time.Second, 20 * time.Second, "a pause"}}
	g := measureGoodput(ops, 0, faults, 40*time.Second)
	require.InDelta(t, 100, g.Quiet, 1)
	require.Equal(t, 6, g.Windows, "those that begin from 30 to 35 s")
	require.InDelta(t, 0.8, g.Worst, 0.01)
	at(40*time.Second, 45*time.Second, 10)
	require.InDelta(t, 0.1, measureGoodput(ops, 0, faults, 45*time.Second).Worst, 0.01, "it does not recover")
	for _, o := range ops {
		o.Outcome = refused
	}
	require.Zero(t, measureGoodput(ops, 0, faults, 40*time.Second).Windows, "to refuse everything is no goodput")
}

func TestViolationsNameTheLastFault(t *testing.T) {
	t.Parallel()
	faults := []span{{10, 12, "a cut"}, {15, 20, "a pause"}}
	all := []violation{{At: 1005}, {At: 1014}, {At: 1030}, {}}
	blame(all, 1000, faults)
	require.Empty(t, all[0].Detail, "before the first")
	require.Contains(t, all[1].Detail, "a cut")
	require.Contains(t, all[2].Detail, "a pause")
	require.Empty(t, all[3].Detail, "nobody knows when")
}

func TestStallsAreSeen(t *testing.T) {
	t.Parallel()
	s := watchStalls()
	require.Zero(t, stalled(s.end(), 0, 1))
	all := []stall{{10, 20}, {30, 50}}
	require.EqualValues(t, 15, stalled(all, 15, 40))
	require.EqualValues(t, 30, stalled(all, 0, 100))
	require.Zero(t, stalled(all, 20, 30))
}
