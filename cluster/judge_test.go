package cluster

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/link"
)

// fine is a silo without faults.
func fine(addr string) SiloReport {
	return SiloReport{Addr: addr, State: stateUp, Log: LogVoter, View: 5, Term: 2}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	with := func(addr string, change func(*SiloReport)) SiloReport {
		s := fine(addr)
		change(&s)
		return s
	}
	leads := func(s *SiloReport) { s.Leads = true }
	down := func(s *SiloReport) { s.State, s.Silent, s.View, s.Term = "dead", "refused", 0, 0 }
	for name, c := range map[string]struct {
		silos []SiloReport
		want  []string
	}{
		"healthy":    {[]SiloReport{with("a", leads), fine("b"), fine("c")}, nil},
		"one is one": {[]SiloReport{with("a", leads)}, nil},
		"down":       {[]SiloReport{with("a", leads), fine("b"), with("c", down)}, []string{"silo c is dead: refused"}},
		"silent": {[]SiloReport{with("a", leads), fine("b"), with("c", func(s *SiloReport) { s.Silent = "timeout" })},
			[]string{"silo c does not answer: timeout"}},
		"back, and not up yet": {[]SiloReport{with("a", leads), fine("b"), with("c", func(s *SiloReport) { s.State = "dead" })},
			[]string{"silo c answers, and is dead in view 5"}},
		"behind": {[]SiloReport{with("a", leads), fine("b"), with("c", func(s *SiloReport) { s.View = 4 })},
			[]string{"silo c is behind: it has view 4 of 5"}},
		"half is no majority": {[]SiloReport{with("a", leads), with("b", down)},
			[]string{"silo b is dead: refused", "1 of 2 silos that vote in the log answer: most of them are needed, or nothing is decided"}},
		"ended, and without a vote": {[]SiloReport{with("a", leads), with("b", func(s *SiloReport) { down(s); s.Log = LogNonVoter }),
			with("c", func(s *SiloReport) { down(s); s.State, s.Log = stateAbsent, LogNonVoter })}, nil},
		"never came, and votes": {[]SiloReport{with("a", leads), fine("b"), with("c", func(s *SiloReport) { down(s); s.State = stateAbsent })},
			[]string{"silo c is absent: refused"}},
		"no leader": {[]SiloReport{fine("a"), fine("b")}, []string{"no silo leads the log: nothing is decided until one does"}},
		"two leaders": {[]SiloReport{with("a", leads), with("b", func(s *SiloReport) { s.Leads, s.Term = true, 3 }), fine("c")},
			[]string{"2 silos take themselves for the leader of the log: all but b are cut off, or about to hear of it"}},
	} {
		r := &Report{View: 5, Silos: c.silos}
		r.judge()
		require.Equal(t, c.want, r.Problems, name)
		require.Equal(t, len(c.want) == 0, r.Healthy(), name)
	}
}

// Silos of another cluster, and others than a view says, are not taken for members, and rubbish is no report.
func TestReportsOfStrangers(t *testing.T) {
	t.Parallel()
	network := &actor.Network{}
	reports := map[string][]byte{
		"a": (&link.Report{Silo: "a", Cluster: "ours", View: 3, Leads: true, Term: 1, Members: []link.ReportMember{
			{ID: "a", Addr: "a", State: "active", Log: link.Voter}, {ID: "b", Addr: "b", State: "active"}, {ID: "c", Addr: "c", State: "active"}, {ID: "d", Addr: "d", State: "active"},
		}}).Append(nil),
		"b": (&link.Report{Silo: "b", Cluster: "theirs", View: 9, Leads: true, Term: 9}).Append(nil),
		"c": (&link.Report{Silo: "x", Cluster: "ours", View: 3, Leads: true, Term: 9}).Append(nil),
		"d": {0xff, 0xff},
	}
	start := func(addr string) *actor.Node {
		n, err := actor.Start(actor.Config{Network: network, Addr: addr, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		t.Cleanup(func() { _ = n.Stop(context.Background()) })
		return n
	}
	for addr, b := range reports {
		start(addr).Handle(link.ServiceReport, func(context.Context, actor.Peer, []byte) ([]byte, error) { return b, nil })
	}
	r, err := inspect(t.Context(), start("client"), []string{"a"}, Inspection{})
	require.NoError(t, err)
	require.Equal(t, "ours", r.Cluster)
	require.EqualValues(t, 3, r.View)
	require.Equal(t, "a", r.Leader)
	require.Empty(t, r.Silos[0].Silent)
	require.Contains(t, r.Silos[1].Silent, "another cluster, theirs")
	require.Contains(t, r.Silos[2].Silent, "another silo is there, x")
	require.Contains(t, r.Silos[3].Silent, "bad tag")
	require.Len(t, r.Problems, 3)
}
