package commit

import (
	"bytes"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/cluster/machine/sim"
	"github.com/martinelli-go/martinelli/grains/wire"
)

const (
	simGrains    = 4
	simSilos     = 3
	startBalance = 100

	logNode     = machine.NodeID(1)
	firstSilo   = machine.NodeID(2)
	firstClient = machine.NodeID(10)
)

// simWorld is the whole commit protocol: coordinators, grains on silos, and one log behind a network
// that loses, doubles and reorders.
type simWorld struct {
	sim         *sim.Sim[message]
	history     *history
	ledger      *Ledger // of the log's present life
	faults      faults
	numbers     map[StateKey]map[Attempt]int
	sharedNames bool // a fault: who takes a block over names its attempts as the other does
	activations uint64
	stopped     bool
}

func simNetwork() sim.Config[message] {
	return sim.Config[message]{Loss: 0.02, Duplicate: 0.05, Trace: 60}
}

func newSimWorld(s *sim.Sim[message], break_ func(*simWorld)) *simWorld {
	w := &simWorld{sim: s, history: newHistory(), numbers: map[StateKey]map[Attempt]int{}}
	for g := range simGrains {
		w.numbers[simKey(g)] = map[Attempt]int{{}: 0}
	}
	if break_ != nil {
		break_(w)
	}
	s.AddNode(logNode, w.bootLog)
	for i := range simSilos {
		s.AddNode(firstSilo+machine.NodeID(i), w.bootSilo)
	}
	for i := range 3 {
		s.AddNode(firstClient+machine.NodeID(i), w.bootCoordinator)
	}
	// One of them is far from the log: what it submits may come after its own question.
	s.SetLink(firstClient, logNode, sim.Quality{MinDelay: time.Millisecond, MaxDelay: 250 * time.Millisecond, Loss: 0.05, Duplicate: 0.1})
	return w
}

// number counts versions as a system would that names them by numbers; only a broken ledger looks.
func (w *simWorld) number(d Decision) {
	for _, r := range d.Reads {
		w.numbers[r.Key][d.Attempt] = w.numbers[r.Key][r.Version] + 1
	}
}

func (w *simWorld) newLedger() *Ledger {
	l := NewLedger(Config{
		Effect: func(_ wire.ID, own, op []byte) ([]byte, []byte, error) {
			return op, append(bytes.Clone(own), '.'), nil
		},
		Silos: []string{"a"},
	})
	l.faults = w.faults
	return l
}

// bootLog starts the log's node: what is on its disk is applied again before it answers anyone.
func (w *simWorld) bootLog(env *sim.Env[message]) sim.Handler[message] {
	l := w.newLedger()
	pos := uint64(0)
	records := env.Disk().Records()
	for i, r := range records {
		if i == len(records)/2 && i > 0 { // a snapshot stands for what was before it
			from := l
			l = w.newLedger()
			snapshot := from.Snapshot()
			var buf bytes.Buffer
			if err := snapshot.Write(&buf); err != nil {
				panic(err)
			}
			snapshot.Release()
			if err := l.Restore(&buf); err != nil {
				panic(err)
			}
		}
		pos++
		l.Apply(pos, r.([]byte))
	}
	w.ledger = l
	return sim.HandlerFunc[message](func(from machine.NodeID, m message) {
		switch m := m.(type) {
		case submitMsg:
			env.Append(m.entry, func() {
				pos++
				env.Send(from, resultMsg{m.req, l.Apply(pos, m.entry)})
			})
		case validateMsg:
			env.Send(from, validatedMsg{m.req, l.Validate(m.reads)})
		case loadMsg:
			version, value, _ := l.Get(simKey(m.grain))
			env.Send(from, loadedMsg{m.grain, version, value})
		}
	})
}

// run runs the protocol under faults and then in peace, and checks its history.
func (w *simWorld) run() error {
	w.sim.Disturb(3*time.Second, sim.Faults{
		Crash: 600 * time.Millisecond, Pause: 700 * time.Millisecond, OneWay: 900 * time.Millisecond,
		Partition: 1500 * time.Millisecond, Lasting: 150 * time.Millisecond,
	})
	w.sim.RunFor(3 * time.Second)
	w.sim.Calm()
	quiet := len(w.history.blocks)
	if !w.sim.RunUntil(func() bool { return w.commits(quiet) > 30 }, 20*time.Second) {
		return fmt.Errorf("no progress in peace: %d committed of %d begun since", w.commits(quiet), len(w.history.blocks)-quiet)
	}
	w.stopped = true
	w.sim.RunFor(5 * time.Second)
	return w.check()
}

func (w *simWorld) commits(from int) int {
	n := 0
	for _, b := range w.history.blocks[from:] {
		if b.outcome == saidCommitted {
			n++
		}
	}
	return n
}

func (w *simWorld) check() error {
	l := w.ledger
	// Whoever is left in doubt, or whose coordinator died, asks now.
	for _, b := range w.history.blocks {
		if b.outcome != saidInDoubt && b.outcome != saidNothing {
			continue
		}
		rs, err := DecodeResults(l.Apply(l.Pos()+1, EncodeEntry(Inquire{ID: b.id})))
		if err != nil {
			return err
		}
		switch rs[0].Code {
		case Committed:
			b.answer(saidCommitted, rs[0].Attempt, w.sim.Now())
		case Aborted:
			b.answer(saidAborted, rs[0].Attempt, w.sim.Now())
		default:
			return fmt.Errorf("%v in doubt: %v", b.id, rs[0].Code)
		}
	}
	final := make([][]Attempt, simGrains)
	sum, want := 0, map[string]int{}
	for g := range final {
		_, value, _ := l.Get(simKey(g))
		a := decodeAccount(value)
		final[g] = a.By
		sum += a.Balance
		for _, at := range a.By {
			if b := w.history.byID[at.ID]; b != nil && b.tried[at.N] != nil {
				want[at.String()] = b.tried[at.N].ops
			}
		}
	}
	if err := w.history.check(final, simGrains*startBalance); err != nil {
		return err
	}
	if sum != simGrains*startBalance {
		return fmt.Errorf("%d in all accounts, not %d", sum, simGrains*startBalance)
	}
	got := map[string]int{}
	for _, d := range l.Outbox(0) {
		got[string(d.Bytes)]++
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("effects on the variable %v, not %v", got, want)
	}
	return nil
}

func TestCommitProtocolUnderFaults(t *testing.T) {
	t.Parallel()
	seeds := 60
	if testing.Short() {
		seeds = 10
	}
	sim.Run(t, seeds, simNetwork(), func(t *testing.T, s *sim.Sim[message]) {
		w := newSimWorld(s, nil)
		require.NoError(t, w.run())
		outcomes := map[outcome]int{}
		for _, b := range w.history.blocks {
			outcomes[b.outcome]++
		}
		require.Greater(t, outcomes[saidCommitted], 30)
		require.Positive(t, outcomes[saidAborted])
	})
}

// A checker that never failed is not believed: with each safety check switched off, some seed shows it.
func TestCommitProtocolSeesBrokenLedgers(t *testing.T) {
	t.Parallel()
	for name, break_ := range map[string]func(*simWorld){
		"versions are not checked":             func(w *simWorld) { w.faults.skipVersions = true },
		"aborted is said without recording it": func(w *simWorld) { w.faults.answerUnlogged = true },
		"two coordinators use one name":        func(w *simWorld) { w.sharedNames = true },
		"versions are numbers, not their makers": func(w *simWorld) {
			w.faults.sameVersion = func(k StateKey, current, read Attempt) bool {
				return w.numbers[k][current] == w.numbers[k][read]
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(400) {
				s := sim.New(seed+1, simNetwork())
				if err := newSimWorld(s, break_).run(); err != nil {
					t.Logf("seed %d: %v", seed+1, err)
					return
				}
			}
			t.Fatal("no seed showed it")
		})
	}
}

func TestHistoryChecker(t *testing.T) {
	t.Parallel()
	a, b := attempt(1, 1, 1), attempt(2, 1, 1)
	second := time.Second
	type lists = map[int][]Attempt
	wrote := func(gs ...int) map[int]bool {
		m := map[int]bool{}
		for _, g := range gs {
			m[g] = true
		}
		return m
	}
	for name, c := range map[string]struct {
		a, b  trace
		aSaid outcome
		final [][]Attempt
		want  string
	}{
		"fine":              {trace{saw: lists{0: nil}, writes: wrote(0)}, trace{saw: lists{0: {a}}}, saidCommitted, [][]Attempt{{a}, nil}, ""},
		"lost update":       {trace{saw: lists{0: nil}, writes: wrote(0)}, trace{saw: lists{0: nil}, writes: wrote(0)}, saidCommitted, [][]Attempt{{b}, nil}, "said to be committed and is not"},
		"aborted and there": {trace{saw: lists{0: nil}, writes: wrote(0)}, trace{}, saidAborted, [][]Attempt{{a}, nil}, "said to be aborted"},
		"half of it":        {trace{saw: lists{0: nil, 1: nil}, writes: wrote(0, 1)}, trace{}, saidCommitted, [][]Attempt{{a}, nil}, "is not next"},
		"stale read":        {trace{saw: lists{0: nil}, writes: wrote(0)}, trace{saw: lists{0: nil}}, saidCommitted, [][]Attempt{{a}, nil}, "not serializable"},
		"write skew": {trace{saw: lists{0: nil, 1: nil}, writes: wrote(0), sum: 9}, trace{saw: lists{0: nil, 1: nil}, writes: wrote(1), sum: 9},
			saidCommitted, [][]Attempt{{a}, {b}}, "not serializable"},
		"dirty read":  {trace{saw: lists{0: nil}, writes: wrote(0)}, trace{saw: lists{0: {a}}}, saidAborted, [][]Attempt{nil, nil}, "which never was"},
		"torn totals": {trace{saw: lists{0: nil, 1: nil}, writes: wrote(0), sum: 8}, trace{}, saidCommitted, [][]Attempt{{a}, nil}, "saw 8 in all"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory()
			one, two := h.begin(a.ID, 0), h.begin(b.ID, 2*second)
			one.tried[1], two.tried[1] = &c.a, &c.b
			one.answer(c.aSaid, a, second)
			two.answer(saidCommitted, b, 3*second)
			err := h.check(c.final, 9)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
	h := newHistory()
	h.begin(a.ID, 0).tried[1] = &trace{saw: lists{0: nil}, writes: wrote(0)}
	h.byID[a.ID].tried[2] = &trace{saw: lists{0: {a}}, writes: wrote(0)}
	require.ErrorContains(t, h.check([][]Attempt{{a, attempt(1, 1, 2)}}, 0), "two attempts")
}
