package silo

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
)

// serveReport is the handler of link.ServiceReport.
func (s *run) serveReport(_ context.Context, _ actor.Peer, payload []byte) ([]byte, error) {
	q, err := link.DecodeReportRequest(payload)
	if err != nil {
		return nil, err
	}
	f, _ := s.store.Founded() // else this is not served
	stats := s.council.Stats()
	decides, _ := s.group.Leadership() // who leads the ledger
	v := s.views.Current()
	r := &link.Report{
		Silo: s.id, Cluster: f.ClusterID, Version: version(), View: v.Number, Slots: view.Slots * v.Pools(),
		Leader: view.SiloID(stats.Leadership.Leader.ID), Leads: stats.Leadership.Self, Term: stats.Leadership.Term, Applied: stats.Applied,
		Ledger: view.SiloID(decides.Leader.ID), LeadsLedger: decides.Self, LedgerTerm: decides.Term,
	}
	// A store that has gone from the views is a member of the cluster until the ledger does without it too.
	stores, ledger := s.members()
	for _, m := range v.Members {
		log := max(standing(stores, m.ID), standing(ledger, m.ID))
		if !m.Alive() && !m.Keeps() && log == link.NotInLog {
			continue // it left, and is remembered only so that it cannot come back as it was
		}
		held, moving := v.Held(m.Run)
		r.Members = append(r.Members, link.ReportMember{
			ID: m.ID, Addr: m.Addr, Incarnation: m.Incarnation, State: m.State.String(), Slots: held, Moving: moving, Since: m.Since, Labels: m.Labels, Log: log,
		})
	}
	for _, store := range slices.Concat(stores.List, ledger.List) {
		id := view.SiloID(store.ID)
		if slices.ContainsFunc(r.Members, func(m link.ReportMember) bool { return m.ID == id }) {
			continue
		}
		addr, _ := siloAddr(store.Addr) // checked when it was let in
		r.Members = append(r.Members, link.ReportMember{ID: id, Addr: addr, Log: max(standing(stores, id), standing(ledger, id))})
	}
	for _, x := range s.membership.suspects() {
		r.Suspects = append(r.Suspects, link.ReportSuspect{ID: x.Run.ID, Votes: x.Votes, Silent: x.Silent, Condemned: x.Condemned})
	}
	if q.Grains {
		counts := s.grains.Counts()
		for _, kind := range slices.Sorted(maps.Keys(counts)) {
			r.Kinds = append(r.Kinds, link.KindCount{Kind: kind, Count: counts[kind]})
		}
	}
	return r.Append(nil), nil
}

// members are those of the views' log, and those of the ledger.
func (s *run) members() (views, ledger consensus.Members) {
	views, _ = s.council.Members()
	ledger, _ = s.group.Members()
	return views, ledger
}

// standing is what a store is in a log.
func standing(stores consensus.Members, id view.SiloID) link.LogStanding {
	m, member := stores.Find(string(id))
	switch {
	case m.Voter:
		return link.Voter
	case member:
		return link.NonVoter
	}
	return link.NotInLog
}

// version is that of this module in the running program, with the commit where it is the program's own.
var version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	of := func(m *debug.Module) bool {
		return m.Path != "" && strings.HasPrefix(reflect.TypeFor[Silo]().PkgPath(), m.Path+"/")
	}
	if i := slices.IndexFunc(info.Deps, of); i >= 0 {
		return cmp.Or(info.Deps[i].Version, "unknown")
	}
	if of(&info.Main) {
		return cmp.Or(info.Main.Version, "(devel)")
	}
	return "unknown"
})

// Stats are the silo's counters as of now; the zero Stats while it joins again. It costs a look at each of its
// grains.
func (s *Silo) Stats() grains.Stats {
	r := s.serving.Load()
	if r == nil {
		return grains.Stats{}
	}
	load := r.grains.Stats()
	load.Refused.Node = r.node.Refused()
	return grains.Stats{
		Activations: r.grains.Counts(), Calls: load.Calls, Waiting: load.Waiting, ArgumentBytes: load.Bytes,
		Refused: load.Refused, Collected: load.Collected, OneWay: r.grains.OneWay(), Dropped: r.node.Dropped(),
	}
}
