package link

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// ReportRequest asks a silo how it is.
type ReportRequest struct {
	Grains bool // count activations too: the silo looks at each
}

// Report is how a silo is, and how it sees the cluster. It changes nothing and promises nothing.
type Report struct {
	Silo    view.SiloID
	Cluster string // id
	Version string // of the module that the silo was built from
	View    uint64 // number of its newest view
	Slots   int    // that there are
	Members []ReportMember

	// Of the log: who leads it as far as the silo knows, whether that is itself, in which term, and the
	// position up to which the silo has applied it.
	Leader  view.SiloID
	Leads   bool
	Term    uint64
	Applied uint64
	// Ledger is who leads the log of atomic blocks, as far as the silo knows: another group, of the same stores,
	// whose leader may be another. LeadsLedger says whether it is the silo itself, LedgerTerm in which term.
	Ledger      view.SiloID
	LeadsLedger bool
	LedgerTerm  uint64

	Kinds []KindCount // where they were asked for

	// Suspects are those of whom the leader of the log hears too little; none elsewhere.
	Suspects []ReportSuspect
}

// ReportMember is a member of the silo's newest view, or a store of the log that is in no view, without a State.
type ReportMember struct {
	ID          view.SiloID
	Addr        string
	Incarnation uint64
	State       string
	Slots       int // that it holds
	Moving      int // of Slots, to others
	Since       uint64
	Labels      []view.Pair
	Log         LogStanding
}

// LogStanding is what a silo's store is in the log, as far as the silo that tells has applied it.
type LogStanding uint8

// The standings.
const (
	NotInLog LogStanding = iota
	NonVoter
	Voter
)

// ReportSuspect is what the leader of the log thinks of a member that it hears too little of.
type ReportSuspect struct {
	ID        view.SiloID
	Votes     int           // of others that do not reach it
	Silent    time.Duration // since its last renewal
	Condemned bool          // it is granted no lease any more
}

// KindCount is how many grains of a kind are active.
type KindCount struct {
	Kind  string
	Count int
}

// Append appends the request's encoding to b.
func (r ReportRequest) Append(b []byte) []byte {
	return appendUint(b, 1, protowire.EncodeBool(r.Grains))
}

// DecodeReportRequest decodes a request.
func DecodeReportRequest(b []byte) (r ReportRequest, err error) {
	return r, wire.EachField(b, func(f wire.Field) (err error) {
		if f.Number == 1 {
			r.Grains, err = f.Bool()
		}
		return err
	})
}

// Append appends the report's encoding to b.
func (r *Report) Append(b []byte) []byte {
	b = appendText(b, 1, string(r.Silo))
	b = appendText(b, 2, r.Cluster)
	b = appendText(b, 3, r.Version)
	b = appendUint(b, 4, r.View)
	b = appendUint(b, 5, uint64(r.Slots))
	b = appendText(b, 6, string(r.Leader))
	b = appendUint(b, 7, protowire.EncodeBool(r.Leads))
	b = appendUint(b, 8, r.Term)
	b = appendUint(b, 9, r.Applied)
	for _, m := range r.Members {
		p := appendText(nil, 1, string(m.ID))
		p = appendText(p, 2, m.Addr)
		p = appendUint(p, 3, m.Incarnation)
		p = appendText(p, 4, m.State)
		p = appendUint(p, 5, uint64(m.Slots))
		p = appendUint(p, 6, uint64(m.Moving))
		p = appendUint(p, 7, m.Since)
		p = appendUint(p, 8, uint64(m.Log))
		for _, label := range m.Labels {
			p = appendBytes(p, 9, appendText(appendText(nil, 1, label.Name), 2, label.Value))
		}
		b = appendBytes(b, 10, p)
	}
	for _, k := range r.Kinds {
		b = appendBytes(b, 11, appendUint(appendText(nil, 1, k.Kind), 2, uint64(k.Count)))
	}
	for _, x := range r.Suspects {
		p := appendText(nil, 1, string(x.ID))
		p = appendUint(p, 2, uint64(x.Votes))
		p = appendUint(p, 3, uint64(max(x.Silent, 0)))
		b = appendBytes(b, 12, appendUint(p, 4, protowire.EncodeBool(x.Condemned)))
	}
	b = appendText(b, 13, string(r.Ledger))
	b = appendUint(b, 14, protowire.EncodeBool(r.LeadsLedger))
	return appendUint(b, 15, r.LedgerTerm)
}

// DecodeReport decodes a report.
func DecodeReport(b []byte) (*Report, error) {
	r := &Report{}
	err := wire.EachField(b, func(f wire.Field) (err error) {
		var text string
		switch f.Number {
		case 1:
			text, err = f.String()
			r.Silo = view.SiloID(text)
		case 2:
			r.Cluster, err = f.String()
		case 3:
			r.Version, err = f.String()
		case 4:
			r.View, err = f.Uint()
		case 5:
			r.Slots, err = countOf(f)
		case 6:
			text, err = f.String()
			r.Leader = view.SiloID(text)
		case 7:
			r.Leads, err = f.Bool()
		case 8:
			r.Term, err = f.Uint()
		case 9:
			r.Applied, err = f.Uint()
		case 10:
			var m ReportMember
			m, err = decodeReportMember(f)
			r.Members = append(r.Members, m)
		case 11:
			var k KindCount
			k, err = decodeKindCount(f)
			r.Kinds = append(r.Kinds, k)
		case 12:
			var x ReportSuspect
			x, err = decodeReportSuspect(f)
			r.Suspects = append(r.Suspects, x)
		case 13:
			text, err = f.String()
			r.Ledger = view.SiloID(text)
		case 14:
			r.LeadsLedger, err = f.Bool()
		case 15:
			r.LedgerTerm, err = f.Uint()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func decodeReportMember(f wire.Field) (m ReportMember, err error) {
	b, err := f.Bytes()
	if err != nil {
		return m, err
	}
	return m, wire.EachField(b, func(f wire.Field) (err error) {
		var id string
		switch f.Number {
		case 1:
			id, err = f.String()
			m.ID = view.SiloID(id)
		case 2:
			m.Addr, err = f.String()
		case 3:
			m.Incarnation, err = f.Uint()
		case 4:
			m.State, err = f.String()
		case 5:
			m.Slots, err = countOf(f)
		case 6:
			m.Moving, err = countOf(f)
		case 7:
			m.Since, err = f.Uint()
		case 8:
			var log uint64
			log, err = f.Uint()
			if err == nil && log > uint64(Voter) {
				err = f.Errorf("%d is no standing in the log", log)
			}
			m.Log = LogStanding(log)
		case 9:
			var label view.Pair
			label, err = decodeLabel(f)
			m.Labels = append(m.Labels, label)
		}
		return err
	})
}

func decodeLabel(f wire.Field) (p view.Pair, err error) {
	b, err := f.Bytes()
	if err != nil {
		return p, err
	}
	return p, wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			p.Name, err = f.String()
		case 2:
			p.Value, err = f.String()
		}
		return err
	})
}

func decodeReportSuspect(f wire.Field) (x ReportSuspect, err error) {
	b, err := f.Bytes()
	if err != nil {
		return x, err
	}
	return x, wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			var id string
			id, err = f.String()
			x.ID = view.SiloID(id)
		case 2:
			x.Votes, err = countOf(f)
		case 3:
			var silent uint64
			silent, err = f.Uint()
			if err == nil && silent > math.MaxInt64 {
				err = f.Errorf("%d is no duration", silent)
			}
			x.Silent = time.Duration(silent)
		case 4:
			x.Condemned, err = f.Bool()
		}
		return err
	})
}

func decodeKindCount(f wire.Field) (k KindCount, err error) {
	b, err := f.Bytes()
	if err != nil {
		return k, err
	}
	return k, wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			k.Kind, err = f.String()
		case 2:
			k.Count, err = countOf(f)
		}
		return err
	})
}

func countOf(f wire.Field) (int, error) {
	v, err := f.Uint()
	if err == nil && v > 1<<31-1 {
		return 0, f.Errorf("%d is no count", v)
	}
	return int(v), err
}
