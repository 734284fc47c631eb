package commit

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// outboxWorld is silos that follow one log, keep a variable each, crash, come and go: what blocks did to
// variables must reach everybody who stays.
type outboxWorld struct {
	rand         *rand.Rand
	faults       faults
	comparesFast bool // a fault: who joins compares replicas before its first Logged, not after
	log          [][]byte
	tip          *Ledger // has applied all of log
	made         []Delta
	silos        map[string]*outboxSilo
	late         []Command // under way to the log
	blocks       uint64
}

type outboxSilo struct {
	name    string
	ledger  *Ledger
	drained map[string]bool // by the replica, not yet durable
	whole   bool            // it has joined, and is a replica

	durable  map[string]bool
	snapshot []byte // of the ledger; nil: the log from its beginning
}

func newOutboxWorld(seed uint64, break_ func(*outboxWorld)) *outboxWorld {
	w := &outboxWorld{rand: rand.New(rand.NewPCG(seed, 7)), silos: map[string]*outboxSilo{}}
	break_(w)
	w.tip = w.newLedger()
	w.submit(Register{})
	for _, name := range []string{"a", "b", "c"} {
		w.silos[name] = &outboxSilo{name: name, durable: map[string]bool{}, whole: true}
		w.boot(w.silos[name])
	}
	return w
}

func (w *outboxWorld) newLedger() *Ledger {
	l := NewLedger(Config{Effect: countEffect, Silos: []string{"a", "b", "c"}})
	l.faults = w.faults
	return l
}

func (w *outboxWorld) submit(c Command) {
	w.log = append(w.log, EncodeEntry(c))
	w.tip.Apply(uint64(len(w.log)), w.log[len(w.log)-1])
	w.tip.Drain(func(d Delta) { w.made = append(w.made, d) })
}

func (w *outboxWorld) drain(s *outboxSilo) {
	s.ledger.Drain(func(d Delta) { s.drained[string(d.Bytes)] = true })
}

// boot starts a silo with what is on its disk.
func (w *outboxWorld) boot(s *outboxSilo) {
	s.ledger, s.drained = w.newLedger(), map[string]bool{}
	if s.snapshot != nil {
		w.restore(s, s.snapshot)
	}
}

func (w *outboxWorld) restore(s *outboxSilo, snapshot []byte) {
	if err := s.ledger.Restore(bytes.NewReader(snapshot)); err != nil {
		panic(err)
	}
	w.drain(s)
}

func (w *outboxWorld) follow(s *outboxSilo, to uint64) {
	for pos := s.ledger.Pos() + 1; pos <= to; pos++ {
		s.ledger.Apply(pos, w.log[pos-1])
		w.drain(s)
	}
}

func (s *outboxSilo) capture() []byte {
	var b bytes.Buffer
	snapshot := s.ledger.Snapshot()
	defer snapshot.Release()
	if err := snapshot.Write(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// report makes durable what the replica has, and says so.
func (w *outboxWorld) report(s *outboxSilo) Command {
	maps.Copy(s.durable, s.drained)
	return Logged{s.name, s.ledger.Pos()}
}

// compare brings s what the replicas have that are whole.
func (w *outboxWorld) compare(s *outboxSilo) {
	for _, other := range w.silos {
		if other.whole {
			maps.Copy(s.durable, other.durable)
			maps.Copy(s.durable, other.drained)
		}
	}
}

func (w *outboxWorld) step() {
	names := slices.Sorted(maps.Keys(w.silos))
	s := w.silos[names[w.rand.IntN(len(names))]]
	end := uint64(len(w.log))
	switch w.rand.IntN(20) {
	case 0, 1, 2, 3:
		w.blocks++
		w.submit(adds(w.blocks, 1))
	case 4, 5, 6, 7:
		w.follow(s, s.ledger.Pos()+w.rand.Uint64N(end-s.ledger.Pos()+1))
	case 8, 9, 10:
		if s.ledger.Pos() > 0 {
			w.late = append(w.late, w.report(s))
		}
	case 11, 12, 13:
		if len(w.late) > 0 {
			i := w.rand.IntN(len(w.late))
			w.submit(w.late[i])
			if w.rand.IntN(4) > 0 {
				w.late = slices.Delete(w.late, i, i+1)
			}
		}
	case 14:
		s.snapshot = s.capture()
	case 15:
		w.boot(s)
	case 16: // so far behind that the log it needs is no more
		if from := w.silos[names[w.rand.IntN(len(names))]]; from.ledger.Pos() > s.ledger.Pos() {
			s.snapshot = from.capture()
			w.restore(s, s.snapshot)
		}
	case 17:
		w.join(string(rune('a' + w.rand.IntN(6))))
	case 18:
		w.leave(s)
	case 19:
		w.tidy()
	}
}

// join lets a silo in, with an empty store, or goes on with letting it in: it is a replica when its first
// Logged is in the log and it has compared what it has.
func (w *outboxWorld) join(name string) {
	if s := w.silos[name]; s != nil {
		w.admit(s)
		return
	}
	s := &outboxSilo{name: name, durable: map[string]bool{}}
	from := w.silos[slices.Sorted(maps.Keys(w.silos))[0]]
	if s.snapshot = from.capture(); from.ledger.Pos() == 0 {
		s.snapshot = nil
	}
	w.silos[name] = s
	w.boot(s)
	w.follow(s, uint64(len(w.log)))
	if w.comparesFast {
		w.compare(s)
	} else {
		w.submit(w.report(s))
	}
}

func (w *outboxWorld) admit(s *outboxSilo) {
	switch {
	case s.whole:
		return
	case w.comparesFast:
		w.submit(w.report(s))
	default:
		w.compare(s)
	}
	s.whole = true
}

// leave takes a silo out for good, with its store, unless nobody would be left.
func (w *outboxWorld) leave(s *outboxSilo) {
	replicas := 0
	for _, other := range w.silos {
		if other.whole {
			replicas++
		}
	}
	if replicas > 2 {
		delete(w.silos, s.name)
		w.submit(Left{s.name})
	}
}

// tidy is what the leader does about silos that came in again by what was under way.
func (w *outboxWorld) tidy() {
	for _, name := range w.tip.Silos() {
		if w.silos[name] == nil {
			w.submit(Left{name})
		}
	}
}

// check says what is lost: what is kept for nobody any more, and some replica does not have.
func (w *outboxWorld) check() error {
	kept := map[string]bool{}
	for _, d := range w.tip.Outbox(0) {
		kept[string(d.Bytes)] = true
	}
	for _, d := range w.made {
		for _, s := range w.silos {
			if s.whole && !kept[string(d.Bytes)] && !s.durable[string(d.Bytes)] {
				return fmt.Errorf("%s of entry %d is kept no more, and %s has not logged it", d.Bytes, d.Pos, s.name)
			}
		}
	}
	return nil
}

func (w *outboxWorld) run() error {
	for range 300 {
		w.step()
		if err := w.check(); err != nil {
			return err
		}
	}
	w.late = nil
	w.tidy()
	for _, name := range slices.Sorted(maps.Keys(w.silos)) {
		s := w.silos[name]
		w.admit(s)
		w.boot(s)
		w.follow(s, uint64(len(w.log)))
		w.submit(w.report(s))
	}
	for _, s := range w.silos {
		for _, d := range w.made {
			if !s.durable[string(d.Bytes)] {
				return fmt.Errorf("%s of entry %d is missing on %s", d.Bytes, d.Pos, s.name)
			}
		}
	}
	if left := w.tip.Outbox(0); len(left) > 0 {
		return fmt.Errorf("%d deltas are kept for nobody", len(left))
	}
	return nil
}

func TestDeltasReachAllWhoStay(t *testing.T) {
	t.Parallel()
	seeds := uint64(100)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		require.NoError(t, newOutboxWorld(seed, func(*outboxWorld) {}).run(), "seed %d", seed)
	}
}

func TestDeltasAreLostWithoutTheRules(t *testing.T) {
	t.Parallel()
	for name, break_ := range map[string]func(*outboxWorld){
		"a silo that has not logged is not waited for": func(w *outboxWorld) { w.faults.firstToLog = true },
		"who joins compares replicas before it is in":  func(w *outboxWorld) { w.comparesFast = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(400) {
				if err := newOutboxWorld(seed, break_).run(); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Fatal("no seed showed it")
		})
	}
}
