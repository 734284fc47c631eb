package view

import (
	"cmp"
	"slices"
)

// Registry is the replicated state machine of the view group: it makes views of the log's entries. One
// goroutine at a time drives it, in the log's order. The same entries give the same views everywhere.
type Registry struct {
	table *Table
	marks map[SiloID]uint64 // of the living: their last renewals
	seats seat              // given so far
	pools uint64            // made so far
}

// Applied is what one entry did.
type Applied struct {
	// Table is the newest view, the one before if there is no new one.
	Table *Table
	// Outcomes are those of the commands, in their order.
	Outcomes []Outcome
	// Renewed are the renewals that counted.
	Renewed []Renewal
}

// NewRegistry returns the machine before the first entry: view 0, without members.
func NewRegistry() *Registry {
	t := &Table{}
	t.index()
	return &Registry{table: t, marks: map[SiloID]uint64{}}
}

// Table returns the newest view.
func (g *Registry) Table() *Table { return g.table }

// Current returns the newest view with everybody's last renewal, as if one entry had brought it all: what
// a silo goes on from after a snapshot was restored.
func (g *Registry) Current() Applied {
	a := Applied{Table: g.table}
	for _, m := range g.table.Members {
		if mark := g.marks[m.ID]; m.Alive() && mark > 0 {
			a.Renewed = append(a.Renewed, Renewal{m.Run, mark})
		}
	}
	return a
}

// Apply applies one entry. An entry that cannot be decoded changes nothing; the error matches
// [ErrMalformed]. A view costs O(Slots) for each pool; an entry of renewals alone costs O(renewals).
func (g *Registry) Apply(entry []byte) (Applied, error) {
	commands, err := DecodeCommands(entry)
	if err != nil {
		return Applied{Table: g.table}, err
	}
	next := &change{registry: g, table: &Table{Number: g.table.Number + 1, Members: g.table.Members, pools: g.table.pools}}
	var a Applied
	for _, c := range commands {
		a.Outcomes = append(a.Outcomes, next.apply(c))
	}
	if next.members || next.rows {
		next.forget()
		g.arrange(next.table, next.members)
		next.table.index()
		g.table = next.table
	}
	a.Table, a.Renewed = g.table, next.renewed
	return a, nil
}

// change is a view that is being made.
type change struct {
	registry *Registry
	table    *Table
	members  bool // Members is a copy, and differs
	rows     bool // pools is a copy, and differs
	renewed  []Renewal
}

func (c *change) apply(command Command) Outcome {
	switch x := command.(type) {
	case Join:
		return c.join(x.Member)
	case Ready:
		return c.pass(x.Run, Joining, Active)
	case Leave:
		if m := c.living(x.Run); m != nil && m.State == Joining {
			return c.pass(x.Run, Joining, Leaving)
		}
		return c.pass(x.Run, Active, Leaving)
	case Left:
		return c.left(x.Run)
	case Renew:
		return c.renew(x.Renewals)
	case Release:
		return c.release(x)
	case Remove:
		return c.remove(x)
	case Promote:
		return c.vote(x.ID, true)
	case Demote:
		return c.vote(x.ID, false)
	}
	return Unknown
}

// living returns the member that is this run, to look at; edit makes it one's own.
func (c *change) living(r Run) *Member {
	if i, ok := c.table.find(r.ID); ok && c.table.Members[i].Run == r && c.table.Members[i].Alive() {
		return &c.table.Members[i]
	}
	return nil
}

func (c *change) edit() []Member {
	if !c.members {
		c.members, c.table.Members = true, slices.Clone(c.table.Members)
	}
	return c.table.Members
}

func (c *change) enter(i int, s State) {
	m := &c.edit()[i]
	m.State, m.Since = s, c.table.Number
	if s == Dead {
		delete(c.registry.marks, m.ID)
	}
}

func (c *change) join(m Member) Outcome {
	i, known := c.table.find(m.ID)
	if known {
		was := &c.table.Members[i]
		switch {
		case was.Run == m.Run && was.Alive():
			return Already
		case was.Incarnation >= m.Incarnation:
			return Outdated
		case was.Alive():
			return Occupied
		}
		m.Voter = was.Voter
	} else {
		m.Voter = false
		if len(c.registry.marks) >= maxMembers {
			return Full
		}
		c.table.Members = slices.Insert(c.edit(), i, Member{})
	}
	c.registry.seats++
	m.seat = c.registry.seats
	c.registry.marks[m.ID] = 0
	c.edit()[i] = m
	c.enter(i, Joining)
	return Done
}

// pass takes a run from one state to the next.
func (c *change) pass(r Run, from, to State) Outcome {
	m := c.living(r)
	switch {
	case m == nil:
		return Unknown
	case m.State == to:
		return Already
	case m.State != from:
		return Outdated
	}
	i, _ := c.table.find(r.ID)
	c.enter(i, to)
	return Done
}

func (c *change) left(r Run) Outcome {
	m := c.living(r)
	if m == nil {
		return Unknown
	}
	for _, p := range c.table.pools {
		for slot := range p.rows {
			if p.rows[slot].holder == m.seat {
				return Holding
			}
		}
	}
	i, _ := c.table.find(r.ID)
	c.enter(i, Dead)
	return Done
}

func (c *change) remove(x Remove) Outcome {
	if c.living(x.Run) == nil {
		return Unknown
	}
	if c.registry.marks[x.Run.ID] != x.Mark {
		return Renewed
	}
	i, _ := c.table.find(x.Run.ID)
	c.enter(i, Dead)
	return Done
}

func (c *change) renew(all []Renewal) Outcome {
	outcome := Already
	for _, r := range all {
		if c.living(r.Run) != nil && c.registry.marks[r.Run.ID] < r.Mark {
			c.registry.marks[r.Run.ID] = r.Mark
			c.renewed = append(c.renewed, r)
			outcome = Done
		}
	}
	return outcome
}

func (c *change) release(x Release) Outcome {
	m := c.living(x.Run)
	if m == nil {
		return Unknown
	}
	i := slices.IndexFunc(c.table.pools, func(p *pool) bool { return p.id == x.Pool })
	if i < 0 {
		return Outdated
	}
	p := *c.table.pools[i]
	rows := *p.rows
	counts := 0
	for _, h := range x.Held {
		if r := &rows[h.Slot]; r.holder == m.seat && r.token == h.Token {
			r.holder = 0
			counts++
		}
	}
	if counts == 0 {
		return Outdated
	}
	if !c.rows {
		c.rows, c.table.pools = true, slices.Clone(c.table.pools)
	}
	p.rows = &rows
	c.table.pools[i] = &p
	return Done
}

func (c *change) vote(id SiloID, is bool) Outcome {
	i, ok := c.table.find(id)
	switch {
	case !ok:
		return Unknown
	case c.table.Members[i].Voter == is:
		return Already
	}
	c.edit()[i].Voter = is
	return Done
}

// forget drops the dead that died first where there are more than are remembered. A voter is remembered as long
// as it votes: variables are kept on it.
func (c *change) forget() {
	var dead []uint64
	for i := range c.table.Members {
		if m := &c.table.Members[i]; !m.Alive() && !m.Voter {
			dead = append(dead, m.Since)
		}
	}
	for excess := len(dead) - maxDead; excess > 0; excess-- {
		oldest := -1
		for i, m := range c.edit() {
			if !m.Alive() && !m.Voter && (oldest < 0 || cmp.Less(m.Since, c.table.Members[oldest].Since)) {
				oldest = i
			}
		}
		c.table.Members = slices.Delete(c.table.Members, oldest, oldest+1)
	}
}
