package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/martinelli-go/martinelli/integration/chaos/register"
)

// asked and told are an operation as the model sees it.
type asked struct {
	kind     register.Kind
	new, old int64
}

type told struct {
	known   bool // the answer came; else the operation may have had any
	value   int64
	swapped bool
}

// model is a register that begins with 0 (Herlihy and Wing, Linearizability, 1990; checked as by Lowe,
// Testing for linearizability, 2017, in porcupine).
var model = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		value, in, out := state.(int64), input.(asked), output.(told)
		switch in.kind {
		case register.Write:
			return true, in.new
		case register.CompareAndSet:
			if out.known && (out.value != value || out.swapped != (value == in.old)) {
				return false, value
			}
			if value == in.old {
				return true, in.new
			}
			return true, value
		}
		return !out.known || out.value == value, value
	},
}

// checkWithin bounds the search for one register's order.
const checkWithin = 30 * time.Second

// linear checks the histories of registers, each by itself.
func linear(ops []*operation) (bad []violation) {
	byKey := map[string][]porcupine.Operation{}
	for _, o := range ops {
		if entry, ok := entryOf(o); ok {
			byKey[o.Key] = append(byKey[o.Key], entry)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		switch porcupine.CheckOperationsTimeout(model, byKey[key], checkWithin) {
		case porcupine.Illegal:
			bad = append(bad, found(checkLinear, "%s: no order explains its history of %d operations; the shortest part that none explains ends with\n%s",
				key, len(byKey[key]), shortest(byKey[key])))
		case porcupine.Unknown:
			bad = append(bad, found(checkLinear, "%s: not decided within %v: %d operations", key, checkWithin, len(byKey[key])))
		}
	}
	return bad
}

// entryOf is an operation as porcupine takes it; false for what surely had no effect and tells nothing.
func entryOf(o *operation) (porcupine.Operation, bool) {
	in := asked{kind: o.Kind, new: int64(o.ID), old: o.Old}
	e := porcupine.Operation{ClientId: max(0, o.Client), Input: in, Call: o.Invoke, Return: o.Return, Metadata: o}
	switch o.Kind {
	case register.Read, register.Write, register.CompareAndSet:
	default:
		return e, false
	}
	has, mayHave := o.effect()
	switch {
	case o.Outcome == done:
		e.Output = told{true, o.Seen.Value, o.Seen.Swapped}
	case !mayHave || o.Kind == register.Read:
		return e, false
	case has: // it was found out later, so it happened by then
		e.Output, e.Return = told{}, o.SettledAt
	default: // it may happen at any time
		e.Output, e.Return = told{}, math.MaxInt64
	}
	return e, true
}

// shortest describes the end of the shortest beginning of a history that no order explains: what had not
// returned by then may have had any answer.
func shortest(all []porcupine.Operation) string {
	slices.SortFunc(all, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	beginning := func(n int) []porcupine.Operation {
		until := all[n].Return
		part := slices.Clone(all[:n+1])
		for _, e := range all[n+1:] {
			if e.Call <= until && e.Input.(asked).kind != register.Read {
				e.Return, e.Output = math.MaxInt64, told{}
				part = append(part, e)
			}
		}
		return part
	}
	n := sort.Search(len(all)-1, func(n int) bool {
		return porcupine.CheckOperationsTimeout(model, beginning(n), checkWithin) != porcupine.Ok
	})
	part := beginning(n)
	slices.SortFunc(part, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	last := all[n]
	from := max(0, slices.IndexFunc(part, func(e porcupine.Operation) bool { return e.Call == last.Call })-11)
	var lines []string
	for _, e := range part[from:] {
		o := e.Metadata.(*operation)
		what := fmt.Sprintf("%s by %s", o.Outcome, o.Seen.By)
		if o.Outcome == done {
			what = fmt.Sprintf("value %d, number %d, swapped %t, by %s", o.Seen.Value, o.Seen.Seq, o.Seen.Swapped, o.Seen.By)
		}
		returned := "never"
		if e.Return != math.MaxInt64 {
			returned = fmt.Sprintf("%.6f s", time.Duration(e.Return-part[from].Call).Seconds())
		}
		lines = append(lines, fmt.Sprintf("  operation %d, client %d, from %.6f s to %s: %s (old %d): %s",
			o.ID, o.Client, time.Duration(e.Call-part[from].Call).Seconds(), returned, o.Kind, o.Old, what))
	}
	return strings.Join(lines, "\n")
}
