package commit

import (
	"bytes"
	"maps"
	"slices"

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

// Outbox returns the kept deltas after a position, in log order: those that some replica has not
// logged yet. A silo that comes back takes from here what it missed. It costs a scan of what is kept.
func (l *Ledger) Outbox(after uint64) []Delta {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var ds []Delta
	for _, o := range l.outbox.list {
		if o.waiting > 0 && o.Pos > after {
			ds = append(ds, o.Delta)
		}
	}
	return ds
}

// LoggedUpTo returns up to which position a silo has reported all deltas logged.
func (l *Ledger) LoggedUpTo(silo string) uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.outbox.logged[silo]
}

// maxSilos bounds how many names reports of Logged may bring in.
const maxSilos = 4096

type owed struct {
	Delta
	waiting int // silos that have not logged it
}

// outbox keeps each delta until all silos that hold its variable have logged it. A report costs the
// deltas that it covers, so each is looked at once for each silo.
type outbox struct {
	list   []owed // by Pos; those with nobody waiting go when they are at the front, or too many
	dead   int
	logged map[string]uint64
}

func newOutbox() outbox { return outbox{logged: map[string]uint64{}} }

func (o *outbox) add(d Delta, replicas []string) {
	if n := o.waitingFor(d, replicas); n > 0 {
		o.list = append(o.list, owed{Delta: d, waiting: n})
	}
}

func (o *outbox) waitingFor(d Delta, replicas []string) int {
	n := 0
	for i, silo := range replicas {
		if o.logged[silo] < d.Pos && !slices.Contains(replicas[:i], silo) {
			n++
		}
	}
	return n
}

func (l *Ledger) logged(c Logged) Result {
	o := &l.outbox
	before, known := o.logged[c.Silo]
	switch {
	case c.Silo == "" || !known && len(o.logged) >= maxSilos:
		return invalid("no such silo")
	case c.Pos >= l.pos:
		return invalid("a position that was not applied cannot have been logged")
	}
	if c.Pos <= before {
		return Result{Code: Done}
	}
	o.logged[c.Silo] = c.Pos
	from, _ := slices.BinarySearchFunc(o.list, before+1, func(e owed, pos uint64) int {
		if e.Pos < pos {
			return -1
		}
		return 1
	})
	for i := from; i < len(o.list) && o.list[i].Pos <= c.Pos; i++ {
		e := &o.list[i]
		if e.waiting > 0 && slices.Contains(l.replicas(e.Variable), c.Silo) {
			if e.waiting--; e.waiting == 0 {
				e.Bytes = nil
				o.dead++
			}
		}
	}
	if o.dead > 0 && o.dead*2 >= len(o.list) {
		o.list = slices.DeleteFunc(o.list, func(e owed) bool { return e.waiting == 0 })
		o.dead = 0
	}
	return Result{Code: Done}
}

func (l *Ledger) replicas(v wire.ID) []string {
	if l.config.Replicas == nil {
		return nil
	}
	return l.config.Replicas(v)
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
		l.outbox.add(d, l.replicas(d.Variable))
	}
}
