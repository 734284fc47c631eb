package main

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

// codec encodes an element in 8 bytes.
var codec = crdt.Codec[uint64]{
	Append: binary.BigEndian.AppendUint64,
	Decode: func(b []byte) (uint64, error) {
		if len(b) != 8 {
			return 0, errors.New("not 8 bytes")
		}
		return binary.BigEndian.Uint64(b), nil
	},
}

// subject is what is measured: operators, each fed by the one before it.
type subject struct {
	name  string
	chain func() ([]*flow.Operator, error)
	n     int      // elements 0 to n-1 are at port 0 of the first
	other []uint64 // what is at its port 1, if it has one
	fresh func(i int) uint64
	naive func(in map[uint64]struct{}, other []uint64) any
}

// running is a subject that holds its elements.
type running struct {
	ops []*flow.Operator
	err error
}

// apply gives the first operator a change and each of the others what the one before it puts out.
func (r *running) apply(port int, batch []byte) {
	for _, op := range r.ops {
		var err error
		if batch, err = op.Apply(port, batch); err != nil {
			r.err = errors.Join(r.err, err)
			return
		}
		port = 0
	}
}

// work sums the counters of the operators; what goes from one to the next is both in and out.
func (r *running) work() (steps, elements int64) {
	for _, op := range r.ops {
		w := op.Work()
		steps += w.Steps
		elements += w.In + w.Out
	}
	return steps, elements
}

// fill makes the operators and gives them their elements.
func (s *subject) fill() *running {
	r := &running{}
	if r.ops, r.err = s.chain(); r.err != nil {
		return r
	}
	in := make([]uint64, s.n)
	for i := range in {
		in[i] = uint64(i)
	}
	for some := range slices.Chunk(s.other, 1000) {
		r.apply(1, change(+1, some...))
	}
	for some := range slices.Chunk(in, 1000) {
		r.apply(0, change(+1, some...))
	}
	return r
}

func change(weight int64, elements ...uint64) []byte {
	items := make([]flow.Weighted[uint64], len(elements))
	for i, e := range elements {
		items[i] = flow.Weighted[uint64]{Elem: e, Weight: weight}
	}
	return flow.AppendBatch(nil, items, codec)
}

// result is what a subject has cost.
type result struct {
	bare, change, naive report.Costs // an insert, a change of one element, a recomputation
	steps               float64      // counted work of a change
	stepsPerElement     float64      // for each element that comes in or goes out, of any operator
	held                float64      // bytes for each of n
}

func (r *result) ratio() float64 { return report.Ratio(r.change, r.bare, report.Time) }

// batch is how many changes are timed as a whole.
const batch = 100

func (s *subject) measure(ctx context.Context, p plan) (*result, error) {
	r := &result{}
	run, held := report.Held(s.fill)
	if run.err != nil {
		return nil, run.err
	}
	r.held = held / float64(s.n)
	r.count(s, run)
	in := map[uint64]struct{}{}
	for i := range s.n {
		in[uint64(i)] = struct{}{}
	}
	costs, err := report.Alternate(ctx, p.rounds,
		func() report.Cost { return s.inserts(p.changes) },
		func() report.Cost { return s.changes(run, p.changes) },
		func() report.Cost { return report.Timed(1, func() { runtime.KeepAlive(s.naive(in, s.other)) }) },
	)
	if err = errors.Join(err, run.err); err != nil {
		return nil, err
	}
	runtime.KeepAlive(run)
	r.bare, r.change, r.naive = costs[0], costs[1], costs[2]
	return r, nil
}

// count counts the work of changes, which are the same ones whatever the number of elements.
func (r *result) count(s *subject, run *running) {
	steps, elements := run.work()
	for _, weight := range []int64{+1, -1} {
		for i := range batch {
			run.apply(0, change(weight, s.fresh(i)))
		}
	}
	nowSteps, nowElements := run.work()
	r.steps = float64(nowSteps-steps) / (2 * batch)
	r.stepsPerElement = float64(nowSteps-steps) / float64(nowElements-elements)
}

// changes returns the cost of a change: half of them bring an element, half take one away.
func (s *subject) changes(run *running, times int) report.Cost {
	var w report.Stopwatch
	changes := make([][]byte, batch)
	var before, after runtime.MemStats
	var allocs uint64
	for at := 0; at < times; at += 2 * batch {
		for _, weight := range []int64{+1, -1} {
			for i := range changes {
				changes[i] = change(weight, s.fresh(at/2+i))
			}
			if at == 0 {
				runtime.ReadMemStats(&before)
			}
			w.Begin()
			for _, c := range changes {
				run.apply(0, c)
			}
			w.End()
			if at == 0 {
				runtime.ReadMemStats(&after)
				allocs += after.Mallocs - before.Mallocs
			}
		}
	}
	cost := w.Over(times)
	cost.Allocs = float64(allocs) / (2 * batch)
	return cost
}

// inserts returns the cost of an insert into a bare map of n. The map is made anew, which is not counted,
// before it has grown by more than a tenth; nothing is taken out of it, for a map is slow to take up again
// what was deleted.
func (s *subject) inserts(times int) report.Cost {
	var w report.Stopwatch
	done := 0
	for done < times {
		m := map[uint64]uint64{}
		for i := range s.n {
			m[uint64(i)] = 0
		}
		if s.n >= 1e5 {
			runtime.GC()
		}
		fresh := make([]uint64, min(s.n/10, times))
		for i := range fresh {
			fresh[i] = s.fresh(i)
		}
		w.Begin()
		for _, e := range fresh {
			m[e] = 1
		}
		w.End()
		done += len(fresh)
	}
	return w.Over(done)
}

func section(name string) *report.Section {
	s := &report.Section{
		Title:   name,
		Columns: report.Row{"n", "map insert", "a change", "ratio", "allocs", "counted work", "B an element", "recomputation", "recomputation / change"},
	}
	if name == chainName {
		s.Notes = []string{
			"A change is one element that comes or goes, encoded, through all three operators. The map is a map[uint64]uint64 of n.",
			"Counted work is accesses to indexes (Operator.Work). Bytes are of the heap after a garbage collection, of all that is held by n.",
			"A recomputation goes through all n elements in plain Go and makes the whole output anew.",
		}
	}
	return s
}

func (r *result) row(n int) report.Row {
	return report.Row{
		n, report.Nanos(r.bare.Median(report.Time)), report.Nanos(r.change.Median(report.Time)), report.Number(r.ratio()),
		report.Number(r.change.Median(report.Allocs)), report.Number(r.steps), report.Number(r.held),
		report.Nanos(r.naive.Median(report.Time)), report.Number(report.Ratio(r.naive, r.change, report.Time)),
	}
}
