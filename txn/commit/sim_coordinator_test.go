package commit

import (
	"errors"
	"fmt"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/cluster/machine/sim"
)

const (
	callTimeout   = 150 * time.Millisecond
	submitTimeout = 100 * time.Millisecond
)

// coordinator runs blocks, a few at a time, under a client number of its own in each of its lives.
type coordinator struct {
	env    *sim.Env[message]
	w      *simWorld
	client uint64
	seq    uint64
	runs   map[ID]*simRun
	mine   map[Attempt]bool // all that were begun in this life
	over   map[Attempt]bool // committed
	req    uint64
	waits  map[uint64]func(Result) // by request
	valids map[uint64]func([]Read)
}

type simStep struct {
	grain, add int
	write      bool
}

// simRun is one block on its way.
type simRun struct {
	c       *coordinator
	block   *Block
	told    *told
	taker   int // which of the block's takers; 0: its first coordinator
	steps   []simStep
	at      int
	no      uint64 // of the last call
	where   map[int]machine.NodeID
	trace   *trace
	tries   int
	asked   int
	pending Decision
}

func (w *simWorld) bootCoordinator(env *sim.Env[message]) sim.Handler[message] {
	c := &coordinator{env: env, w: w, runs: map[ID]*simRun{}, mine: map[Attempt]bool{}, over: map[Attempt]bool{},
		req: uint64(env.Incarnation()) << 32, waits: map[uint64]func(Result){}, valids: map[uint64]func([]Read){}}
	c.register()
	return c
}

func (c *coordinator) register() {
	c.submit(Register{}, func(r Result) {
		c.client = r.Client
		for range 2 {
			c.begin()
		}
	}, c.register)
}

// submit sends an entry to the log and waits for its result, or for the time-out.
func (c *coordinator) submit(cmd Command, got func(Result), lost func()) {
	c.req++
	req := c.req
	c.waits[req] = got
	c.env.Send(logNode, submitMsg{req, EncodeEntry(cmd)})
	c.env.After(submitTimeout, func() {
		if c.waits[req] != nil {
			delete(c.waits, req)
			lost()
		}
	})
}

func (c *coordinator) begin() {
	if c.w.stopped {
		return
	}
	rnd := c.env.Rand()
	if n := len(c.w.history.blocks); n > 0 && rnd.IntN(10) == 0 {
		c.takeOver(c.w.history.blocks[n-1-rnd.IntN(min(n, 12))])
		return
	}
	c.seq++
	id := ID{c.client, c.seq}
	r := &simRun{c: c, told: c.w.history.begin(id, c.w.sim.Now()),
		block: NewBlock(id, Timestamp{Time: int64(c.env.Now()), Client: id.Client, Seq: id.Seq})}
	r.plan()
	c.runs[id] = r
	r.told.active++
	r.start()
}

// takeOver goes on with a block of another coordinator, which may be gone, or may still be at it.
func (c *coordinator) takeOver(b *told) {
	later := func() { c.env.After(time.Duration(c.env.Rand().IntN(20))*time.Millisecond, c.begin) }
	if b.id.Client == c.client || b.outcome == saidCommitted || b.outcome == saidAborted || c.runs[b.id] != nil {
		later()
		return
	}
	b.takers++
	taker := b.takers
	q := Inquire{ID: b.id, Past: 1000}
	if c.w.sharedNames {
		q = Inquire{ID: b.id, N: 1}
	}
	c.submit(q, func(r Result) {
		switch {
		case r.Code == Committed:
			c.over[r.Attempt] = true
			b.answer(saidCommitted, r.Attempt, c.w.sim.Now())
			later()
		case r.Code != Aborted || r.Attempt.N == AllAttempts || c.runs[b.id] != nil:
			later()
		default:
			run := &simRun{c: c, told: b, taker: taker,
				block: NewBlockAfter(b.id, Timestamp{Time: int64(c.env.Now()), Client: b.id.Client, Seq: b.id.Seq}, r.Attempt.N)}
			run.plan()
			c.runs[b.id] = run
			b.active++
			run.start()
		}
	}, later)
}

// plan says what the block does: a taker does the same.
func (r *simRun) plan() {
	if r.told.steps != nil {
		r.steps = r.told.steps
		return
	}
	defer func() { r.told.steps = r.steps }()
	rnd := r.c.env.Rand()
	from, to, n := rnd.IntN(simGrains), rnd.IntN(simGrains), 1+rnd.IntN(40)
	switch rnd.IntN(5) {
	case 0:
		for g := range simGrains {
			r.steps = append(r.steps, simStep{grain: g})
		}
	case 1:
		r.steps = []simStep{{grain: from}, {grain: to}, {grain: from}}
	default:
		r.steps = []simStep{{from, -n, true}, {to, n, true}}
		if rnd.IntN(3) == 0 {
			r.steps = append(r.steps, simStep{grain: rnd.IntN(simGrains)}, simStep{grain: from})
		}
	}
}

func (r *simRun) start() {
	r.at, r.where, r.tries, r.asked = 0, map[int]machine.NodeID{}, r.tries+1, 0
	r.c.mine[r.block.Attempt()] = true
	r.trace = &trace{saw: map[int][]Attempt{}, writes: map[int]bool{}}
	r.next()
}

// live says whether the run still is at this attempt and call.
func (r *simRun) live(a Attempt, no uint64) bool {
	return r.c.runs[a.ID] == r && r.block.Attempt() == a && r.no == no
}

func (r *simRun) next() {
	if r.at == len(r.steps) {
		r.submit()
		return
	}
	step := r.steps[r.at]
	rnd := r.c.env.Rand()
	node, ok := r.where[step.grain]
	if !ok || rnd.IntN(30) == 0 {
		node = firstSilo + machine.NodeID(step.grain%simSilos)
		if rnd.IntN(8) == 0 { // somebody's view is stale: a second activation
			node = firstSilo + machine.NodeID(rnd.IntN(simSilos))
		}
		r.where[step.grain] = node
	}
	r.block.Join(Participant{Node: fmt.Sprint(uint64(node)), Grain: simKey(step.grain).Grain})
	r.no++
	a, no := r.block.Attempt(), r.no
	r.c.env.Send(node, callMsg{simCall{r.block.Holder(), no, r.c.env.ID(), step.grain, step.add, step.write}})
	r.c.env.After(callTimeout, func() {
		if r.live(a, no) && r.block.Phase() == Running {
			_ = r.block.Doom(errors.New("a call's fate is unknown"))
			r.abandon(false)
		}
	})
}

func (r *simRun) answered(m replyMsg) {
	if !r.live(m.attempt, m.no) || r.block.Phase() != Running {
		return
	}
	if r.block.Merge(m.record) != nil {
		r.abandon(false)
		return
	}
	if m.refused {
		r.abandon(true)
		return
	}
	step := r.steps[r.at]
	if _, ok := r.trace.saw[step.grain]; !ok {
		r.trace.saw[step.grain] = m.saw.By
		r.trace.sum += m.saw.Balance
	}
	if step.write {
		r.trace.writes[step.grain] = true
		r.trace.ops++
	}
	r.at++
	r.no++
	r.next()
}

func (r *simRun) submit() {
	d, err := r.block.Submit([]byte("ok"), true)
	if err != nil {
		r.abandon(false)
		return
	}
	r.told.tried[d.Attempt.N] = r.trace
	r.c.w.number(d)
	r.pending = d
	for _, g := range r.grains() {
		r.c.env.Send(r.where[g], submittedMsg{d.Attempt, g})
	}
	if len(d.Writes) == 0 && r.c.env.Rand().IntN(2) == 0 {
		r.validate()
		return
	}
	r.decide()
}

func (r *simRun) grains() []int {
	var gs []int
	for g := range simGrains {
		if _, ok := r.where[g]; ok {
			gs = append(gs, g)
		}
	}
	return gs
}

// validate ends a block that only reads without an entry of its own.
func (r *simRun) validate() {
	c := r.c
	c.req++
	req := c.req
	result := Result{Code: Conflict, Attempt: r.pending.Attempt}
	c.valids[req] = func(stale []Read) {
		if len(stale) == 0 {
			result.Code = Committed
		}
		result.Stale = stale
		r.verdict(r.block.Resolved(result))
	}
	c.env.Send(logNode, validateMsg{req, r.pending.Reads})
	c.env.After(submitTimeout, func() {
		if c.valids[req] != nil {
			delete(c.valids, req)
			r.verdict(r.block.Resolved(result))
		}
	})
}

func (r *simRun) decide() { r.c.submit(r.pending, r.resolved, r.lost) }

func (r *simRun) resolved(result Result) { r.verdict(r.block.Resolved(result)) }

// lost asks for the outcome, or submits the same decision again: both must give one answer.
func (r *simRun) lost() {
	v := r.block.Lost()
	if r.asked++; r.asked > 5 {
		r.verdict(r.block.GiveUp(nil))
		return
	}
	if r.c.env.Rand().IntN(3) == 0 {
		r.decide()
		return
	}
	r.c.submit(v.Inquire, r.resolved, r.lost)
}

func (r *simRun) tell(committed bool, stale []Read) {
	for _, g := range r.grains() {
		m := finishedMsg{attempt: r.block.Attempt(), grain: g, committed: committed}
		for _, s := range stale {
			m.stale = m.stale || s.Key == simKey(g)
		}
		r.c.env.Send(r.where[g], m)
	}
}

func (r *simRun) verdict(v Verdict) {
	a := r.block.Attempt()
	now := r.c.w.sim.Now()
	said := func(o outcome) {
		if o == saidAborted && r.taker != r.told.takers {
			o = saidInDoubt // another is at it
		}
		r.told.answer(o, a, now)
	}
	switch v.Action {
	case Answer:
		r.c.over[v.Attempt] = true
		r.tell(v.Committed, nil)
		r.told.answer(saidCommitted, v.Attempt, now)
	case Again:
		r.tell(false, v.Stale)
		if r.tries < 8 && !r.c.w.stopped && r.c.env.Rand().IntN(4) > 0 {
			r.again()
			return
		}
		said(saidAborted)
	case Fail:
		r.tell(false, nil)
		said(saidAborted)
	case InDoubt:
		all := make([]Read, 0, simGrains)
		for g := range simGrains {
			all = append(all, Read{Key: simKey(g)})
		}
		r.tell(false, all)
		said(saidInDoubt)
	}
	r.end()
}

func (r *simRun) again() {
	at := r.block.Retry()
	r.no++
	r.at, r.where = 0, map[int]machine.NodeID{}
	r.c.env.After(time.Duration(1+r.c.env.Rand().IntN(20*r.tries))*time.Millisecond, func() {
		if r.block.Attempt() == at && r.block.Err() == nil {
			r.start()
			return
		}
		if r.block.Attempt() == at { // wounded by a late ask: nothing had begun
			r.block.Abandon(nil)
			r.again()
		}
	})
}

// abandon ends an attempt that was not submitted; for good where the money did not suffice.
func (r *simRun) abandon(good bool) {
	var err error
	if good || r.tries >= 8 || r.c.w.stopped {
		err = errors.New("no more")
	}
	r.verdictOfAbandon(r.block.Abandon(err))
}

func (r *simRun) verdictOfAbandon(v Verdict) {
	if v.Action == Again {
		r.tell(false, nil)
		r.again()
		return
	}
	r.verdict(v)
}

func (r *simRun) end() {
	c := r.c
	delete(c.runs, r.told.id)
	r.told.active--
	if rnd := c.env.Rand(); rnd.IntN(5) == 0 { // results are needed only while a block is on its way
		upTo := c.seq
		for _, b := range c.w.history.blocks {
			if b.id.Client == c.client && (b.outcome == saidNothing || b.outcome == saidInDoubt || b.active > 0) {
				upTo = min(upTo, b.id.Seq-1)
			}
		}
		c.submit(Confirm{c.client, upTo}, func(Result) {}, func() {})
	}
	c.env.After(time.Duration(c.env.Rand().IntN(20))*time.Millisecond, c.begin)
}

func (c *coordinator) Receive(from machine.NodeID, m message) {
	switch m := m.(type) {
	case replyMsg:
		if r := c.runs[m.attempt.ID]; r != nil {
			r.answered(m)
		}
	case askMsg:
		c.asked(from, m)
	case resultMsg:
		if got := c.waits[m.req]; got != nil {
			delete(c.waits, m.req)
			rs, err := DecodeResults(m.result)
			if err != nil {
				panic(err)
			}
			got(rs[0])
		}
	case validatedMsg:
		if got := c.valids[m.req]; got != nil {
			delete(c.valids, m.req)
			got(m.stale)
		}
	}
}

// asked answers a silo in which an attempt holds something.
func (c *coordinator) asked(from machine.NodeID, m askMsg) {
	switch r := c.runs[m.attempt.ID]; {
	case c.client == 0:
	case r == nil && !c.mine[m.attempt]:
		c.env.Send(from, goneMsg{m.attempt, m.grain}) // of an earlier life
	case r == nil || m.attempt.N < r.block.Attempt().N:
		c.env.Send(from, finishedMsg{m.attempt, m.grain, c.over[m.attempt], false})
	case r.block.Phase() != Running:
		c.env.Send(from, submittedMsg{m.attempt, m.grain})
	case m.wound && r.block.Wound(m.attempt) && len(r.where) > 0:
		r.abandon(false)
	}
}
