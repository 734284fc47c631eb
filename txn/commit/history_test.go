package commit

import (
	"fmt"
	"slices"
	"time"
)

// history is what a simulation saw from outside: what each attempt read and wrote, and what the users
// were told. Its states are lists of the attempts that wrote them, so that the final lists tell the
// order of all commits, and what a reader saw tells its place.
type history struct {
	blocks []*told
	byID   map[ID]*told
}

type told struct {
	id       ID
	invoked  time.Duration
	answered time.Duration // 0: never
	outcome  outcome
	attempt  Attempt // the one that was said to be committed
	tried    map[uint32]*trace
	steps    []simStep
	active   int // coordinators that are at it, or died being so
	takers   int // coordinators that have taken it over
}

type outcome string

const (
	saidNothing   outcome = "nothing"
	saidCommitted outcome = "committed"
	saidAborted   outcome = "aborted"
	saidInDoubt   outcome = "in doubt"
)

// trace is what one submitted attempt did.
type trace struct {
	saw    map[int][]Attempt // by grain: the list before its own write
	writes map[int]bool
	ops    int
	sum    int // of all balances that it saw
}

func newHistory() *history { return &history{byID: map[ID]*told{}} }

func (h *history) begin(id ID, now time.Duration) *told {
	b := &told{id: id, invoked: now, outcome: saidNothing, tried: map[uint32]*trace{}}
	h.blocks = append(h.blocks, b)
	h.byID[id] = b
	return b
}

// answer notes what a user was told. Who asked for it to be taken over waits for the taker's answer; that
// of another is not its outcome unless it says committed.
func (b *told) answer(o outcome, a Attempt, now time.Duration) {
	if b.outcome == saidCommitted {
		return
	}
	b.outcome, b.attempt, b.answered = o, a, now
}

// done is one committed attempt with its place in the final lists.
type done struct {
	*told
	*trace
	attempt Attempt
}

// check says what is wrong with a history, given the final lists of all grains: atomicity, at most one
// attempt of a block, truth of what was told, and strict serializability.
func (h *history) check(final [][]Attempt, balanceOfAll int) error {
	committed := map[Attempt]*done{}
	var order []*done
	add := func(a Attempt) error {
		if committed[a] != nil {
			return nil
		}
		b := h.byID[a.ID]
		if b == nil || b.tried[a.N] == nil {
			return fmt.Errorf("%v wrote and was never submitted", a)
		}
		for o := range committed {
			if o.ID == a.ID {
				return fmt.Errorf("two attempts of a block committed: %v and %v", o, a)
			}
		}
		d := &done{told: b, trace: b.tried[a.N], attempt: a}
		committed[a] = d
		order = append(order, d)
		return nil
	}
	for g, list := range final {
		for i, a := range list {
			if slices.Contains(list[:i], a) {
				return fmt.Errorf("%v is twice in the list of grain %d", a, g)
			}
			if err := add(a); err != nil {
				return err
			}
		}
	}
	for _, b := range h.blocks {
		wrote := func(a Attempt) bool { t := b.tried[a.N]; return t != nil && len(t.writes) > 0 }
		switch b.outcome {
		case saidCommitted:
			if !wrote(b.attempt) && b.tried[b.attempt.N] != nil {
				if err := add(b.attempt); err != nil { // a reader leaves no trace in the lists
					return err
				}
			}
			if committed[b.attempt] == nil {
				return fmt.Errorf("%v was said to be committed and is not", b.attempt)
			}
		case saidAborted:
			for n := range b.tried {
				if committed[Attempt{b.id, n}] != nil {
					return fmt.Errorf("%v was said to be aborted and attempt %d committed", b.id, n)
				}
			}
		}
	}
	if err := consistent(order, final, balanceOfAll); err != nil {
		return err
	}
	return acyclic(order, committed, final)
}

// consistent: each committed attempt saw a prefix of the final list, and wrote just behind it, in all
// the grains that it wrote or in none.
func consistent(order []*done, final [][]Attempt, balanceOfAll int) error {
	for _, d := range order {
		for g, saw := range d.saw {
			if len(saw) > len(final[g]) || !slices.Equal(saw, final[g][:len(saw)]) {
				return fmt.Errorf("%v saw %v in grain %d, which never was: %v", d.attempt, saw, g, final[g])
			}
			if d.writes[g] && (len(saw) == len(final[g]) || final[g][len(saw)] != d.attempt) {
				return fmt.Errorf("%v wrote grain %d upon %v, and is not next in %v", d.attempt, g, saw, final[g])
			}
		}
		if len(d.saw) == len(final) && d.sum != balanceOfAll {
			return fmt.Errorf("%v saw %d in all accounts, not %d", d.attempt, d.sum, balanceOfAll)
		}
	}
	return nil
}

// acyclic looks for a ring of "must come before": writes of one grain, a write and who saw it, who did
// not see a write and that write, and an answer and what was begun after it.
func acyclic(order []*done, committed map[Attempt]*done, final [][]Attempt) error {
	after := map[*done][]*done{}
	for _, d := range order {
		for g, saw := range d.saw {
			n := len(saw)
			if n > 0 {
				w := committed[saw[n-1]]
				after[w] = append(after[w], d)
			}
			if d.writes[g] {
				n++
			}
			if n < len(final[g]) {
				after[d] = append(after[d], committed[final[g][n]])
			}
		}
		for _, e := range order {
			if d.outcome == saidCommitted && d.answered < e.invoked {
				after[d] = append(after[d], e)
			}
		}
	}
	const open, closed = 1, 2
	mark := map[*done]int{}
	var path []*done
	var visit func(d *done) error
	visit = func(d *done) error {
		mark[d] = open
		path = append(path, d)
		for _, e := range after[d] {
			if mark[e] == open {
				var ring []Attempt
				for _, p := range path[slices.Index(path, e):] {
					ring = append(ring, p.attempt)
				}
				return fmt.Errorf("not serializable: each of these must come before the next, in a ring: %v", ring)
			}
			if mark[e] == 0 {
				if err := visit(e); err != nil {
					return err
				}
			}
		}
		path = path[:len(path)-1]
		mark[d] = closed
		return nil
	}
	for _, d := range order {
		if mark[d] == 0 {
			if err := visit(d); err != nil {
				return err
			}
		}
	}
	return nil
}
