package flow

import (
	"fmt"
	"maps"
	"slices"
)

// Gate makes one operator fire at common frontiers only: changes of its inputs wait until all inputs that
// depend on a source can be brought to the same number of it, and are then applied as one. So where two
// ways of one source meet again, no output ever shows a state in which one of them is ahead: the view at
// frontier F is the operator's on the inputs at F. The price is that it waits for the slowest way.
//
// It is pure, and not safe for use by two goroutines at once.
type Gate struct {
	op       *Operator
	at       Frontier
	ports    []port
	repeated int64
	broken   bool // a change was applied in part

	eager bool // in tests: fire without waiting
}

type port struct {
	held    Frontier // applied
	waiting []Change // taken and not applied, each from where the one before leads to
}

// reach returns the frontier of the port when n of the waiting changes are applied.
func (p *port) reach(n int) Frontier {
	if n == 0 {
		return p.held
	}
	return p.waiting[n-1].To
}

// NewGate makes a gate before a new operator of the node of that name. Its inputs are empty, at number 0
// of every source. A source has one port, its feed, whose frontier is the source itself.
func (g *Graph) NewGate(name string) (*Gate, error) {
	op, err := g.New(name)
	if err != nil {
		return nil, err
	}
	gate := &Gate{op: op, at: g.start(name)}
	if len(op.node.Inputs) == 0 {
		gate.ports = []port{{held: maps.Clone(gate.at)}}
	}
	for _, in := range op.node.Inputs {
		gate.ports = append(gate.ports, port{held: g.start(in)})
	}
	return gate, nil
}

// start returns the frontier of the node of that name before all changes.
func (g *Graph) start(name string) Frontier {
	f, seen := make(Frontier), make(map[string]bool)
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		inputs := g.named[name].info.Inputs
		if len(inputs) == 0 {
			f[name] = 0
		}
		for _, in := range inputs {
			visit(in)
		}
	}
	visit(name)
	return f
}

// Operator returns the operator, to be read.
func (g *Gate) Operator() *Operator { return g.op }

// Frontier returns how far the output is. It is not to be changed.
func (g *Gate) Frontier() Frontier { return g.at }

// Waiting returns how many changes wait for others.
func (g *Gate) Waiting() int {
	n := 0
	for i := range g.ports {
		n += len(g.ports[i].waiting)
	}
	return n
}

// Repeated returns how many changes were dropped because they had been taken before.
func (g *Gate) Repeated() int64 { return g.repeated }

// Take takes a change of the input at port, and returns the change of the output when that made the
// operator fire: then fired is true, also when the output's batch is empty. A change that was taken
// before is dropped. The error is a *GapError, wraps a *BatchError or a *WeightError, or says that the change
// does not fit; nothing has changed then. Where several changes were to be applied as one and a later one
// was refused, and after a panic of the operator (Panicked), the gate is broken, and every further Take
// answers ErrBroken, wrapped. The change must not be altered afterwards.
//
// It costs what Operator.Apply costs, and O(waiting changes · sources).
func (g *Gate) Take(at int, c Change) (out Change, fired bool, err error) {
	if at < 0 || at >= len(g.ports) {
		return Change{}, false, noPort(g.op.node.Name, at, len(g.ports))
	}
	if g.broken {
		return Change{}, false, fmt.Errorf("flow: node %q: %w", g.op.node.Name, ErrBroken)
	}
	p := &g.ports[at]
	reached := p.reach(len(p.waiting))
	if !sameSources(c.From, reached) || !sameSources(c.To, reached) || !c.To.Covers(c.From) {
		return Change{}, false, fmt.Errorf("flow: node %q, port %d: a change from %v to %v is none of this input, whose frontier is %v",
			g.op.node.Name, at, c.From, c.To, reached)
	}
	if reached.Covers(c.To) {
		g.repeated++
		return Change{}, false, nil
	}
	if !maps.Equal(c.From, reached) {
		return Change{}, false, &GapError{Node: g.op.node.Name, Port: at, Held: maps.Clone(reached), From: c.From, To: c.To}
	}
	// What cannot be applied must not wait before what can.
	if err := g.op.e.check(at, c.Batch); err != nil {
		return Change{}, false, fmt.Errorf("flow: node %q, port %d: %w", g.op.node.Name, at, err)
	}
	p.waiting = append(p.waiting, c)
	out, fired, err = g.fire()
	if err != nil && !g.broken {
		p.waiting = p.waiting[:len(p.waiting)-1]
	}
	return out, fired, err
}

func sameSources(f, g Frontier) bool {
	if len(f) != len(g) {
		return false
	}
	for source := range g {
		if _, ok := f[source]; !ok {
			return false
		}
	}
	return true
}

// fire applies all that can be brought to a common frontier. After an error either nothing was applied or
// the gate is broken.
func (g *Gate) fire() (out Change, fired bool, err error) {
	take := g.common()
	if !slices.ContainsFunc(take, func(n int) bool { return n > 0 }) {
		return Change{}, false, nil
	}
	out = Change{From: g.at, To: make(Frontier, len(g.at))}
	var batches [][]byte
	applied := 0
	g.broken = true // until it is seen that all went well
	for i, n := range take {
		p := &g.ports[i]
		for _, c := range p.waiting[:n] {
			batch, err := g.op.Apply(i, c.Batch)
			if err != nil {
				g.broken = applied > 0
				return Change{}, false, err
			}
			applied++
			if len(batch) > 0 {
				batches = append(batches, batch)
			}
		}
		p.held = p.reach(n)
		p.waiting = slices.Delete(p.waiting, 0, n)
		for source, number := range p.held {
			out.To[source] = max(out.To[source], number)
		}
	}
	if out.Batch, err = sumBatches(batches); err != nil {
		return Change{}, false, fmt.Errorf("flow: node %q: its own output: %w", g.op.node.Name, err)
	}
	g.at, g.broken = out.To, false
	return out, true, nil
}

// common returns how many of the waiting changes to take from each port, so that all ports agree on the
// number of every source that they share, and as many as can be. Such choices are closed under maximum,
// port by port, because frontiers only grow; so there is a greatest one, and it is found by giving way
// until nobody is ahead. Taking none is always possible: the ports agree on what they hold.
func (g *Gate) common() []int {
	take := make([]int, len(g.ports))
	for i := range take {
		take[i] = len(g.ports[i].waiting)
	}
	if g.eager {
		return take
	}
	for again := true; again; {
		again = false
		least := maps.Clone(g.ports[0].reach(take[0]))
		for i := range g.ports {
			for source, n := range g.ports[i].reach(take[i]) {
				if m, ok := least[source]; !ok || n < m {
					least[source] = n
				}
			}
		}
		for i := range g.ports {
			for take[i] > 0 && !least.Covers(g.ports[i].reach(take[i])) {
				take[i]--
				again = true
			}
		}
	}
	return take
}

// sumBatches returns the canonical batch of the sum of batches, nil when nothing is left.
func sumBatches(batches [][]byte) ([]byte, error) {
	switch len(batches) {
	case 0:
		return nil, nil
	case 1:
		return batches[0], nil
	}
	var arena []byte
	var spans []span
	for _, b := range batches {
		for at := 0; at < len(b); {
			elem, weight, next, err := readItem(b, at)
			if err != nil {
				return nil, err
			}
			from := len(arena)
			arena = append(arena, elem...)
			spans = append(spans, span{from, len(arena), weight})
			at = next
		}
	}
	sum, _ := appendSpans(nil, arena, spans)
	return sum, nil
}
