package view

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/cluster/machine/sim"
	"github.com/martinelli-go/martinelli/grains/wire"
)

type message any

type (
	askMsg  struct{ command Command }
	callMsg struct {
		call     uint64
		id       wire.ID
		write    bool
		client   machine.NodeID
		view     uint64
		forwards int
	}
	replyMsg struct {
		call    uint64
		id      wire.ID
		refused bool
		turn    *turn
		grant   Grant
		sent    time.Duration
		table   *Table
	}
	pokeMsg struct {
		turn  *turn
		grant Grant
		sent  time.Duration
	}
	storeMsg struct {
		request uint64
		id      wire.ID
		grant   Grant
		write   bool
		version uint64 // that it replaces
		turn    *turn
	}
	answer struct {
		request uint64
		ok      bool
		version uint64
	}
)

const (
	firstSilo   = machine.NodeID(1)
	firstClient = machine.NodeID(50)
)

func siloID(n machine.NodeID) SiloID { return SiloID(strconv.FormatUint(uint64(n), 10)) }

func siloNode(id SiloID) machine.NodeID {
	n, err := strconv.ParseUint(string(id), 10, 64)
	if err != nil {
		panic(err)
	}
	return machine.NodeID(n)
}

// simWorld is a cluster: silos with clocks of their own, the log, clients, and a storage that all reach at
// all times, so that nothing but its fence keeps old writes out.
type simWorld struct {
	sim     *sim.Sim[message]
	hooks   hooks
	silos   []machine.NodeID
	clients []machine.NodeID
	running map[machine.NodeID]*simSilo
	log     *simLog
	ids     []wire.ID

	rates  map[machine.NodeID]float64
	jumps  map[machine.NodeID]time.Duration
	jumped map[machine.NodeID]time.Duration // when it did last
	lags   map[machine.NodeID]time.Duration // until when the log does not reach it
	paused map[machine.NodeID]bool
	cut    map[sim.Link]bool

	fence    Fence // of the storage
	versions map[wire.ID]uint64
	turns    []*turn
	loose    map[*activation]Run // dropped, but their turns go on
	tables   map[string]Row      // the newest row of each kind and slot that is looked at
	answered map[wire.ID]int
	quiet    bool // no more faults
	wrong    error
	counts   struct{ calls, served, forwarded, removed, faults int }
}

func newSimWorld(s *sim.Sim[message], silos int, h hooks) *simWorld {
	w := &simWorld{sim: s, hooks: h, running: map[machine.NodeID]*simSilo{}, rates: map[machine.NodeID]float64{},
		jumps: map[machine.NodeID]time.Duration{}, jumped: map[machine.NodeID]time.Duration{}, lags: map[machine.NodeID]time.Duration{},
		paused: map[machine.NodeID]bool{}, cut: map[sim.Link]bool{}, versions: map[wire.ID]uint64{},
		loose: map[*activation]Run{}, tables: map[string]Row{}, answered: map[wire.ID]int{}}
	w.fence.hooks = h
	w.log = newSimLog(w)
	for i := range 4 {
		w.ids = append(w.ids, wire.NewID("all", fmt.Sprint(i)))
	}
	w.ids = append(w.ids, wire.NewID("odd", "0"), wire.NewID("odd", "1"))
	for i := range silos {
		id := firstSilo + machine.NodeID(i)
		w.rates[id] = 0.99 + 0.02*s.Rand().Float64()
		w.silos = append(w.silos, id)
	}
	for i := range 6 {
		w.clients = append(w.clients, firstClient+machine.NodeID(i))
	}
	for _, id := range w.clients {
		s.AddNode(id, w.bootClient)
	}
	for _, id := range w.silos {
		s.AddNode(id, w.bootSilo)
	}
	for _, id := range w.silos {
		w.log.replicate(id)
	}
	var watch func()
	watch = func() {
		w.log.watch()
		s.After(20*time.Millisecond, watch)
	}
	watch()
	return w
}

// clock is a silo's clock: it drifts by up to 1 %, and jumps ahead.
func (w *simWorld) clock(id machine.NodeID) time.Duration {
	return time.Second + time.Duration(float64(w.sim.Now())*w.rates[id]) + w.jumps[id]
}

// talk says whether messages pass between two silos both ways, and both run.
func (w *simWorld) talk(a, b machine.NodeID) bool {
	for _, id := range []machine.NodeID{a, b} {
		if !w.sim.Up(id) || w.paused[id] {
			return false
		}
	}
	return !w.cut[sim.Link{From: a, To: b}] && !w.cut[sim.Link{From: b, To: a}]
}

func (w *simWorld) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.sim.Rand().Int64N(int64(hi-lo)+1))
}

// wait is how long a turn waits: mostly a moment, now and then longer than any lease.
func (w *simWorld) wait() time.Duration {
	if !w.quiet && w.sim.Rand().IntN(25) == 0 {
		return w.between(500*time.Millisecond, 4*time.Second)
	}
	return w.between(time.Millisecond, 30*time.Millisecond)
}

func (w *simWorld) restart(env *sim.Env[message]) {
	w.sim.After(w.between(0, 300*time.Millisecond), func() {
		if env.Live() {
			w.resume(env.ID())
			w.sim.Crash(env.ID())
			w.sim.Restart(env.ID())
		}
	})
}

func (w *simWorld) fail(format string, args ...any) {
	if w.wrong == nil {
		w.wrong = fmt.Errorf(format, args...)
	}
}

// toStorage carries a request to the storage; some are long under way.
func (w *simWorld) toStorage(env *sim.Env[message], m storeMsg) {
	d := w.between(time.Millisecond, 6*time.Millisecond)
	if !w.quiet && w.sim.Rand().IntN(30) == 0 {
		d = w.between(50*time.Millisecond, 5*time.Second)
	}
	w.sim.After(d, func() {
		r := answer{request: m.request}
		if err := w.fence.Admit(m.grant); err == nil && (!m.write || m.version == w.versions[m.id]) {
			if m.write {
				w.versions[m.id]++
				m.turn.effects = append(m.turn.effects, w.sim.Now())
			}
			r.ok, r.version = true, w.versions[m.id]
		}
		env.After(w.between(time.Millisecond, 6*time.Millisecond), func() { w.running[env.ID()].Receive(0, r) })
	})
}

// served checks how a call came to who serves it.
func (w *simWorld) served(m callMsg) {
	w.counts.forwarded += m.forwards
	if m.forwards > 1 {
		w.fail("call %d was forwarded %d times", m.call, m.forwards)
	}
}

// checkTable checks what each entry does to the slots that are looked at.
func (w *simWorld) checkTable(t *Table) {
	for _, id := range w.ids {
		r, ok := t.Of(id)
		was, known := w.tables[id.String()]
		if !ok {
			continue
		}
		w.tables[id.String()] = r
		if known && r.Holder != was.Holder && !r.Holder.IsZero() && r.Token <= was.Token {
			w.fail("%v: token %d of %v follows token %d of %v", id, r.Token, r.Holder, was.Token, was.Holder)
		}
	}
}

// check finds turns of different activations whose effects overlap.
func (w *simWorld) check() error {
	if w.wrong != nil {
		return w.wrong
	}
	byID := map[wire.ID][]*turn{}
	for _, t := range w.turns {
		if len(t.effects) > 0 {
			byID[t.id] = append(byID[t.id], t)
		}
	}
	for _, id := range w.ids {
		turns := byID[id]
		slices.SortStableFunc(turns, func(a, b *turn) int {
			return cmp.Or(cmp.Compare(a.grant.Token, b.grant.Token), a.silo.compare(b.silo))
		})
		var last *turn // the one with the latest effect, of earlier activations
		for i, t := range turns {
			if i > 0 && (turns[i-1].grant != t.grant || turns[i-1].silo != t.silo) {
				for _, u := range turns[:i] {
					if last == nil || slices.Max(u.effects) > slices.Max(last.effects) {
						last = u
					}
				}
			}
			switch {
			case i > 0 && turns[i-1].grant == t.grant && turns[i-1].silo != t.silo:
				return fmt.Errorf("%v: both %v and %v had effects under token %d", id, turns[i-1].silo, t.silo, t.grant.Token)
			case last != nil && last.grant != t.grant && t.began < slices.Max(last.effects):
				return fmt.Errorf("%v: a turn of %v under token %d began at %v, one of %v under token %d had an effect at %v",
					id, t.silo, t.grant.Token, t.began, last.silo, last.grant.Token, slices.Max(last.effects))
			}
		}
	}
	return nil
}

// client calls grains, one after the other, and takes calls from them.
type client struct {
	w     *simWorld
	env   *sim.Env[message]
	fence Fence
	table *Table
	call  uint64
	id    wire.ID
}

func (w *simWorld) bootClient(env *sim.Env[message]) sim.Handler[message] {
	c := &client{w: w, env: env, table: NewRegistry().Table(), call: uint64(env.ID()) << 32}
	env.After(time.Second, c.next)
	return c
}

func (c *client) next() {
	c.id = c.w.ids[c.env.Rand().IntN(len(c.w.ids))]
	c.try()
}

func (c *client) try() {
	c.call++
	c.w.counts.calls++
	to := c.w.silos[c.env.Rand().IntN(len(c.w.silos))]
	if r, ok := c.table.Of(c.id); ok && !r.Holder.IsZero() && c.env.Rand().IntN(5) > 0 {
		to = siloNode(r.Holder.ID)
	}
	m := callMsg{call: c.call, id: c.id, write: c.env.Rand().IntN(2) == 0, client: c.env.ID(), view: c.table.Number}
	c.env.Send(to, m)
	c.env.After(c.w.between(100*time.Millisecond, 300*time.Millisecond), func() {
		if c.call == m.call {
			c.next()
		}
	})
}

func (c *client) Receive(_ machine.NodeID, m message) {
	switch m := m.(type) {
	case pokeMsg:
		if c.fence.Admit(m.grant) == nil {
			m.turn.effects = append(m.turn.effects, m.sent)
		}
	case replyMsg:
		if m.table.Number > c.table.Number {
			c.table = m.table
			c.fence.Apply(m.table)
		}
		if m.refused {
			if m.call == c.call {
				c.call++
				c.env.After(c.w.between(5*time.Millisecond, 60*time.Millisecond), c.try)
			}
			return
		}
		if c.fence.Admit(m.grant) != nil {
			return
		}
		m.turn.effects = append(m.turn.effects, m.sent)
		if m.call == c.call {
			c.w.counts.served++
			c.w.answered[m.id]++
			c.call++
			c.env.After(c.w.between(0, 20*time.Millisecond), c.next)
		}
	}
}

func (w *simWorld) pause(id machine.NodeID, d time.Duration) {
	if w.paused[id] || !w.sim.Up(id) {
		return
	}
	w.paused[id] = true
	w.sim.Pause(id)
	run := w.sim.Incarnation(id)
	w.sim.After(d, func() {
		if w.sim.Incarnation(id) == run {
			w.resume(id)
		}
	})
}

func (w *simWorld) resume(id machine.NodeID) {
	w.paused[id] = false
	w.sim.Resume(id)
}

func (w *simWorld) setCut(from, to machine.NodeID, is bool) {
	l := sim.Link{From: from, To: to}
	if w.cut[l] == is {
		return
	}
	w.cut[l] = is
	if is {
		w.sim.CutOneWay(from, to)
		return
	}
	w.sim.Mend(from, to) // both ways: cut the other again
	if w.cut[sim.Link{From: to, To: from}] {
		w.sim.CutOneWay(to, from)
	}
}

// fault lets one thing go wrong.
func (w *simWorld) fault() {
	w.counts.faults++
	rnd := w.sim.Rand()
	all := append(slices.Clone(w.silos), w.clients...)
	a := w.silos[rnd.IntN(len(w.silos))]
	if rnd.IntN(3) == 0 && w.log.leader != 0 {
		a = w.log.leader
	}
	switch rnd.IntN(9) {
	case 0, 1:
		w.pause(a, w.between(50*time.Millisecond, 1200*time.Millisecond))
	case 2:
		w.pause(a, w.between(2*time.Second, 6*time.Second))
	case 3:
		w.sim.Crash(a)
		w.paused[a] = false
		w.sim.After(w.between(0, 4*time.Second), func() { w.sim.Restart(a) })
	case 4, 5:
		side := map[machine.NodeID]bool{}
		for _, id := range all {
			side[id] = rnd.IntN(2) == 0
		}
		w.partition(all, func(a, b machine.NodeID) bool { return side[a] != side[b] })
	case 6:
		b := all[rnd.IntN(len(all))]
		w.partition(all, func(from, to machine.NodeID) bool { return from == a && to != a && (b == a || to == b) })
	case 7:
		if w.sim.Now()-w.jumped[a] > 5*time.Second {
			w.jumped[a] = w.sim.Now()
			w.jumps[a] += w.between(100*time.Millisecond, 6*time.Second)
		}
	case 8:
		w.lags[a] = w.sim.Now() + w.between(200*time.Millisecond, 4*time.Second)
	}
}

// siege leaves one silo alone with some clients for longer than a lease, while the rest goes on: perhaps it
// stands still meanwhile, or does not hear the log, or still hears and is not heard.
func (w *simWorld) siege() {
	rnd := w.sim.Rand()
	all := append(slices.Clone(w.silos), w.clients...)
	a := w.silos[rnd.IntN(len(w.silos))]
	side := map[machine.NodeID]bool{a: true}
	for _, id := range w.clients {
		side[id] = rnd.IntN(2) == 0
	}
	var still time.Duration
	switch rnd.IntN(4) {
	case 0:
		still = w.between(100*time.Millisecond, 4*time.Second)
		w.pause(a, still)
	case 1:
		still = w.between(100*time.Millisecond, 2*time.Second)
		w.lags[a] = w.sim.Now() + still
	}
	lasts := still + w.between(2*time.Second, 6*time.Second)
	w.sim.After(w.between(0, still), func() {
		w.cutFor(lasts, all, func(from, to machine.NodeID) bool { return side[from] != side[to] })
	})
	if rnd.IntN(3) == 0 { // its questions get lost some time before
		early := w.between(0, 1500*time.Millisecond)
		lasts += early
		w.cutFor(lasts, w.silos, func(from, to machine.NodeID) bool { return from == a })
		w.sim.RunFor(early)
	}
	w.sim.RunFor(lasts + w.between(0, 2*time.Second))
}

func (w *simWorld) partition(all []machine.NodeID, is func(from, to machine.NodeID) bool) {
	w.cutFor(w.between(300*time.Millisecond, 6*time.Second), all, is)
}

// cutFor cuts links for a while.
func (w *simWorld) cutFor(d time.Duration, all []machine.NodeID, is func(from, to machine.NodeID) bool) {
	var links []sim.Link
	for _, a := range all {
		for _, b := range all {
			if a != b && is(a, b) && !w.cut[sim.Link{From: a, To: b}] {
				links = append(links, sim.Link{From: a, To: b})
				w.setCut(a, b, true)
			}
		}
	}
	w.sim.After(d, func() {
		for _, l := range links {
			w.setCut(l.From, l.To, false)
		}
	})
}

func simNetwork() sim.Config[message] {
	return sim.Config[message]{Loss: 0.02, Duplicate: 0.05, MaxDelay: 8 * time.Millisecond, MinDelay: time.Millisecond, Trace: 80}
}

// run runs the cluster under faults and then in peace, and checks both.
func (w *simWorld) run() error {
	w.sim.RunFor(2 * time.Second) // it forms
	end := w.sim.Now() + 12*time.Second
	for w.sim.Now() < end {
		if w.sim.Seed()%2 == 0 {
			w.siege()
			continue
		}
		w.fault()
		w.sim.RunFor(w.between(100*time.Millisecond, 1500*time.Millisecond))
	}
	w.quiet = true
	w.sim.RunFor(6 * time.Second) // the last faults end by themselves
	for _, id := range w.silos {
		w.lags[id] = 0
		w.resume(id)
		w.sim.Restart(id)
	}
	w.sim.RunFor(12 * time.Second)
	if err := w.check(); err != nil {
		return err
	}
	clear(w.answered)
	if !w.sim.RunUntil(func() bool { return len(w.answered) == len(w.ids) }, 5*time.Second) {
		return fmt.Errorf("in peace only %d of %d grains answer: %v", len(w.answered), len(w.ids), w.log.registry.Table())
	}
	for r := range w.log.registry.Table().Rows {
		if r.Holder.IsZero() || r.Holder != r.Target {
			return fmt.Errorf("in peace slot %v is held by %v and meant for %v", r.Place, r.Holder, r.Target)
		}
	}
	return w.check()
}

// simSeeds is how many seeds are run where SIM_SEEDS does not say. The long form is
//
//	SIM_SEEDS=20000 go test -run TestSlotsUnderFaults -timeout 2h ./cluster/view
//
// and takes about 60 ms of processor time a seed.
func simSeeds(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

func TestSlotsUnderFaults(t *testing.T) {
	t.Parallel()
	var seeds, forwarded, removed atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d seeds, %d calls forwarded, %d runs removed", seeds.Load(), forwarded.Load(), removed.Load())
		if seeds.Load() >= 10 { // otherwise the faults are too few, or too mild
			require.Greater(t, removed.Load(), seeds.Load())
			require.Greater(t, forwarded.Load(), 10*seeds.Load())
		}
	})
	sim.Run(t, simSeeds(150), simNetwork(), func(t *testing.T, s *sim.Sim[message]) {
		w := newSimWorld(s, 3+int(s.Seed()%3), hooks{})
		require.NoError(t, w.run())
		seeds.Add(1)
		forwarded.Add(int64(w.counts.forwarded))
		removed.Add(int64(w.counts.removed))
		require.Greater(t, w.counts.served, 300, "%d calls", w.counts.calls)
		if os.Getenv("SIM_SEED") != "" {
			t.Logf("%+v, %v", w.counts, w.log.registry.Table())
		}
	})
}
