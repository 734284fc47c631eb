package commit

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Delta is what a committed block did to one variable. Deltas of one entry have one Pos; their order is
// the order of the log.
type Delta struct {
	Pos      uint64
	Variable wire.ID
	Bytes    []byte
}

// Drain gives f every delta made since the last call, in log order, and after a [Ledger.Restore] all
// that are still kept. Call it after each Apply, on the goroutine that applies: what is not drained
// stays in memory. A delta may come again after a restart; joining it twice does no harm.
func (l *Ledger) Drain(f func(Delta)) {
	l.mu.Lock()
	fresh := l.fresh
	l.fresh = nil
	l.mu.Unlock()
	for _, d := range fresh {
		f(d)
	}
}

// Outbox returns the kept deltas after a position, in log order: those that some silo of [Ledger.Silos]
// has not logged yet. It costs what it returns.
func (l *Ledger) Outbox(after uint64) []Delta {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.outbox.kept[l.outbox.upTo(after):])
}

// LoggedUpTo returns up to which position a silo has reported all deltas logged; 0 for a silo that is not
// waited for.
func (l *Ledger) LoggedUpTo(silo string) uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.outbox.logged[silo]
}

// Silos returns, sorted, the silos that deltas are kept for. Compare it with who is a member: a [Logged]
// that was under way for long may bring a silo in again that has [Left].
func (l *Ledger) Silos() []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Sorted(maps.Keys(l.outbox.logged))
}

// maxSilos bounds how many silos are waited for.
const maxSilos = 4096

// outbox keeps each delta until every silo that is waited for has logged its position.
//
// Every silo applies the log and drains all deltas of it by itself, so the outbox is for one case only: a
// silo that has drained a delta and lost it again before it was durable, and goes on from a snapshot that
// stands for the delta's entry. The snapshot then still has what the silo had not reported. That is enough
// if who keeps variables is in the set:
//
//   - A silo comes in by its first Logged, and does so before variables are kept on it. What is not kept at
//     that moment, the others have logged, and it gets that by comparing replicas, like any new replica.
//   - A silo is taken out when no variable is kept on it any more. What it owes goes, unless others wait
//     for it. If it comes back, it may lack some of what went meanwhile; so it registers by another first
//     Logged, and compares replicas: it is a new replica.
type outbox struct {
	kept   []Delta           // by Pos, all after the floor
	logged map[string]uint64 // who is waited for, and what each has reported
	floor  uint64            // all in logged have logged what is up to here; everything if nobody is there
}

func newOutbox(silos []string) outbox {
	o := outbox{logged: make(map[string]uint64, len(silos)), floor: math.MaxUint64}
	for _, silo := range silos {
		o.enter(silo, 0)
	}
	return o
}

func (o *outbox) enter(silo string, pos uint64) {
	o.logged[silo] = pos
	o.floor = min(o.floor, pos)
}

func (o *outbox) add(d Delta) {
	if d.Pos > o.floor {
		o.kept = append(o.kept, d)
	}
}

// upTo returns how many deltas are kept of positions up to pos.
func (o *outbox) upTo(pos uint64) int {
	return sort.Search(len(o.kept), func(i int) bool { return o.kept[i].Pos > pos })
}

func (l *Ledger) logged(c Logged) Result {
	o := &l.outbox
	before, known := o.logged[c.Silo]
	switch {
	case c.Silo == "" || !known && len(o.logged) >= maxSilos:
		return invalid("no such silo")
	case c.Pos >= l.pos:
		return invalid("a position that was not applied cannot have been logged")
	case !known:
		o.enter(c.Silo, c.Pos)
	case c.Pos > before:
		o.logged[c.Silo] = c.Pos
		if before == o.floor || l.faults.firstToLog {
			l.letGo()
		}
	}
	return Result{Code: Done}
}

func (l *Ledger) left(c Left) Result {
	if c.Silo == "" {
		return invalid("no such silo")
	}
	if before, known := l.outbox.logged[c.Silo]; known {
		delete(l.outbox.logged, c.Silo)
		if before == l.outbox.floor {
			l.letGo()
		}
	}
	return Result{Code: Done}
}

// letGo drops what nobody waits for any more.
func (l *Ledger) letGo() {
	o := &l.outbox
	o.floor = math.MaxUint64
	for _, pos := range o.logged {
		o.floor = min(o.floor, pos)
	}
	if l.faults.firstToLog && len(o.logged) > 0 {
		o.floor = slices.Max(slices.Collect(maps.Values(o.logged)))
	}
	n := o.upTo(o.floor)
	clear(o.kept[:n])
	if o.kept = o.kept[n:]; len(o.kept) == 0 {
		o.kept = nil
	}
}

// effects are what a decision's operations do, computed before anything is changed.
type effects struct {
	own    map[wire.ID][]byte
	deltas []Delta
}

func (l *Ledger) effects(ops []Operation) (e effects, reason string) {
	if len(ops) == 0 {
		return e, ""
	}
	if l.config.Effect == nil {
		return e, "this ledger takes no operations on variables"
	}
	e.own = make(map[wire.ID][]byte, 1)
	for _, o := range ops {
		own, ok := e.own[o.Variable]
		if !ok {
			own, _ = l.own.get(o.Variable)
		}
		delta, newOwn, err := l.effect(o, own)
		if err != nil {
			return effects{}, "an operation on " + o.Variable.String() + ": " + err.Error()
		}
		e.own[o.Variable] = newOwn
		if len(delta) > 0 {
			e.deltas = append(e.deltas, Delta{Pos: l.pos, Variable: o.Variable, Bytes: delta})
		}
	}
	return e, ""
}

// effect lends the host's function the machine's own bytes, but its own copy of the entry's, which it
// may keep.
func (l *Ledger) effect(o Operation, own []byte) (delta, newOwn []byte, err error) {
	return l.config.Effect(o.Variable, own, bytes.Clone(o.Op))
}

func (l *Ledger) emit(e effects) {
	for _, v := range slices.SortedFunc(maps.Keys(e.own), compareID) {
		l.own.put(v, e.own[v])
	}
	for _, d := range e.deltas {
		l.fresh = append(l.fresh, d)
		l.outbox.add(d)
	}
}
