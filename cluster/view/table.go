package view

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Table is one numbered view: who is a member, and who holds each slot. It is immutable; every node makes
// the same ones of the same log.
//
// A slot is held for a *pool*, a group of kinds that the same members host. In a cluster whose silos all
// host everything there is one pool. A kind that only some silos host is in a pool of its own with all
// others that just these host, and that pool's slots are dealt out among them alone. So a grain of any
// kind is exclusive by the same rule: its slot of its pool has one holder, who changes by the log only.
// (To walk from a slot's holder on to the next member that hosts the kind would need no rows of its own,
// but the end of such a walk changes with the members, without anybody's release.)
type Table struct {
	Number  uint64
	Members []Member // by ID, with the dead that are remembered

	pools []*pool // by id
	kinds map[string]*pool
	seats map[seat]int // of the living
}

// pool is the slots of some kinds. It is immutable once its table is made.
type pool struct {
	id    uint64
	kinds []string // sorted
	rows  *[Slots]row
}

// row is one slot of a pool.
type row struct {
	holder, target seat // 0: nobody
	token          uint64
}

// Place names one slot of one pool.
type Place struct {
	Pool uint64
	Slot int
}

func (p Place) String() string { return fmt.Sprintf("%d/%d", p.Pool, p.Slot) }

func (p Place) compare(o Place) int {
	return cmp.Or(cmp.Compare(p.Pool, o.Pool), cmp.Compare(p.Slot, o.Slot))
}

// Row is what a view says about one slot.
type Row struct {
	Place
	// Holder is the run that alone may serve the slot; the zero Run while nobody can.
	Holder Run
	// Token is the number of the view in which the holder acquired the slot. It only grows.
	Token uint64
	// Target is who is to hold it; the holder releases it when that is somebody else.
	Target Run
}

// Member returns the newest run of a store.
func (t *Table) Member(id SiloID) (Member, bool) {
	i, ok := t.find(id)
	if !ok {
		return Member{}, false
	}
	return t.Members[i], true
}

func (t *Table) find(id SiloID) (int, bool) {
	return slices.BinarySearchFunc(t.Members, id, func(m Member, id SiloID) int { return cmp.Compare(m.ID, id) })
}

// Has returns a run that is alive.
func (t *Table) Has(r Run) (Member, bool) {
	m, ok := t.Member(r.ID)
	if !ok || m.Run != r || !m.Alive() {
		return Member{}, false
	}
	return m, true
}

// Living lists the members that are not dead, by ID.
func (t *Table) Living() []Member {
	return slices.DeleteFunc(slices.Clone(t.Members), func(m Member) bool { return !m.Alive() })
}

// Of returns the row of a grain, an operator or a process; false for a kind that no member hosts. It is
// two look-ups in maps and allocates nothing.
func (t *Table) Of(id wire.ID) (Row, bool) {
	p := t.kinds[id.Kind()]
	if p == nil {
		return Row{}, false
	}
	return t.row(p, Slot(id)), true
}

// Owner returns the member that holds the slot of a grain, an operator or a process; false while nobody
// does.
func (t *Table) Owner(id wire.ID) (Member, bool) {
	p := t.kinds[id.Kind()]
	if p == nil {
		return Member{}, false
	}
	i, ok := t.seats[p.rows[Slot(id)].holder]
	if !ok {
		return Member{}, false
	}
	return t.Members[i], true
}

// At returns the member at an address, the one that lives where there were several.
func (t *Table) At(addr string) (found Member, ok bool) {
	for _, m := range t.Members {
		if m.Addr == addr && (!ok || m.Alive()) {
			found, ok = m, true
		}
	}
	return found, ok
}

// Row returns the row of a place; false if there is no such pool (any more).
func (t *Table) Row(at Place) (Row, bool) {
	p := t.pool(at.Pool)
	if p == nil || at.Slot < 0 || at.Slot >= Slots {
		return Row{}, false
	}
	return t.row(p, at.Slot), true
}

func (t *Table) pool(id uint64) *pool {
	i, ok := slices.BinarySearchFunc(t.pools, id, func(p *pool, id uint64) int { return cmp.Compare(p.id, id) })
	if !ok {
		return nil
	}
	return t.pools[i]
}

func (t *Table) row(p *pool, slot int) Row {
	r := &p.rows[slot]
	return Row{Place{p.id, slot}, t.run(r.holder), r.token, t.run(r.target)}
}

func (t *Table) run(s seat) Run {
	i, ok := t.seats[s]
	if !ok {
		return Run{}
	}
	return t.Members[i].Run
}

// Rows calls f with every row, by pool and slot, until f returns false.
func (t *Table) Rows(f func(Row) bool) {
	for _, p := range t.pools {
		for slot := range Slots {
			if !f(t.row(p, slot)) {
				return
			}
		}
	}
}

// Settled says that every slot is held by the member that it is meant for.
func (t *Table) Settled() bool {
	for _, p := range t.pools {
		for i := range p.rows {
			if p.rows[i].holder == 0 || p.rows[i].holder != p.rows[i].target {
				return false
			}
		}
	}
	return true
}

// Pools is how many groups of kinds there are that different members host.
func (t *Table) Pools() int { return len(t.pools) }

// Kinds lists the kinds of a pool, sorted. It must not be changed.
func (t *Table) Kinds(pool uint64) []string {
	if p := t.pool(pool); p != nil {
		return p.kinds
	}
	return nil
}

// Held counts the slots that a run holds, over all pools, and how many of them are to move away.
func (t *Table) Held(r Run) (held, moving int) {
	m, ok := t.Has(r)
	if !ok {
		return 0, 0
	}
	for _, p := range t.pools {
		for i := range p.rows {
			if p.rows[i].holder == m.seat {
				held++
				if p.rows[i].target != m.seat {
					moving++
				}
			}
		}
	}
	return held, moving
}

// Keeps says whether a member counts among those that variables are kept on: it serves, or it is expected
// back because its store still votes.
func (m *Member) Keeps() bool { return m.State == Active || m.State == Leaving || m.Voter }

// Keepers lists the members that variables are kept on, by ID.
func (t *Table) Keepers() []Member {
	return slices.DeleteFunc(slices.Clone(t.Members), func(m Member) bool { return !m.Keeps() })
}

// Replicas returns the n members on which a variable is kept, those with the highest weight first:
// rendezvous hashing over Keepers, some of which may be down. wire.Everywhere, or more than there are,
// stands for all of them.
func (t *Table) Replicas(variable wire.ID, n int) []Member {
	h := hash(variable)
	type ranked struct {
		weight uint64
		member Member
	}
	var all []ranked
	for _, m := range t.Members {
		if m.Keeps() {
			all = append(all, ranked{mix(xxh3.HashString(string(m.ID)), h), m})
		}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.member.ID, b.member.ID))
	})
	if n == 0 {
		n = DefaultReplicas
	}
	if n < 0 || n > len(all) {
		n = len(all)
	}
	replicas := make([]Member, n)
	for i := range replicas {
		replicas[i] = all[i].member
	}
	return replicas
}

// index makes what the table looks things up by.
func (t *Table) index() {
	t.seats = make(map[seat]int, len(t.Members))
	for i := range t.Members {
		if t.Members[i].Alive() {
			t.seats[t.Members[i].seat] = i
		}
	}
	t.kinds = map[string]*pool{}
	for _, p := range t.pools {
		for _, k := range p.kinds {
			t.kinds[k] = p
		}
	}
}

// Diff is what differs between two views.
type Diff struct {
	From, To uint64
	// Members are those that the newer view has differently, as it has them.
	Members []Member
	// Moved are the rows whose holder or token is another one, as the newer view has them.
	Moved []Row
	// Gone are the stores that the newer view no longer remembers.
	Gone []SiloID
}

// DiffOf compares two views; old may be nil. It costs one pass over the rows of the pools that are not
// shared by both.
func DiffOf(old, t *Table) Diff {
	if old == nil {
		old = &Table{}
	}
	d := Diff{From: old.Number, To: t.Number}
	for _, m := range t.Members {
		if was, ok := old.Member(m.ID); !ok || !same(was, m) {
			d.Members = append(d.Members, m)
		}
	}
	for _, m := range old.Members {
		if _, ok := t.find(m.ID); !ok {
			d.Gone = append(d.Gone, m.ID)
		}
	}
	for _, p := range t.pools {
		was := old.kinds[p.kinds[0]]
		if was != nil && was.rows == p.rows {
			continue
		}
		for slot := range p.rows {
			if was == nil || was.rows[slot].holder != p.rows[slot].holder || was.rows[slot].token != p.rows[slot].token {
				d.Moved = append(d.Moved, t.row(p, slot))
			}
		}
	}
	return d
}

func same(a, b Member) bool {
	return a.Run == b.Run && a.State == b.State && a.Addr == b.Addr && a.Voter == b.Voter && a.Since == b.Since &&
		slices.Equal(a.Kinds, b.Kinds) && slices.Equal(a.Labels, b.Labels) && slices.Equal(a.Versions, b.Versions)
}

// String is the number and the members, for logs.
func (t *Table) String() string {
	b := fmt.Appendf(nil, "view %d:", t.Number)
	for _, m := range t.Members {
		b = fmt.Appendf(b, " %v %v", m.Run, m.State)
	}
	return string(b)
}
