package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/discovery"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
)

// Report is how a cluster is, by the word of its silos at about one moment. Its JSON is what siloctl prints.
type Report struct {
	Cluster string `json:"cluster"` // id
	View    uint64 `json:"view"`    // number of the newest view that a silo has
	// Leader is the address of the silo that leads the log, empty where none says so, and Term its reign.
	Leader string `json:"leader"`
	Term   uint64 `json:"term"`
	// LedgerLeader is the address of the silo that leads the log of atomic blocks, empty where none says so.
	LedgerLeader string `json:"ledger_leader"`
	Slots        int    `json:"slots"` // that there are
	// Silos are the members of the newest view, and the stores of the log that are in no view, by address.
	Silos []SiloReport `json:"silos"`
	// Problems are what keeps the cluster from being healthy, each a sentence; none where it is.
	Problems []string `json:"problems"`
}

// SiloReport is one silo of a Report. What only the silo itself can tell is zero where it did not answer.
type SiloReport struct {
	ID   view.SiloID `json:"id"`
	Addr string      `json:"addr"`
	// Incarnation names the run of its process that was up last; text in JSON, which has no numbers of 64 bits.
	Incarnation uint64 `json:"incarnation,string"`
	// State is joining, active, leaving or dead, in the newest view, or absent of a store that is in none, and
	// Since the number of the view in which it came to it.
	State  string `json:"state"`
	Since  uint64 `json:"since"`
	Slots  int    `json:"slots"`  // that it holds
	Moving int    `json:"moving"` // of Slots, to other silos
	// Log is what its store is in the log, by the word of a silo that has the newest view: voter, non-voter, or
	// none.
	Log     string            `json:"log"`
	Labels  map[string]string `json:"labels,omitempty"`
	Suspect *Suspicion        `json:"suspect,omitempty"`

	Silent  string `json:"silent,omitempty"` // why it did not answer
	Version string `json:"version,omitempty"`
	View    uint64 `json:"view"`    // number of its newest view
	Leads   bool   `json:"leads"`   // takes itself for the leader of the log
	Term    uint64 `json:"term"`    // of the log, as it knows
	Applied uint64 `json:"applied"` // position in the log
	// LeadsLedger says that it takes itself for the leader of the log of atomic blocks, in LedgerTerm.
	LeadsLedger bool   `json:"leads_ledger"`
	LedgerTerm  uint64 `json:"ledger_term"`
	// Grains is how many are active, by kind, where that was asked for.
	Grains map[string]int `json:"grains,omitempty"`
}

// Suspicion is what the leader of the log thinks of a silo that it hears too little of.
type Suspicion struct {
	Votes int `json:"votes"` // of other silos that do not reach it
	// Silent is how long ago it renewed its lease, in seconds.
	Silent float64 `json:"silent_s"`
	// Condemned says that it is given no lease any more, and is removed when its last one has run out.
	Condemned bool `json:"condemned"`
}

// What a store is in the log.
const (
	LogVoter    = "voter"
	LogNonVoter = "non-voter"
	LogNone     = "none"
)

// The state of a store of the log that is in no view.
const stateAbsent = "absent"

// Inspection says what Inspect looks at besides what costs nothing.
type Inspection struct {
	Grains bool // count activations: each silo looks at each of its own
}

// inspectTimeout bounds the wait for one silo.
const inspectTimeout = 2 * time.Second

// Inspect asks the silos of a cluster how they are, those that are down too, each once. It needs one seed
// that answers, and no majority, so that it tells of a cluster that does not work. Of the Config it takes
// Silos, Listen, TLS, TrustNetwork, MaxMessage, Logger and Network; Listen is by default the address of this machine that faces
// the silos, at any free port. Errors: *ConfigError, and *NoSilo where no seed answered.
func Inspect(ctx context.Context, c Config, what Inspection) (_ *Report, err error) {
	node, seeds, err := c.visit(ctx, "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, endVisit(ctx, node)) }()
	return inspect(ctx, node, seeds, what)
}

// visit starts a node by which silos are asked now, and says where they are.
func (c Config) visit(ctx context.Context, secret string) (*actor.Node, []string, error) {
	source, err := discovery.Parse(c.Silos)
	if err != nil {
		return nil, nil, &ConfigError{"Silos", err.Error()}
	}
	seeds, err := source.Seeds(ctx)
	if err != nil {
		return nil, nil, &NoSilo{map[string]string{source.String(): err.Error()}, errAskedOnce}
	}
	if c.Listen == "" && c.Network == nil {
		c.Listen = facing(ctx, seeds)
	}
	if err := c.TLS.Check(); err != nil {
		return nil, nil, &ConfigError{"TLS", err.Error()}
	}
	c = c.withDefaults()
	if err := c.trusts(append([]string{c.Listen}, seeds...)); err != nil {
		return nil, nil, err
	}
	node, err := c.start(secret)
	if err != nil {
		return nil, nil, &ConfigError{"Listen", err.Error()}
	}
	return node, seeds, nil
}

func endVisit(ctx context.Context, node *actor.Node) error {
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), inspectTimeout)
	defer cancel()
	return node.Stop(stop)
}

// Inspect asks the silos of the client's cluster how they are; see the function of that name.
func (c *Client) Inspect(ctx context.Context, what Inspection) (*Report, error) {
	var addrs []string
	for _, s := range c.views.Current().Members {
		addrs = append(addrs, s.Addr)
	}
	return inspect(ctx, c.node, addrs, what)
}

var errAskedOnce = errors.New("each was asked once")

// facing is an address of this machine from which one of those can be reached; a loopback where none tells.
func facing(ctx context.Context, addrs []string) string {
	for _, addr := range addrs {
		conn, err := new(net.Dialer).DialContext(ctx, "udp", addr) // which sends nothing
		if err != nil {
			continue
		}
		host, _, err := net.SplitHostPort(conn.LocalAddr().String())
		_ = conn.Close() // nothing was written
		if err == nil {
			return net.JoinHostPort(host, "0")
		}
	}
	return "127.0.0.1:0"
}

// inspection collects what silos say.
type inspection struct {
	node    *actor.Node
	payload []byte

	mu      sync.Mutex
	told    map[string]*link.Report // by address
	silent  map[string]string
	cluster string // the first one's
}

// inspect asks the seeds until one answers, then all silos that any of the answers names.
func inspect(ctx context.Context, node *actor.Node, seeds []string, what Inspection) (*Report, error) {
	in := &inspection{node: node, payload: link.ReportRequest{Grains: what.Grains}.Append(nil), told: map[string]*link.Report{}, silent: map[string]string{}}
	if reasons := askAny(ctx, seeds, in.ask); reasons != nil {
		return nil, &NoSilo{texts(reasons), errors.Join(append(foreigners(reasons), cmp.Or(context.Cause(ctx), errAskedOnce))...)}
	}
	for next := in.unasked(); len(next) > 0; next = in.unasked() {
		var asks errgroup.Group
		asks.SetLimit(asksAtOnce)
		for _, addr := range next {
			asks.Go(func() error {
				if err := in.ask(ctx, addr); err != nil {
					in.mu.Lock()
					defer in.mu.Unlock()
					in.silent[addr] = err.Error()
				}
				return nil
			})
		}
		_ = asks.Wait() // what they say is in silent
	}
	return in.report(), nil
}

func (in *inspection) ask(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	b, err := in.node.Request(ctx, addr, link.ServiceReport, in.payload)
	if err != nil {
		return err
	}
	r, err := link.DecodeReport(b)
	if err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.cluster = cmp.Or(in.cluster, r.Cluster); r.Cluster != in.cluster {
		return fmt.Errorf("it is a silo of another cluster, %s", r.Cluster)
	}
	in.told[addr] = r
	return nil
}

// unasked are the members of all views that came back who were not asked.
func (in *inspection) unasked() []string {
	all := map[string]bool{}
	for _, r := range in.told {
		for _, m := range r.Members {
			_, silent := in.silent[m.Addr]
			all[m.Addr] = in.told[m.Addr] == nil && !silent
		}
	}
	maps.DeleteFunc(all, func(_ string, unasked bool) bool { return !unasked })
	return slices.Sorted(maps.Keys(all))
}

// report puts together what was said. The newest view counts.
func (in *inspection) report() *Report {
	var newest *link.Report
	for _, addr := range slices.Sorted(maps.Keys(in.told)) {
		if r := in.told[addr]; newest == nil || r.View > newest.View {
			newest = r
		}
	}
	out := &Report{Cluster: in.cluster, View: newest.View, Slots: newest.Slots, Problems: []string{}}
	suspects := in.suspects()
	for _, m := range newest.Members {
		s := SiloReport{
			ID: m.ID, Addr: m.Addr, Incarnation: m.Incarnation, State: cmp.Or(m.State, stateAbsent), Since: m.Since, Slots: m.Slots, Moving: m.Moving,
			Log: LogNone, Suspect: suspects[m.ID], Silent: in.silent[m.Addr],
		}
		switch m.Log {
		case link.Voter:
			s.Log = LogVoter
		case link.NonVoter:
			s.Log = LogNonVoter
		}
		for _, label := range m.Labels {
			if s.Labels == nil {
				s.Labels = map[string]string{}
			}
			s.Labels[label.Name] = label.Value
		}
		if r := in.told[m.Addr]; r != nil && r.Silo == m.ID {
			s.Version, s.View, s.Leads, s.Term, s.Applied = r.Version, r.View, r.Leads, r.Term, r.Applied
			s.LeadsLedger, s.LedgerTerm = r.LeadsLedger, r.LedgerTerm
			for _, k := range r.Kinds {
				if s.Grains == nil {
					s.Grains = map[string]int{}
				}
				s.Grains[k.Kind] += k.Count
			}
		} else if r != nil {
			s.Silent = fmt.Sprintf("another silo is there, %s", r.Silo)
		}
		out.Silos = append(out.Silos, s)
	}
	slices.SortFunc(out.Silos, func(a, b SiloReport) int { return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.ID, b.ID)) })
	out.judge()
	return out
}

// suspects are those of the silo that leads in the latest term.
func (in *inspection) suspects() map[view.SiloID]*Suspicion {
	var leader *link.Report
	for _, r := range in.told {
		if r.Leads && (leader == nil || r.Term > leader.Term) {
			leader = r
		}
	}
	if leader == nil {
		return nil
	}
	all := map[view.SiloID]*Suspicion{}
	for _, x := range leader.Suspects {
		all[x.ID] = &Suspicion{Votes: x.Votes, Silent: x.Silent.Seconds(), Condemned: x.Condemned}
	}
	return all
}

// The states of silos that serve and of those that have ended.
var stateUp, stateDead = view.Active.String(), view.Dead.String()

// missed says that a silo is one that should be there: who has ended and has no vote is not expected back.
func (s *SiloReport) missed() bool {
	return s.Log == LogVoter || s.State != stateDead && s.State != stateAbsent
}

// judge finds the leader, and what is wrong.
func (r *Report) judge() {
	wrong := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }
	up, voters, leaders := 0, 0, 0
	var ledgerTerm uint64
	for _, s := range r.Silos {
		if s.Log == LogVoter {
			voters++
			if s.Silent == "" {
				up++
			}
		}
		if s.Leads {
			leaders++
			if s.Term >= r.Term {
				r.Leader, r.Term = s.Addr, s.Term
			}
		}
		if s.LeadsLedger && s.LedgerTerm >= ledgerTerm {
			r.LedgerLeader, ledgerTerm = s.Addr, s.LedgerTerm
		}
		switch {
		case !s.missed():
		case s.State != stateUp && s.Silent == "":
			wrong("silo %s answers, and is %s in view %d", s.Addr, s.State, r.View)
		case s.State != stateUp:
			wrong("silo %s is %s: %s", s.Addr, s.State, s.Silent)
		case s.Silent != "":
			wrong("silo %s does not answer: %s", s.Addr, s.Silent)
		case s.View < r.View:
			wrong("silo %s is behind: it has view %d of %d", s.Addr, s.View, r.View)
		}
	}
	if 2*up <= voters {
		wrong("%d of %d silos that vote in the log answer: most of them are needed, or nothing is decided", up, voters)
	}
	switch {
	case leaders == 0:
		wrong("no silo leads the log: nothing is decided until one does")
	case leaders > 1:
		wrong("%d silos take themselves for the leader of the log: all but %s are cut off, or about to hear of it", leaders, r.Leader)
	}
}

// Healthy says that there are no problems.
func (r *Report) Healthy() bool { return len(r.Problems) == 0 }
