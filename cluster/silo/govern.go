package silo

import (
	"context"
	"errors"
	"time"

	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/view"
)

// Here the leader of each group governs who votes in it, by what the view says of who is there.

// gone says of each store whether it has not been heard of for so long, or was expelled, that it will not come
// back. One that was let in a moment ago has not had the time to be heard of.
func (m *membership) gone(members consensus.Members) map[view.SiloID]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	gone := map[view.SiloID]bool{}
	if m.lead == nil {
		return gone // it does not lead, or does not know yet that it leads again
	}
	added := make(map[string]time.Time, len(members.List))
	for _, s := range members.List {
		heard, known := m.added[s.ID]
		if !known {
			heard = time.Now()
		}
		added[s.ID] = heard
		if s.LastContact.After(heard) {
			heard = s.LastContact
		}
		gone[view.SiloID(s.ID)] = m.expelled[view.SiloID(s.ID)] || time.Since(heard) > m.forget
	}
	m.added = added
	return gone
}

// govern lets the leader decide who votes in the log.
func (m *membership) govern(ctx context.Context) {
	tick := time.NewTicker(governEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if m.group.IsLeader() {
			members, _ := m.group.Members()
			m.report(members)
			m.governOnce(ctx, m.group, members, m.gone(members))
		}
		if m.data.IsLeader() {
			if views, _ := m.group.Members(); views.Self == consensus.Removed {
				_ = m.data.StepDown() // again until it is so: who leads decides that this store goes from the ledger too
				continue
			}
			members, _ := m.data.Members()
			m.bidFarewell(members)
			m.governOnce(ctx, m.data, members, m.goneFromData(members, func() consensus.Members {
				views, _ := m.group.Members()
				return views
			}))
		}
	}
}

// governEvery is how often the leader looks at who votes.
const governEvery = 250 * time.Millisecond

// goneFromData says of each store of the ledger whether it has no part in the views any more: the ledger follows.
//
// A store is let into the views first. Where this silo's copy of them lags, it does not know one yet that the
// ledger has, and would remove it for good. So a store is gone only if the views lack it when they hold a renewal
// that this silo asked for after it had seen the store in the ledger.
func (m *membership) goneFromData(data consensus.Members, views func() consensus.Members) map[view.SiloID]bool {
	now, standing := m.now(), m.Standing()
	members := views() // not before the standing: what that has applied is in them
	absent, gone := map[string]time.Duration{}, map[view.SiloID]bool{}
	for _, s := range data.List {
		if _, member := members.Find(s.ID); member || members.Version == 0 {
			continue
		}
		since, known := m.absent[s.ID]
		if !known {
			since = now
		}
		absent[s.ID] = since
		gone[view.SiloID(s.ID)] = standing.Leased(since + m.times.Lease)
	}
	m.absent = absent
	return gone
}

// report has the view say who votes in its log.
func (m *membership) report(members consensus.Members) {
	table := m.views.Current()
	var reports []view.Command
	for _, s := range members.List {
		if known, ok := table.Member(view.SiloID(s.ID)); ok && known.Voter != s.Voter {
			if s.Voter {
				reports = append(reports, view.Promote{ID: known.ID})
			} else {
				reports = append(reports, view.Demote{ID: known.ID})
			}
		}
	}
	if len(reports) > 0 {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.hand([]view.Effect{view.Propose{Commands: reports}})
	}
}

// bidFarewell has the ledger wait no more for those that have no part in it.
func (m *membership) bidFarewell(members consensus.Members) {
	for _, id := range m.waited() {
		if _, member := members.Find(id); !member {
			_, _ = m.data.Submit(m.farewell(id)) // again until it shows
		}
	}
}

// governOnce makes at most one change of a group's members, on its leader.
func (m *membership) governOnce(ctx context.Context, group *consensus.Group, members consensus.Members, gone map[view.SiloID]bool) {
	caughtUp := map[view.SiloID]bool{}
	e := view.Electorate{
		Table: m.views.Current(), Leader: m.self.ID,
		Gone:     func(id view.SiloID) bool { return gone[id] },
		CaughtUp: func(id view.SiloID) bool { return caughtUp[id] },
		Addr: func(member view.Member) string {
			at, _ := logAddr(member.Addr) // checked when it joined
			return at
		},
	}
	for _, s := range members.List {
		id := view.SiloID(s.ID)
		caughtUp[id] = s.CaughtUp
		e.Servers = append(e.Servers, view.Server{ID: id, Addr: s.Addr, Voting: s.Voter})
	}
	c, ok := e.Next()
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var err error
	switch c.Op {
	case view.AddServer:
		err = group.Add(ctx, consensus.Server{ID: string(c.ID), Addr: c.Addr}, members.Version)
	case view.PromoteVoter:
		err = group.Promote(ctx, string(c.ID), members.Version)
	case view.DemoteVoter:
		err = group.Demote(ctx, string(c.ID), members.Version)
	case view.RemoveServer:
		err = group.Remove(ctx, string(c.ID), members.Version)
	}
	if err == nil {
		m.log.Info("a log's members", "group", group.ClusterID(), "change", c.Op.String(), "silo", string(c.ID))
	} else if !errors.Is(err, consensus.ErrNotLeader) && !errors.As(err, new(*consensus.MembersChanged)) {
		m.log.Warn("a log's members could not be changed", "group", group.ClusterID(), "change", c.Op.String(), "silo", string(c.ID), "error", err)
	}
}
