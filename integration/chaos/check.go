package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/integration/chaos/register"
)

// violation is something that must never be.
type violation struct {
	Check  check  `json:"check"`
	Detail string `json:"detail"`
	At     int64  `json:"at,omitempty"` // when it happened, by register.Now, where that is known
}

// check is what is looked at.
type check string

// The checks.
const (
	checkAnswers      check = "every call is answered within its deadline by a result or a typed error"
	checkLinear       check = "registers are linearizable"
	checkActivations  check = "turns of two activations of a grain do not overlap in a way that counts"
	checkCommits      check = "commits of an activation are not mixed with those of another"
	checkRelays       check = "calls of an activation that has a successor are not let in"
	checkSets         check = "no element of a set is lost or appears from nowhere"
	checkCounters     check = "no count is lost or made twice"
	checkTransfers    check = "transfers conserve money, and each has its effect once or not at all"
	checkConvergence  check = "replicas of variables converge"
	checkSilosStand   check = "no silo ends by itself, each comes back, and stops when it is asked to"
	checkClockIsSound check = "the machine's clock was not set during the run"
)

var checks = []check{
	checkAnswers, checkLinear, checkActivations, checkCommits, checkRelays, checkSets, checkCounters, checkTransfers,
	checkConvergence, checkSilosStand, checkClockIsSound,
}

func found(c check, format string, args ...any) violation {
	return violation{Check: c, Detail: fmt.Sprintf(format, args...)}
}

func foundAt(at int64, c check, format string, args ...any) violation {
	v := found(c, format, args...)
	v.At = at
	return v
}

// lateBy is how much later than its deadline a call may come back: what a loaded machine may take to
// schedule its goroutine. Nothing in a call may wait for longer than the deadline.
const lateBy = 500 * time.Millisecond

// answered checks that calls come back in time, with results or typed errors. The time in which the clients'
// process stood still does not count.
func answered(ops []*operation, still []stall) (bad []violation) {
	for _, o := range ops {
		within := time.Duration(o.Deadline - o.Invoke)
		took := time.Duration(o.Return - o.Invoke)
		switch {
		case o.Outcome == unanswered:
			bad = append(bad, found(checkAnswers, "operation %d (%s of %s) was not answered within %v, and not after %v", o.ID, o.Kind, o.Key, within, took))
		case o.Outcome == untyped:
			bad = append(bad, found(checkAnswers, "operation %d (%s of %s): an error of no known type: %s", o.ID, o.Kind, o.Key, o.Error))
		case took-stalled(still, o.Deadline, o.Return) > within+lateBy:
			bad = append(bad, found(checkAnswers, "operation %d (%s of %s) was answered after %v, its deadline was %v (%s %s)", o.ID, o.Kind, o.Key, took, within, o.Outcome, o.Error))
		}
	}
	return bad
}

// stretch is the time between the first and the last turn of an activation that counted.
type stretch struct {
	first, last register.Turn // by begin, and by end
}

func (s stretch) life() register.Life { return s.first.Life }

// activations checks the journal beside the history. A plain turn counts if its client took the answer: then
// all turns of one activation that count must lie before all of the next one's. Intervals are whole
// turns, from before the method's first instruction to after its last: that is what an activation holds.
// Times are told from began on.
func activations(turns []register.Turn, ops []*operation, began int64) (bad []violation) {
	stretches := stretchesOf(turns, ops)
	at := func(t int64) string { return fmt.Sprintf("%.4f s", time.Duration(t-began).Seconds()) }
	for _, key := range slices.Sorted(maps.Keys(stretches)) {
		all := slices.SortedFunc(maps.Values(stretches[key]), func(a, b *stretch) int { return cmp.Compare(a.first.Start, b.first.Start) })
		for i := 1; i < len(all); i++ {
			a, b := all[i-1], all[i]
			if b.first.Start >= a.last.End {
				continue
			}
			bad = append(bad, foundAt(b.first.Start, checkActivations,
				"%s: %s was at work from %s to %s, %s from %s to %s; operation %d ran here from %s to %s and was taken, operation %d ran there from %s to %s and was taken",
				key, a.life(), at(a.first.Start), at(a.last.End), b.life(), at(b.first.Start), at(b.last.End),
				a.last.Op, at(a.last.Start), at(a.last.End), b.first.Op, at(b.first.Start), at(b.first.End)))
			if a.last.End > b.last.End {
				all[i] = a // which the next may overlap too
			}
		}
	}
	return bad
}

// stretchesOf gathers the plain turns that count.
func stretchesOf(turns []register.Turn, ops []*operation) map[register.Key]map[register.Life]*stretch {
	taken := map[register.Op]register.Life{}
	for _, o := range ops {
		if o.Kind == register.Touch && o.Outcome == done {
			taken[o.ID] = o.Seen.By
		}
	}
	stretches := map[register.Key]map[register.Life]*stretch{}
	for _, t := range turns {
		if life, ok := taken[t.Op]; t.Kind != register.Touch || !t.Effective || !ok || life != t.Life {
			continue
		}
		of := stretches[t.Key]
		if of == nil {
			of = map[register.Life]*stretch{}
			stretches[t.Key] = of
		}
		s := of[t.Life]
		if s == nil {
			s = &stretch{t, t}
			of[t.Life] = s
		}
		if t.Start < s.first.Start {
			s.first = t
		}
		if t.End > s.last.End {
			s.last = t
		}
	}
	return stretches
}

// commits checks the order in which writes were committed, which their sequence numbers tell: each is made
// once, and an activation that has been followed by another commits nothing more.
func commits(turns []register.Turn) (bad []violation) {
	bySeq := map[register.Key][]register.Turn{}
	for _, t := range turns {
		if t.Effective && t.Wrote {
			bySeq[t.Key] = append(bySeq[t.Key], t)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(bySeq)) {
		all := bySeq[key]
		slices.SortStableFunc(all, func(a, b register.Turn) int { return cmp.Compare(a.Seq, b.Seq) })
		over := map[register.Life]register.Turn{} // by whom each was followed
		for i := 1; i < len(all); i++ {
			a, b := all[i-1], all[i]
			if a.Seq == b.Seq {
				bad = append(bad, foundAt(b.End, checkCommits, "%s: value %d was committed twice: by %s (operation %d) and by %s (operation %d)",
					key, a.Seq, a.Life, a.Op, b.Life, b.Op))
			}
			if a.Life == b.Life {
				continue
			}
			over[a.Life] = b
			if by, again := over[b.Life]; again {
				bad = append(bad, foundAt(b.End, checkCommits, "%s: %s commits value %d (operation %d) after %s has committed value %d (operation %d)",
					key, b.Life, b.Seq, b.Op, by.Life, by.Seq, by.Op))
				delete(over, b.Life) // once is enough, until it happens again
			}
		}
	}
	return bad
}

// relays checks the order in which registers took what others relay: once one has taken something of an
// activation's successor, nothing of that activation is taken there any more.
func relays(turns []register.Turn) (bad []violation) {
	type way struct{ from, to register.Key }
	byWay := map[way][]register.Turn{}
	for _, t := range turns {
		if t.Kind == register.Take && t.Effective {
			w := way{t.From, t.Key}
			byWay[w] = append(byWay[w], t)
		}
	}
	for _, all := range byWay {
		slices.SortStableFunc(all, func(a, b register.Turn) int { return cmp.Compare(a.Start, b.Start) })
		over := map[register.Life]register.Turn{} // by whom each was followed
		for i := 1; i < len(all); i++ {
			a, b := all[i-1], all[i]
			if a.Of == b.Of {
				continue
			}
			over[a.Of] = b
			if by, again := over[b.Of]; again {
				bad = append(bad, foundAt(b.Start, checkRelays, "%s: takes operation %d of %s, %s, after operation %d of its successor, %s",
					b.Key, b.Op, b.From, b.Of, by.Op, by.Of))
				delete(over, b.Of) // once is enough, until it happens again
			}
		}
	}
	return bad
}

// blame adds to violations the last fault that had begun when they happened. That is where to look first, not
// a verdict.
func blame(all []violation, began int64, faults []span) {
	for i := range all {
		v := &all[i]
		if v.At == 0 {
			continue
		}
		at := time.Duration(v.At - began)
		var last *span
		for j := range faults {
			if f := &faults[j]; f.begin <= at && (last == nil || f.begin > last.begin) {
				last = f
			}
		}
		if last != nil {
			v.Detail += fmt.Sprintf("; at %.2f s, the last fault had begun at %.2f s and ended at %.2f s: %s", at.Seconds(), last.begin.Seconds(), last.end.Seconds(), last.fault)
		}
	}
}

// goodput is what is left of the quiet rate in the worst window.
type goodput struct {
	Quiet   float64 `json:"quiet"` // successful operations a second, before the first fault
	Windows int     `json:"windows"`
	Worst   float64 `json:"worst"` // the least of a window's rates, divided by the quiet one
	WorstAt float64 `json:"worstAt"`
}

const (
	// window is what goodput is measured in.
	window = 5 * time.Second
	// settling is how long after a fault's begin or end windows begin.
	settling = 10 * time.Second
	// warming is left out of the quiet time's begin.
	warming = 2 * time.Second
)

// span is a time between two moments of a run.
type span struct {
	begin, end time.Duration
	fault      string // what happened in it
}

// measureGoodput counts successes in each window, one for each second in which one may begin. began is when the
// load did, at are the faults as they really were, until is when the load ended.
func measureGoodput(ops []*operation, began int64, at []span, until time.Duration) goodput {
	rate := func(w span) float64 {
		n := 0
		for _, o := range ops {
			if r := time.Duration(o.Return - began); o.ofLoad() && o.Outcome == done && w.begin <= r && r < w.end {
				n++
			}
		}
		return float64(n) / (w.end - w.begin).Seconds()
	}
	first := until
	for _, f := range at {
		first = min(first, f.begin)
	}
	g := goodput{}
	if first <= warming {
		return g
	}
	g.Quiet = rate(span{begin: warming, end: first})
	free := func(w span) bool {
		for _, f := range at {
			for _, edge := range []time.Duration{f.begin, f.end} {
				if edge < w.end && edge > w.begin-settling {
					return false
				}
			}
		}
		return true
	}
	for begin := first; begin+window <= until; begin += time.Second {
		w := span{begin: begin, end: begin + window}
		if g.Quiet == 0 || !free(w) {
			continue
		}
		if ratio := rate(w) / g.Quiet; g.Windows == 0 || ratio < g.Worst {
			g.Worst, g.WorstAt = ratio, begin.Seconds()
		}
		g.Windows++
	}
	return g
}
