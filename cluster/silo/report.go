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
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
)

// serveReport is the handler of link.ServiceReport.
func (s *run) serveReport(_ context.Context, _ actor.Peer, payload []byte) ([]byte, error) {
	q, err := link.DecodeReportRequest(payload)
	if err != nil {
		return nil, err
	}
	f, _ := s.store.Founded() // else this is not served
	stats := s.group.Stats()
	v := s.views.Current()
	r := &link.Report{
		Silo: s.id, Cluster: f.ClusterID, Version: version(), View: v.Number, Slots: view.Slots * v.Pools(),
		Leader: view.SiloID(stats.Leadership.Leader.ID), Leads: stats.Leadership.Self, Term: stats.Leadership.Term, Applied: stats.Applied,
	}
	for _, m := range v.Members {
		if !m.Alive() && !m.Keeps() {
			continue // it left, and is remembered only so that it cannot come back as it was
		}
		held, _ := v.Held(m.Run)
		r.Members = append(r.Members, link.ReportMember{ID: m.ID, Addr: m.Addr, Incarnation: m.Incarnation, State: m.State.String(), Slots: held})
	}
	if q.Grains {
		counts := s.grains.Counts()
		for _, kind := range slices.Sorted(maps.Keys(counts)) {
			r.Kinds = append(r.Kinds, link.KindCount{Kind: kind, Count: counts[kind]})
		}
	}
	return r.Append(nil), nil
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
