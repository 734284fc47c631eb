package link

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var report = &Report{
	Silo: "a", Cluster: "c", Version: "v1.2.3", View: 7, Slots: 4096, Leader: "b", Leads: true, Term: 3, Applied: 99,
	Members: []ReportMember{{ID: "a", Addr: "a:1", Incarnation: 1 << 60, State: "up", Slots: 4096}, {ID: "b", Addr: "b:1", State: "down"}},
	Kinds:   []KindCount{{"bank.Account", 12}, {"x", 0}},
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
