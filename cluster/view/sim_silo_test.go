package view

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/cluster/machine/sim"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// simSilo is one run of a silo: the machines, and a host of grains that drives them as an engine would.
type simSilo struct {
	w        *simWorld
	env      *sim.Env[message]
	run      Run
	keeper   *Keeper
	detector *Detector
	lead     *Lead // nil unless this silo leads, or believes so
	term     int
	leader   machine.NodeID // as far as it knows
	index    int            // entries applied

	grains   map[wire.ID]*activation
	sealed   []Row // sealed, and not drained yet
	requests map[uint64]func(answer)
	request  uint64
	over     bool
}

// activation is one life of a grain in memory.
type activation struct {
	grant   Grant
	loaded  bool
	version uint64
	queue   []callMsg
	turn    *turn
}

// turn is one call's run, and what the checker needs to know of it.
type turn struct {
	id      wire.ID
	silo    Run
	grant   Grant
	began   time.Duration
	effects []time.Duration // of what counted: pokes and replies when they were sent, writes when they were done
}

func (w *simWorld) bootSilo(env *sim.Env[message]) sim.Handler[message] {
	s := &simSilo{w: w, env: env, run: Run{siloID(env.ID()), uint64(env.Incarnation())},
		grains: map[wire.ID]*activation{}, requests: map[uint64]func(answer){}}
	kinds := []string{"all"}
	if env.ID()%2 == 1 {
		kinds = append(kinds, "odd")
	}
	keeper, err := NewKeeper(KeeperConfig{Member: Member{Run: s.run, Addr: string(s.run.ID), Kinds: kinds}, MaxSealed: 1500})
	if err != nil {
		panic(err)
	}
	keeper.hooks, keeper.lease.hooks = w.hooks, w.hooks
	s.keeper = keeper
	s.detector = NewDetector(DetectorConfig{Self: s.run}, rand.New(rand.NewPCG(env.Rand().Uint64(), 1)))
	w.running[env.ID()] = s
	s.index = env.Rand().IntN(len(w.log.applied) + 1) // what its disk had of the log
	if s.index > 0 {
		s.keep(Applied{Table: w.log.applied[s.index-1].Table})
	}
	env.After(time.Duration(env.Rand().IntN(50))*time.Millisecond, func() { s.keep(Started{}) })
	env.Every(50*time.Millisecond, s.tick)
	return s
}

// now is the silo's own clock, which runs at a rate of its own and jumps.
func (s *simSilo) now() time.Duration { return s.w.clock(s.env.ID()) }

func (s *simSilo) tick() {
	s.keep(Tick{})
	s.detect(Tick{})
	s.leads(Tick{})
}

func (s *simSilo) apply(upTo int) {
	for ; s.index < upTo && !s.over; s.index++ {
		a := s.w.log.applied[s.index]
		s.keep(a)
		s.detect(a)
		s.leads(a)
	}
}

func (s *simSilo) keep(in Input) {
	for _, e := range s.keeper.Step(s.now(), in, nil) {
		switch e := e.(type) {
		case Ask:
			s.ask(askMsg{e.Command})
		case Seal:
			s.seal(e.Rows)
		case Ended:
			s.over = true
			s.w.counts.removed++
			for _, id := range s.w.ids {
				s.drop(id)
			}
			s.w.restart(s.env)
		}
	}
}

// ask sends to the leader, wherever this silo believes it to be.
func (s *simSilo) ask(m message) {
	to := s.leader
	if s.lead != nil {
		to = s.env.ID()
	}
	if to == s.env.ID() {
		s.Receive(to, m)
	} else if to != 0 {
		s.env.Send(to, m)
	}
}

func (s *simSilo) detect(in Input) {
	for _, e := range s.detector.Step(s.now(), in, nil) {
		switch e := e.(type) {
		case SendProbe:
			s.env.Send(siloNode(SiloID(e.Addr)), e.Probe)
		case Verdict:
			s.ask(e.Vote)
		}
	}
}

func (s *simSilo) leads(in Input) {
	if s.lead == nil {
		return
	}
	for _, e := range s.lead.Step(s.now(), in, nil) {
		s.w.log.propose(s.env.ID(), s.term, EncodeCommands(e.(Propose).Commands...))
	}
}

func (s *simSilo) Receive(from machine.NodeID, m message) {
	if s.over {
		return
	}
	switch m := m.(type) {
	case askMsg:
		s.leads(Asked{m.command})
	case Vote:
		s.leads(m)
	case Probe:
		s.detect(Probed{m})
	case callMsg:
		s.call(m)
	case answer:
		if f := s.requests[m.request]; f != nil {
			delete(s.requests, m.request)
			f(m)
		}
	}
}

// call admits a call: to an activation, on to the holder, or back.
func (s *simSilo) call(m callMsg) {
	s.keep(Heard{m.view})
	if s.over {
		return
	}
	st := s.keeper.Standing()
	g, err := st.Activate(s.now(), m.id)
	if err != nil {
		if to, ok := st.Forward(err, m.forwards > 0); ok {
			m.forwards++
			m.view = max(m.view, st.Table().Number)
			s.env.Send(siloNode(to.ID), m)
			return
		}
		s.refuse(m, err)
		return
	}
	s.w.served(m)
	a := s.grains[m.id]
	if a == nil || a.grant != g {
		s.drop(m.id)
		a = &activation{grant: g}
		s.grains[m.id] = a
		s.load(m.id, a)
	}
	a.queue = append(a.queue, m)
	s.next(m.id, a)
}

// load reads the state under the new token: storage refuses all older ones from then on.
func (s *simSilo) load(id wire.ID, a *activation) {
	s.store(storeMsg{id: id, grant: a.grant}, func(r answer) {
		if s.grains[id] != a {
			return
		}
		if !r.ok {
			s.drop(id)
			return
		}
		a.loaded, a.version = true, r.version
		s.next(id, a)
	})
}

// store asks the storage; no answer within 400 ms is one that is not ok.
func (s *simSilo) store(m storeMsg, then func(answer)) {
	s.request++
	m.request = s.request
	s.requests[m.request] = then
	s.w.toStorage(s.env, m)
	s.env.After(400*time.Millisecond, func() {
		if f := s.requests[m.request]; f != nil {
			delete(s.requests, m.request)
			f(answer{})
		}
	})
}

// next starts a turn if there is a call and none runs.
func (s *simSilo) next(id wire.ID, a *activation) {
	if !a.loaded || a.turn != nil || len(a.queue) == 0 || s.grains[id] != a {
		return
	}
	if err := s.keeper.Standing().Begin(s.now(), a.grant); err != nil {
		s.dropFor(id, err)
		return
	}
	m := a.queue[0]
	a.queue = a.queue[1:]
	a.turn = &turn{id: id, silo: s.run, grant: a.grant, began: s.w.sim.Now()}
	s.w.turns = append(s.w.turns, a.turn)
	s.poke(a.turn)
	s.env.After(s.w.wait(), func() { s.waited(a, m) })
}

// waited goes on after a wait inside a turn: a call to elsewhere, perhaps a write.
func (s *simSilo) waited(a *activation, m callMsg) {
	t := a.turn
	if err := s.keeper.Standing().Resume(s.now(), a.grant); err != nil {
		s.abort(a, m)
		return
	}
	s.poke(t)
	if !m.write {
		s.finish(a, m)
		return
	}
	s.store(storeMsg{id: m.id, grant: a.grant, write: true, version: a.version, turn: t}, func(r answer) {
		if !r.ok {
			s.abort(a, m)
			return
		}
		a.version = r.version
		if err := s.keeper.Standing().Resume(s.now(), a.grant); err != nil {
			s.abort(a, m)
			return
		}
		s.finish(a, m)
	})
}

// finish computes for a while, without waiting for anything, and replies.
func (s *simSilo) finish(a *activation, m callMsg) {
	s.env.After(s.w.wait(), func() {
		if err := s.keeper.Standing().Reply(s.now(), a.grant); err != nil {
			s.abort(a, m)
			return
		}
		s.env.Send(m.client, replyMsg{call: m.call, id: m.id, turn: a.turn, grant: a.grant, sent: s.w.sim.Now(), table: s.keeper.Standing().Table()})
		a.turn = nil
		s.drained()
		s.next(m.id, a)
	})
}

// abort ends a turn that must have no further effects, and the activation with it.
func (s *simSilo) abort(a *activation, m callMsg) {
	a.turn = nil
	s.env.Send(m.client, replyMsg{call: m.call, id: m.id, table: s.keeper.Standing().Table(), refused: true})
	if s.grains[m.id] == a {
		s.drop(m.id)
	}
	s.drained()
}

// poke calls some other grain: whoever takes the call checks its token.
func (s *simSilo) poke(t *turn) {
	to := s.w.clients[s.env.Rand().IntN(len(s.w.clients))]
	s.env.Send(to, pokeMsg{t, t.grant, s.w.sim.Now()})
}

func (s *simSilo) refuse(m callMsg, err error) {
	if !errors.Is(err, ErrNotServed) {
		panic(err)
	}
	s.env.Send(m.client, replyMsg{call: m.call, id: m.id, table: s.keeper.Standing().Table(), refused: true})
}

func (s *simSilo) drop(id wire.ID) { s.dropFor(id, &Refusal{Reason: Moving}) }

func (s *simSilo) dropFor(id wire.ID, err error) {
	a := s.grains[id]
	if a == nil {
		return
	}
	delete(s.grains, id)
	for _, m := range a.queue {
		s.refuse(m, err)
	}
	a.queue = nil
	if a.turn != nil {
		s.w.loose[a] = s.run // its turn goes on until its next check
	}
}

// seal answers what is queued and waits for the turns that run.
func (s *simSilo) seal(rows []Row) {
	s.sealed = append(s.sealed, rows...)
	for _, id := range s.w.ids {
		a := s.grains[id]
		if a == nil || !s.covers(rows, id) {
			continue
		}
		for _, m := range a.queue {
			s.refuse(m, &Refusal{Reason: Moving})
		}
		a.queue = nil
	}
	s.drained()
}

func (s *simSilo) covers(rows []Row, id wire.ID) bool {
	r, ok := s.keeper.Standing().Table().Of(id)
	return ok && slices.ContainsFunc(rows, func(o Row) bool { return o.Place == r.Place })
}

// drained reports sealed rows without turns.
func (s *simSilo) drained() {
	if len(s.sealed) == 0 {
		return
	}
	busy := map[int]bool{}
	for id, a := range s.grains {
		if a.turn != nil {
			busy[Slot(id)] = true
		}
	}
	for a, run := range s.w.loose {
		if a.turn == nil {
			delete(s.w.loose, a)
		} else if run == s.run {
			busy[a.grant.Slot] = true
		}
	}
	var done []Row
	s.sealed = slices.DeleteFunc(s.sealed, func(r Row) bool {
		if !busy[r.Slot] {
			done = append(done, r)
		}
		return !busy[r.Slot]
	})
	if len(done) == 0 {
		return
	}
	for id := range s.grains {
		if s.covers(done, id) {
			delete(s.grains, id)
		}
	}
	s.env.After(s.w.between(0, 20*time.Millisecond), func() { s.keep(Drained{done}) })
}
