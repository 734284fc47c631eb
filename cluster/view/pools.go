package view

import (
	"encoding/binary"
	"maps"
	"slices"
)

// arrange brings the pools in line with the members: who hosts what, who is to hold what, and who holds
// what nobody holds. It is called once for each entry that changed members or rows; t is still being made.
// Where members did not change, targets do not, because they are a function of the members.
func (g *Registry) arrange(t *Table, members bool) {
	hosts := hostsByKind(t.Members)
	if members {
		t.pools = g.repool(t.pools, hosts)
	} else {
		t.pools = slices.Clone(t.pools)
	}
	for i, p := range t.pools {
		rows := *p.rows
		if members {
			place(&rows, candidates(t.Members, p.kinds[0]))
			for _, first := range t.pools[:i] {
				if hosts[first.kinds[0]] == hosts[p.kinds[0]] { // so that the two can become one
					for slot := range rows {
						rows[slot].target = first.rows[slot].target
					}
					break
				}
			}
		}
		t.acquire(&rows)
		if rows != *p.rows {
			t.pools[i] = &pool{p.id, p.kinds, &rows}
		}
	}
	t.pools = g.merge(t.pools, hosts)
}

// acquire gives each row that no living run holds to its target, under the number of this view.
func (t *Table) acquire(rows *[Slots]row) {
	alive := map[seat]bool{}
	for _, m := range t.Members {
		alive[m.seat] = m.Alive()
	}
	for i := range rows {
		r := &rows[i]
		if r.holder != 0 && !alive[r.holder] {
			r.holder = 0
		}
		if r.holder == 0 && r.target != 0 {
			r.holder, r.token = r.target, t.Number
		}
	}
}

// hostsByKind says of each kind which living members host it, as a string that is equal for equal sets.
func hostsByKind(members []Member) map[string]string {
	hosts := map[string][]byte{}
	for _, m := range members {
		if m.Alive() {
			for _, k := range m.Kinds {
				hosts[k] = binary.BigEndian.AppendUint32(hosts[k], uint32(m.seat))
			}
		}
	}
	sets := make(map[string]string, len(hosts))
	for k, b := range hosts {
		sets[k] = string(b)
	}
	return sets
}

func candidates(members []Member, kind string) (from []candidate) {
	for i := range members {
		if m := &members[i]; m.State == Active && m.Hosts(kind) {
			from = append(from, candidate{m.seat, seedOf(m.ID)})
		}
	}
	return from
}

// repool splits the pools whose kinds are no longer hosted by the same members, drops kinds that nobody
// hosts, and gives kinds that are new to the pool that the same members host, or to one of their own.
//
// A pool that is split ends, and its parts begin with copies of its rows: a release that is on its way is
// of a pool that is no more, so nobody releases what he has not sealed.
func (g *Registry) repool(old []*pool, hosts map[string]string) (pools []*pool) {
	known := map[string]bool{}
	for _, p := range old {
		parts := map[string][]string{} // kinds by who hosts them
		for _, k := range p.kinds {
			known[k] = true
			if set, ok := hosts[k]; ok {
				parts[set] = append(parts[set], k)
			}
		}
		for _, set := range slices.Sorted(maps.Keys(parts)) {
			part := &pool{p.id, parts[set], p.rows}
			if len(parts) > 1 {
				part.id = g.newPool()
			}
			pools = append(pools, part)
		}
	}
	sortPools(pools)
	for _, k := range slices.Sorted(maps.Keys(hosts)) {
		if known[k] {
			continue
		}
		i := slices.IndexFunc(pools, func(p *pool) bool { return hosts[p.kinds[0]] == hosts[k] })
		if i < 0 {
			pools = append(pools, &pool{g.newPool(), []string{k}, new([Slots]row)})
			continue
		}
		p := pools[i]
		pools[i] = &pool{p.id, slices.Sorted(slices.Values(append(slices.Clone(p.kinds), k))), p.rows}
	}
	return pools
}

// merge makes one pool of those that the same members host, once nothing of them is on its way. The
// greater of two tokens counts: no fence has seen a greater one.
func (g *Registry) merge(pools []*pool, hosts map[string]string) []*pool {
	bySet := map[string]*pool{}
	merged := pools[:0:0]
	for _, p := range pools {
		set := hosts[p.kinds[0]]
		first := bySet[set]
		if first == nil || !mergeable(first.rows, p.rows) {
			if first == nil {
				bySet[set] = p
			}
			merged = append(merged, p)
			continue
		}
		rows := *first.rows
		for i := range rows {
			rows[i].token = max(rows[i].token, p.rows[i].token)
		}
		one := &pool{g.newPool(), slices.Sorted(slices.Values(append(slices.Clone(first.kinds), p.kinds...))), &rows}
		merged = append(slices.DeleteFunc(merged, func(p *pool) bool { return p == first }), one)
		bySet[set] = one
	}
	sortPools(merged)
	return merged
}

func mergeable(a, b *[Slots]row) bool {
	for i := range a {
		if a[i].holder != b[i].holder || a[i].holder != a[i].target || b[i].holder != b[i].target {
			return false
		}
	}
	return true
}

func (g *Registry) newPool() uint64 {
	g.pools++
	return g.pools
}

func sortPools(pools []*pool) {
	slices.SortFunc(pools, func(a, b *pool) int { return Place{Pool: a.id}.compare(Place{Pool: b.id}) })
}
