package main

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

// missed lists the bars of a report that are not met.
func missed(r *report.Report) (names []string) {
	for _, b := range r.Bars {
		if !b.OK {
			names = append(names, b.Bar)
		}
	}
	return names
}

func TestPhasesAreChosen(t *testing.T) {
	t.Parallel()
	all, err := chosen("")
	require.NoError(t, err)
	require.Len(t, all, len(phases)+1)
	some, err := chosen("seeds,cut")
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"seeds": true, "cut": true}, some)
	_, err = chosen("everything")
	require.ErrorContains(t, err, "placement", "it says what there is")
	for _, s := range scenarios {
		var stderr bytes.Buffer
		o, code := parse([]string{"--mutate", string(s.fault)}, &stderr)
		require.Equal(t, report.ExitMeasured, code, stderr.String())
		require.Equal(t, map[string]bool{s.phaseName(): true}, o.only)
	}
	o, _ := parse([]string{"--short"}, nil)
	require.Equal(t, 1, o.seeds)
	require.Less(t, o.duration, time.Minute)
}

// call is an operation of the load that took a while.
func call(begin, took time.Duration, out outcome) *operation {
	return &operation{Invoke: int64(begin), Return: int64(begin + took), Deadline: int64(begin + answerWithin), Outcome: out}
}

func TestCallsOfAWhile(t *testing.T) {
	t.Parallel()
	ops := []*operation{call(0, 1, done), call(5, 10, done), call(8, 1, refused), call(20, 1, done), {Client: -1, Invoke: 8, Return: 9}}
	some := within(ops, 7, 20)
	require.Equal(t, ops[1:3], some)
	require.Equal(t, []time.Duration{1, 10}, took(some))
	require.Equal(t, ops[2:3], failed(some))
	require.Equal(t, map[outcome]int{done: 1, refused: 1}, outcomes(some))
	s := spreadOf([]time.Duration{3, 1, 2, 4})
	require.Equal(t, spread{4, 2, 4, 4, 4}, s)
}

func TestBarsOfADrain(t *testing.T) {
	t.Parallel()
	fine := func() *drains {
		return &drains{runs: runs{result: &result{}}, quiet: []time.Duration{10}, during: []time.Duration{50}, calls: 1, lasted: []time.Duration{time.Second}}
	}
	for _, c := range []struct {
		name  string
		spoil func(*drains)
		ok    bool
	}{
		{"nothing", func(*drains) {}, true},
		{"a call that failed", func(d *drains) { d.failed = []*operation{call(0, 1, refused)} }, false},
		{"slow calls", func(d *drains) { d.during = []time.Duration{51} }, false},
		{"no calls", func(d *drains) { d.calls, d.during = 0, nil }, false},
		{"a violation", func(d *drains) { d.result.Violations = []violation{found(checkSets, "by hand")} }, false},
	} {
		d, r := fine(), &report.Report{}
		c.spoil(d)
		d.sum(r)
		require.Equal(t, c.ok, len(missed(r)) == 0, "%s: %v", c.name, missed(r))
	}
}

func TestBarsOfARollingRestart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name               string
		patient, impatient outcome
		missed             int
	}{
		{"all is well", done, done, 0},
		{"one gives up, and knows that nothing was executed", done, refused, 0},
		{"one does not know", done, unknown, 1},
		{"one that leaves retries to the client is refused", refused, done, 1},
		{"one that leaves retries to the client does not know", unknown, done, 2},
		{"an error of no type", done, untyped, 1},
	} {
		w, r := &rolls{runs: runs{result: &result{}}, patient: []*operation{call(0, 1, c.patient)}, impatient: []*operation{call(0, 1, c.impatient)}}, &report.Report{}
		w.sum(r)
		require.Len(t, missed(r), c.missed, "%s: %v", c.name, missed(r))
	}
}

func TestBarsOfAJoin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(*joins)
		ok    bool
	}{
		{"nothing", func(*joins) {}, true},
		{"too few grains", func(j *joins) { j.active-- }, false},
		{"one answers late", func(j *joins) { j.moved = append(j.moved, movedWithin+1) }, false},
		{"nothing moves", func(j *joins) { j.moved = nil }, false},
		{"one does not answer", func(j *joins) { j.failed = []string{"grain-1: silent"} }, false},
	} {
		j, r := &joins{runs: runs{result: &result{}}, active: activeGrains, moved: []time.Duration{time.Second}}, &report.Report{}
		c.spoil(j)
		j.sum(r, false)
		require.Equal(t, c.ok, len(missed(r)) == 0, "%s: %v", c.name, missed(r))
	}
}

func TestBarsOfACut(t *testing.T) {
	t.Parallel()
	at := func(o *operation, key string) *operation {
		o.Key = key
		return o
	}
	fine := func() side {
		return side{
			who: "leader",
			cut: []*operation{call(time.Second, 1, done), call(4*time.Second, 1, refused)}, variables: []*operation{call(5*time.Second, 1, done)},
			kept:  []*operation{call(0, 1, done), call(5*time.Second, 1, done)},
			taken: []*operation{at(call(0, 1, refused), "a"), at(call(4*time.Second, 1, done), "a"), at(call(6*time.Second, 1, done), "a")},
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(*side)
		ok    bool
	}{
		{"nothing", func(*side) {}, true},
		{"it goes on", func(s *side) { s.cut = append(s.cut, call(leaseTime, 1, done)) }, false},
		{"it was not asked", func(s *side) { s.cut = nil }, false},
		{"it refuses nothing", func(s *side) { s.cut = s.cut[:1] }, false},
		{"an error of no type", func(s *side) { s.cut = append(s.cut, call(4*time.Second, 1, untyped)) }, false},
		{"variables are not served", func(s *side) { s.variables[0].Outcome = unknown }, false},
		{"a write is not read", func(s *side) { s.lost = 1 }, false},
		{"nobody wrote", func(s *side) { s.variables = nil }, false},
		{"the two do not serve what they have", func(s *side) { s.kept[0].Outcome = refused }, false},
		{"the two do not take over", func(s *side) { s.taken[2].Outcome = refused }, false},
		{"replicas differ", func(s *side) { s.converged = -1 }, false},
		{"two holders", func(s *side) { s.disputed = 1 }, false},
	} {
		s, r := fine(), &report.Report{}
		c.spoil(&s)
		(&cuts{runs: runs{result: &result{}}, sides: []side{s}}).sum(r)
		require.Equal(t, c.ok, len(missed(r)) == 0, "%s: %v", c.name, missed(r))
	}
	one, other, r := fine(), fine(), &report.Report{}
	other.cut = other.cut[:1]
	(&cuts{runs: runs{result: &result{}}, sides: []side{one, other}}).sum(r)
	require.Len(t, missed(r), 1, "what one side has shown does not count for the other")
	s := fine()
	require.Equal(t, time.Second+1, s.lastAnswer())
	require.Equal(t, []time.Duration{4*time.Second + 1}, s.takenOver())
	s.taken = s.taken[:1]
	require.Equal(t, []time.Duration{math.MaxInt64}, s.takenOver())
}

func TestKeysAreDealtOut(t *testing.T) {
	t.Parallel()
	r := &report.Report{}
	require.NoError(t, placed(t.Context(), &experiment{report: r}))
	require.Len(t, r.Bars, 4)
	require.Empty(t, missed(r))
}
