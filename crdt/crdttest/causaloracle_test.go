package crdttest

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"testing"

	"github.com/martinelli-go/martinelli/crdt"
)

// This oracle is the set's for the types whose removes matter as much as their adds, or whose values replace
// each other: flags, the remove-wins set, the multi-value register. A history has changes of elements; what
// a type means is a function of the changes that a replica has heard of and of what each of these had seen.

// change is one operation: an add, enable or write, or else a remove, disable or clear.
type change struct {
	remove   bool
	element  int
	value    uint64 // what a register's write writes
	seen     uint64 // changes that its replica had heard of
	observed uint64 // changes of the element that nobody had overruled there
}

type changes []change

// each calls f with the changes of set that concern element.
func (h changes) each(set uint64, element int, f func(i int, c change)) {
	for ; set != 0; set &= set - 1 {
		if i := bits.TrailingZeros64(set); h[i].element == element {
			f(i, h[i])
		}
	}
}

// alive returns the changes of heard that no change of heard has overruled.
func (h changes) alive(heard uint64, element int) (alive uint64) {
	var ended uint64
	h.each(heard, element, func(i int, c change) {
		alive |= 1 << i
		ended |= c.observed
	})
	return alive &^ ended
}

// closed says whether whoever heard of a change has heard of all that it had seen, here and at the making
// of each change.
func (h changes) closed(heard uint64) bool {
	for rest := heard; rest != 0; rest &= rest - 1 {
		c := h[bits.TrailingZeros64(rest)]
		if c.seen&^heard != 0 || !h.complete(c.seen) {
			return false
		}
	}
	return true
}

func (h changes) complete(set uint64) bool {
	for rest := set; rest != 0; rest &= rest - 1 {
		if h[bits.TrailingZeros64(rest)].seen&^set != 0 {
			return false
		}
	}
	return true
}

// causalMeaning is what a type's value is, by what is alive, and by the textbook, which speaks of causal delivery.
type causalMeaning struct {
	elements int
	want     func(h changes, heard uint64, element int) []uint64
	textbook func(h changes, heard uint64, element int) []uint64
}

func only(element int, in bool) []uint64 {
	if in {
		return []uint64{uint64(element)}
	}
	return nil
}

// removesWin: in when added and every remove has been followed by an add that saw it.
func removesWin(elements int) causalMeaning {
	return causalMeaning{
		elements: elements,
		want: func(h changes, heard uint64, element int) []uint64 {
			added, removed := false, false
			h.each(h.alive(heard, element), element, func(_ int, c change) {
				added, removed = added || !c.remove, removed || c.remove
			})
			return only(element, added && !removed)
		},
		textbook: func(h changes, heard uint64, element int) []uint64 {
			var adds, followed, removes uint64
			h.each(heard, element, func(i int, c change) {
				if c.remove {
					removes |= 1 << i
				} else {
					adds |= 1 << i
					followed |= c.seen
				}
			})
			return only(element, adds != 0 && removes&^followed == 0)
		},
	}
}

// addsWin: in when some add was seen by no remove.
func addsWin() causalMeaning {
	return causalMeaning{
		elements: 1,
		want: func(h changes, heard uint64, element int) []uint64 {
			in := false
			h.each(h.alive(heard, element), element, func(_ int, c change) { in = in || !c.remove })
			return only(element, in)
		},
		textbook: func(h changes, heard uint64, element int) []uint64 {
			var adds, removed uint64
			h.each(heard, element, func(i int, c change) {
				if c.remove {
					removed |= c.seen
				} else {
					adds |= 1 << i
				}
			})
			return only(element, adds&^removed != 0)
		},
	}
}

// lastWrites: the values of the writes that no write and no clear has seen.
func lastWrites() causalMeaning {
	values := func(h changes, of uint64) (vs []uint64) {
		h.each(of, 0, func(_ int, c change) {
			if !c.remove {
				vs = append(vs, c.value)
			}
		})
		slices.Sort(vs)
		return slices.Compact(vs)
	}
	return causalMeaning{
		elements: 1,
		want:     func(h changes, heard uint64, _ int) []uint64 { return values(h, h.alive(heard, 0)) },
		textbook: func(h changes, heard uint64, _ int) []uint64 {
			var seen uint64
			h.each(heard, 0, func(_ int, c change) { seen |= c.seen })
			return values(h, heard&^seen)
		},
	}
}

// causalSubject is a type that the oracle can drive.
type causalSubject[S any] struct {
	replicated[S]
	change func(s S, m *crdt.Minter, c change) S
	value  func(s S) ([]uint64, error)
}

// runCausal drives a history that draw chooses and returns the first contradiction.
func runCausal[S any](im causalSubject[S], mean causalMeaning, draw choose) error {
	var h changes
	d := driver[S]{
		replicated: im.replicated,
		perform: func(r heardState[S], m *crdt.Minter, draw choose) (delta S, what string) {
			c := change{remove: draw("remove", 3) == 2, element: draw("element", mean.elements), value: uint64(draw("value", 3)), seen: r.heard}
			c.observed = h.alive(r.heard, c.element)
			h = append(h, c)
			verb := map[bool]string{false: "adds", true: "removes"}[c.remove]
			return im.change(r.state, m, c), fmt.Sprintf("%s %d (%d)", verb, c.element, c.value)
		},
		check: func(r heardState[S]) error {
			got, err := im.value(r.state)
			if err != nil {
				return err
			}
			var want, book []uint64
			for e := range mean.elements {
				want = append(want, mean.want(h, r.heard, e)...)
				book = append(book, mean.textbook(h, r.heard, e)...)
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("holds %v, want %v", got, want)
			}
			if h.closed(r.heard) && !slices.Equal(book, want) {
				return fmt.Errorf("the specifications differ: %v and %v", book, want)
			}
			return nil
		},
	}
	return d.run(draw)
}

// causalMistakes are those of the set's model, and those that only these types can have.
type causalMistakes struct {
	mistakes
	removeMintsNothing bool // a remove only takes out the adds that it saw
	absentMintsNothing bool // a remove of what is not there is dropped
	removesStay        bool // an add does not overrule the removes that it saw
	writesStay         bool // a write does not replace what it saw
	latestOnly         bool // a join keeps one of several values: that with the highest dot
}

// replace takes out the marks and puts one in; it returns both as one delta.
func (s *naive) replace(m *crdt.Minter, out []uint64, in uint64, bad mistakes) *naive {
	delta := s.remove(out, bad)
	added := s.add(m, in, bad)
	delta.join(added, mistakes{})
	return delta
}

// The model's marks: element·2 for an add, element·2+1 for a remove; in a register the values.

func naiveRemovesWin(s *naive, m *crdt.Minter, c change, bad causalMistakes) *naive {
	add, remove := uint64(c.element)*2, uint64(c.element)*2+1
	switch {
	case !c.remove && bad.removesStay:
		return s.replace(m, nil, add, bad.mistakes)
	case !c.remove:
		return s.replace(m, []uint64{remove}, add, bad.mistakes)
	case bad.removeMintsNothing || bad.absentMintsNothing && len(s.dots(add)) == 0:
		return s.remove([]uint64{add}, bad.mistakes)
	default:
		return s.replace(m, []uint64{add}, remove, bad.mistakes)
	}
}

func naiveAddsWin(s *naive, m *crdt.Minter, c change, bad causalMistakes) *naive {
	if c.remove {
		return s.remove([]uint64{0}, bad.mistakes)
	}
	return s.replace(m, nil, 0, bad.mistakes)
}

func naiveRegister(s *naive, m *crdt.Minter, c change, bad causalMistakes) *naive {
	switch {
	case c.remove:
		return s.remove(s.value(), bad.mistakes)
	case bad.writesStay:
		return s.replace(m, nil, c.value, bad.mistakes)
	default:
		return s.replace(m, s.value(), c.value, bad.mistakes)
	}
}

// elementsIn returns the elements that have an add and no remove.
func elementsIn(s *naive) (es []uint64) {
	marks := s.value()
	for _, mark := range marks {
		if mark%2 == 0 && !slices.Contains(marks, mark+1) {
			es = append(es, mark/2)
		}
	}
	return es
}

func registerValues(s *naive) []uint64 { return s.value() }

type naiveChange func(*naive, *crdt.Minter, change, causalMistakes) *naive

func naiveCausal(do naiveChange, value func(*naive) []uint64, bad causalMistakes) causalSubject[*naive] {
	return causalSubject[*naive]{
		replicated: replicated[*naive]{
			new: newNaive,
			join: func(s, delta *naive) {
				s.join(delta, bad.mistakes)
				if bad.latestOnly {
					latest := slices.MaxFunc(append(slices.Collect(maps.Keys(s.live)), crdt.Dot{}), crdt.Dot.Compare)
					maps.DeleteFunc(s.live, func(d crdt.Dot, _ uint64) bool { return d != latest })
				}
			},
			clone: (*naive).clone,
			since: func(from, to *naive) *naive { return from.since(to, bad.mistakes) },
		},
		change: func(s *naive, m *crdt.Minter, c change) *naive { return do(s, m, c, bad) },
		value:  func(s *naive) ([]uint64, error) { return value(s), nil },
	}
}

// causal is what the types under test have in common.
type causal[L any] interface {
	crdt.Lattice[L]
	Context() *crdt.Context
}

// causalBesideModel runs a type beside the model: value, context and live dots must agree at each step, and
// answers to digests too.
func causalBesideModel[L causal[L]](
	newState func() L, do func(L, *crdt.Minter, change) L, dots func(L) []crdt.Dot, value func(L) []uint64,
	naiveDo naiveChange, naiveValue func(*naive) []uint64, exact bool,
) causalSubject[*besideNaive[L]] {
	differ := func(l L, model *naive) error {
		want := slices.SortedFunc(maps.Keys(model.live), crdt.Dot.Compare)
		if got := dots(l); !slices.Equal(got, want) || l.Size() != len(want) {
			return fmt.Errorf("%v has live dots %v, the model %v", l, got, want)
		}
		seen := uint64(0)
		for r := range l.Context().Runs() {
			seen += r.To - r.From + 1
		}
		for d := range model.seen {
			if !l.Context().Contains(d) {
				return fmt.Errorf("%v has not seen %v", l, d)
			}
		}
		if seen != uint64(len(model.seen)) {
			return fmt.Errorf("%v has seen %d dots, the model %d", l, seen, len(model.seen))
		}
		return nil
	}
	return causalSubject[*besideNaive[L]]{
		replicated: replicated[*besideNaive[L]]{
			new: func() *besideNaive[L] { return &besideNaive[L]{newState(), newNaive(), nil} },
			join: func(w, delta *besideNaive[L]) {
				w.state.Join(delta.state)
				w.model.join(delta.model, mistakes{})
			},
			clone: func(w *besideNaive[L]) *besideNaive[L] {
				return &besideNaive[L]{state: w.state.Clone(), model: w.model.clone(), err: w.err}
			},
			since: func(from, to *besideNaive[L]) *besideNaive[L] {
				delta, err := from.state.Since(to.state.Digest())
				d := &besideNaive[L]{state: delta, model: from.model.since(to.model, mistakes{})}
				if exact || to.model.fewRuns() {
					err = errors.Join(err, differ(delta.Clone(), d.model))
				}
				to.err = errors.Join(to.err, err)
				return d
			},
		},
		change: func(w *besideNaive[L], m *crdt.Minter, c change) *besideNaive[L] {
			again := *m
			return &besideNaive[L]{state: do(w.state, m, c), model: naiveDo(w.model, &again, c, causalMistakes{})}
		},
		value: func(w *besideNaive[L]) ([]uint64, error) {
			got := value(w.state)
			err := errors.Join(w.err, differ(w.state, w.model))
			if want := naiveValue(w.model); !slices.Equal(got, want) {
				err = errors.Join(err, fmt.Errorf("%v holds %v, the model %v", w.state, got, want))
			}
			return got, err
		},
	}
}

type besideNaive[L any] struct {
	state L
	model *naive
	err   error
}

const causalElements = 3

func besideRWSet() causalSubject[*besideNaive[*crdt.RWSet[uint64]]] {
	type set = *crdt.RWSet[uint64]
	return causalBesideModel(
		crdt.NewRWSet[uint64],
		func(s set, m *crdt.Minter, c change) set {
			if c.remove {
				return s.Remove(m, uint64(c.element))
			}
			return s.Add(m, uint64(c.element))
		},
		func(s set) []crdt.Dot {
			all := crdt.RWSetOp[uint64]{}
			for e := range uint64(causalElements) {
				all.Remove = append(all.Remove, e)
			}
			return s.Prepare(all).Observed
		},
		func(s set) (es []uint64) {
			for e := range uint64(causalElements) {
				if s.Contains(e) {
					es = append(es, e)
				}
			}
			if all := slices.Sorted(s.All()); !slices.Equal(all, es) || s.Len() != len(es) {
				return append(all, 99)
			}
			return es
		},
		naiveRemovesWin, elementsIn, false)
}

func flagValue(on bool) []uint64 { return only(0, on) }

func besideEWFlag() causalSubject[*besideNaive[*crdt.EWFlag]] {
	return causalBesideModel(
		crdt.NewEWFlag,
		func(f *crdt.EWFlag, m *crdt.Minter, c change) *crdt.EWFlag {
			if c.remove {
				return f.Disable()
			}
			return f.Enable(m)
		},
		func(f *crdt.EWFlag) []crdt.Dot { return f.Prepare(crdt.FlagOp{}).Observed },
		func(f *crdt.EWFlag) []uint64 { return flagValue(f.On()) },
		naiveAddsWin, elementsIn, true)
}

func besideDWFlag() causalSubject[*besideNaive[*crdt.DWFlag]] {
	return causalBesideModel(
		crdt.NewDWFlag,
		func(f *crdt.DWFlag, m *crdt.Minter, c change) *crdt.DWFlag {
			if c.remove {
				return f.Disable(m)
			}
			return f.Enable(m)
		},
		func(f *crdt.DWFlag) []crdt.Dot { return f.Prepare(crdt.FlagOp{}).Observed },
		func(f *crdt.DWFlag) []uint64 { return flagValue(f.On()) },
		naiveRemovesWin, elementsIn, true)
}

func besideMVRegister() causalSubject[*besideNaive[*crdt.MVRegister[uint64]]] {
	type register = *crdt.MVRegister[uint64]
	return causalBesideModel(
		func() register { return crdt.NewMVRegister(Uints()) },
		func(r register, m *crdt.Minter, c change) register {
			if c.remove {
				return r.Clear()
			}
			return r.Set(m, c.value)
		},
		func(r register) []crdt.Dot { return r.Prepare(crdt.MVRegisterOp[uint64]{}).Observed },
		func(r register) []uint64 { return slices.Sorted(r.All()) },
		naiveRegister, registerValues, true)
}

func checkMeaning[S any](t *testing.T, im func() causalSubject[S], mean causalMeaning) {
	t.Helper()
	holds(t, 1000, func(draw choose) error { return runCausal(im(), mean, draw) })
}

func TestRWSetMeansRemoveWins(t *testing.T) {
	t.Parallel()
	checkMeaning(t, besideRWSet, removesWin(causalElements))
}

func TestEWFlagMeansEnableWins(t *testing.T) {
	t.Parallel()
	checkMeaning(t, besideEWFlag, addsWin())
}

func TestDWFlagMeansDisableWins(t *testing.T) {
	t.Parallel()
	checkMeaning(t, besideDWFlag, removesWin(1))
}

func TestMVRegisterMeansLastWrites(t *testing.T) {
	t.Parallel()
	checkMeaning(t, besideMVRegister, lastWrites())
}

// TestCausalOracleFindsKnownWrongTurns makes each mistake in the model of each type that can have it and
// expects the oracle to object.
func TestCausalOracleFindsKnownWrongTurns(t *testing.T) {
	t.Parallel()
	shared := map[string]causalMistakes{
		"a vector in place of a context":       {mistakes: mistakes{vector: true}},
		"deltas that carry the whole context":  {mistakes: mistakes{wholeContext: true}},
		"answers that carry the whole context": {mistakes: mistakes{wholeAnswer: true}},
		"present on both sides stays":          {mistakes: mistakes{bothSides: true}},
		"dots minted from the context":         {mistakes: mistakes{mintFromContext: true}},
		"digests of the context alone":         {mistakes: mistakes{contextDigest: true}},
		// Where all changes take dots it shows after several of one element: in one history of 15,000.
		"the state with the larger context is taken": {mistakes: mistakes{dominating: true}},
	}
	removals := map[string]causalMistakes{
		"a remove is only the end of the adds it saw": {removeMintsNothing: true},
		"a remove of what is not there is dropped":    {absentMintsNothing: true},
		"an add does not overrule the removes it saw": {removesStay: true},
	}
	writes := map[string]causalMistakes{
		"a write does not replace what it saw": {writesStay: true},
		"one of several values is kept":        {latestOnly: true},
	}
	for _, of := range []struct {
		name  string
		do    naiveChange
		value func(*naive) []uint64
		mean  causalMeaning
		bad   []map[string]causalMistakes
	}{
		{"RWSet", naiveRemovesWin, elementsIn, removesWin(causalElements), []map[string]causalMistakes{shared, removals}},
		{"DWFlag", naiveRemovesWin, elementsIn, removesWin(1), []map[string]causalMistakes{shared, removals}},
		{"EWFlag", naiveAddsWin, elementsIn, addsWin(), []map[string]causalMistakes{shared}},
		{"MVRegister", naiveRegister, registerValues, lastWrites(), []map[string]causalMistakes{shared, writes}},
	} {
		for _, group := range of.bad {
			for name, bad := range group {
				t.Run(of.name+"/"+name, func(t *testing.T) {
					t.Parallel()
					contradicted(t, func(draw choose) error { return runCausal(naiveCausal(of.do, of.value, bad), of.mean, draw) })
				})
			}
		}
		holdsLong(t, 300, func(draw choose) error {
			return runCausal(naiveCausal(of.do, of.value, causalMistakes{}), of.mean, draw)
		})
	}
}
