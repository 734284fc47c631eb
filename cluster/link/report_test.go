package link

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
)

var report = &Report{
	Silo: "a", Cluster: "c", Version: "v1.2.3", View: 7, Slots: 4096, Leader: "b", Leads: true, Term: 3, Applied: 99, Ledger: "b", LeadsLedger: true, LedgerTerm: 4,
	Members:  []ReportMember{{ID: "a", Addr: "a:1", Incarnation: 1 << 60, State: "up", Slots: 4096, Moving: 3, Since: 6, Labels: []view.Pair{{Name: "zone", Value: "x"}, {}}, Log: Voter}, {ID: "b", Addr: "b:1", State: "down", Log: NonVoter}},
	Suspects: []ReportSuspect{{ID: "b", Votes: 2, Silent: 3 * time.Second, Condemned: true}, {}},
	Kinds:    []KindCount{{"bank.Account", 12}, {"x", 0}},
}

func TestReportsTravel(t *testing.T) {
	t.Parallel()
	got, err := DecodeReport(report.Append(nil))
	require.NoError(t, err)
	require.Equal(t, report, got)
	for _, r := range []ReportRequest{{}, {Grains: true}} {
		got, err := DecodeReportRequest(r.Append(nil))
		require.NoError(t, err)
		require.Equal(t, r, got)
	}
}

func FuzzReport(f *testing.F) {
	f.Add(report.Append(nil))
	f.Add(ReportRequest{Grains: true}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = DecodeReportRequest(b)
		r, err := DecodeReport(b)
		if err != nil {
			return
		}
		again, err := DecodeReport(r.Append(nil))
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}
