package commit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/cluster/machine/sim"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Messages of the simulated protocol.
type (
	message  interface{}
	callMsg  struct{ call simCall }
	replyMsg struct {
		attempt Attempt
		no      uint64
		record  Record
		saw     account // before the attempt's own writes
		refused bool    // no money
	}
	submittedMsg struct {
		attempt Attempt
		grain   int
	}
	finishedMsg struct {
		attempt   Attempt
		grain     int
		committed bool
		stale     bool
	}
	// askMsg asks a coordinator about an attempt that holds something; wound says that it is in the way.
	askMsg struct {
		attempt Attempt
		grain   int
		wound   bool
	}
	goneMsg struct { // the coordinator knows nothing of it: it has died since
		attempt Attempt
		grain   int
	}
	submitMsg struct {
		req   uint64
		entry []byte
	}
	resultMsg struct {
		req    uint64
		result []byte
	}
	validateMsg struct {
		req   uint64
		reads []Read
	}
	validatedMsg struct {
		req   uint64
		stale []Read
	}
	loadMsg   struct{ grain int }
	loadedMsg struct {
		grain   int
		version Attempt
		value   []byte
	}
)

type simCall struct {
	holder Holder
	no     uint64 // the attempt's own number for it
	from   machine.NodeID
	grain  int
	add    int // 0: reads only
	write  bool
}

// account is the state of a simulated grain: money, and who wrote it.
type account struct {
	Balance int
	By      []Attempt
}

func (a account) encode() []byte {
	b, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	return b
}

func decodeAccount(b []byte) account {
	a := account{Balance: startBalance}
	if b != nil {
		if err := json.Unmarshal(b, &a); err != nil {
			panic(err)
		}
	}
	return a
}

func simKey(grain int) StateKey { return key(fmt.Sprint(grain)) }

// silo hosts activations of grains: those that are its own, and any that someone takes for its own.
type silo struct {
	env  *sim.Env[message]
	w    *simWorld
	acts map[int]*activation
}

type activation struct {
	s        *silo
	grain    int
	id       uint64
	ts       Turnstile
	versions Versions
	value    account
	work     map[Attempt]*working
	asks     map[Attempt]machine.NodeID // whose an attempt is
	calls    map[CallID]*simCall
	inTurn   map[CallID]bool
	loading  bool
	seen     map[string]bool
	last     CallID
}

// working is what one attempt did here.
type working struct {
	record    Record
	saw, now  account
	submitted bool
}

func (w *simWorld) bootSilo(env *sim.Env[message]) sim.Handler[message] {
	s := &silo{env: env, w: w, acts: map[int]*activation{}}
	env.Every(60*time.Millisecond, s.ask)
	return s
}

func (s *silo) activation(grain int) *activation {
	a := s.acts[grain]
	if a == nil {
		s.w.activations++
		a = &activation{s: s, grain: grain, id: s.w.activations, work: map[Attempt]*working{}, asks: map[Attempt]machine.NodeID{},
			calls: map[CallID]*simCall{}, inTurn: map[CallID]bool{}, seen: map[string]bool{}}
		s.acts[grain] = a
	}
	return a
}

func (s *silo) Receive(_ machine.NodeID, m message) {
	switch m := m.(type) {
	case callMsg:
		s.activation(m.call.grain).arrive(m.call)
	case submittedMsg:
		a := s.activation(m.grain)
		a.submitted(m.attempt)
		a.signals(a.ts.Release(m.attempt))
	case finishedMsg:
		s.activation(m.grain).finished(m)
	case goneMsg:
		s.activation(m.grain).finished(finishedMsg{attempt: m.attempt, stale: true})
	case loadedMsg:
		s.activation(m.grain).loaded(m)
	}
}

// ask asks about locks that are held, and wounds again: any message may have been lost.
func (s *silo) ask() {
	for _, g := range slices.Sorted(maps.Keys(s.acts)) {
		a := s.acts[g]
		wounded := a.ts.Wounded()
		for _, at := range wounded {
			s.env.Send(a.asks[at], askMsg{at, g, true})
		}
		if h, ok := a.ts.Held(); ok && !slices.Contains(wounded, h.Attempt) {
			s.env.Send(a.asks[h.Attempt], askMsg{h.Attempt, g, false})
		}
		if a.loading {
			s.env.Send(logNode, loadMsg{g})
		}
		if a.ts.Idle() && len(a.work) == 0 && s.env.Rand().IntN(10) == 0 {
			delete(s.acts, g) // idle grains go
		}
	}
}

func (a *activation) arrive(c simCall) {
	once := fmt.Sprint(c.holder.Attempt, c.no)
	if a.seen[once] {
		return
	}
	a.seen[once] = true
	a.last++
	id := a.last
	a.calls[id] = &c
	a.asks[c.holder.Attempt] = c.from
	granted, out := a.ts.Arrive(id, c.holder, 0)
	if granted {
		a.inTurn[id] = true
	}
	a.signals(out)
	if granted {
		a.lock(id)
	}
}

func (a *activation) lock(id CallID) {
	granted, out := a.ts.Lock(id, a.calls[id].holder)
	a.signals(out)
	if granted {
		a.exec(id)
	}
}

func (a *activation) signals(out []Signal) {
	for _, s := range slices.Clone(out) {
		switch s.Kind {
		case Wound:
			a.s.env.Send(a.asks[s.Attempt], askMsg{s.Attempt, a.grain, true})
		case Refuse:
			delete(a.calls, s.Call)
			if a.inTurn[s.Call] { // it was to have the lock
				a.leave(s.Call)
			}
		case Grant:
			if a.calls[s.Call] == nil {
				a.signals(a.ts.Leave(s.Call))
				continue
			}
			a.inTurn[s.Call] = true
			a.lock(s.Call)
		}
	}
}

func (a *activation) exec(id CallID) {
	c := a.calls[id]
	at := c.holder.Attempt
	w := a.work[at]
	if w == nil {
		version, known := a.versions.Current()
		if !known {
			a.loading = true
			a.s.env.Send(logNode, loadMsg{a.grain})
			return
		}
		w = &working{saw: a.value, now: a.value}
		w.record.Participant = Participant{Node: fmt.Sprint(uint64(a.s.env.ID())), Grain: simKey(a.grain).Grain, Activation: a.id}
		w.record.Reads = []Read{{simKey(a.grain), version}}
		a.work[at] = w
	}
	reply := replyMsg{attempt: at, no: c.no, saw: w.saw}
	switch {
	case !c.write:
	case w.now.Balance+c.add < 0:
		reply.refused = true
	default:
		if len(w.record.Writes) == 0 {
			w.now.By = append(slices.Clone(w.now.By), at)
		}
		w.now.Balance += c.add
		w.record.Writes = []Write{{simKey(a.grain), w.now.encode()}}
		w.record.Ops = append(slices.Clone(w.record.Ops), Operation{simVariable, fmt.Append(nil, at)})
	}
	w.record.Revision++
	reply.record = w.record
	a.s.env.Send(c.from, reply)
	a.leave(id)
}

var simVariable = wire.NewID("test.Var", "moves")

func (a *activation) leave(id CallID) {
	delete(a.calls, id)
	delete(a.inTurn, id)
	a.signals(a.ts.Leave(id))
}

func (a *activation) loaded(m loadedMsg) {
	a.loading = false
	if a.versions.Loaded(m.version) {
		a.value = decodeAccount(m.value)
	}
	for _, id := range slices.Sorted(maps.Keys(a.calls)) {
		if c := a.calls[id]; c != nil && a.inTurn[id] {
			a.exec(id)
		}
	}
}

// submitted makes the attempt's version the current one, before anyone else gets the lock.
func (a *activation) submitted(at Attempt) {
	w := a.work[at]
	if w == nil || w.submitted {
		return
	}
	w.submitted = true
	if len(w.record.Writes) > 0 && a.versions.Submitted(at) {
		a.value = w.now
	}
}

func (a *activation) finished(m finishedMsg) {
	if m.committed {
		a.submitted(m.attempt)
	}
	a.versions.Finished(m.attempt, m.committed, m.stale)
	delete(a.work, m.attempt)
	a.end(func(at Attempt) bool { return at == m.attempt })
	a.signals(a.ts.Release(m.attempt))
}

// end takes the calls of attempts that are over out of the turn and the queue.
func (a *activation) end(over func(Attempt) bool) {
	for _, id := range slices.Sorted(maps.Keys(a.calls)) {
		c := a.calls[id]
		if c == nil || !over(c.holder.Attempt) {
			continue
		}
		delete(a.calls, id)
		a.signals(a.ts.Cancel(id))
		if a.inTurn[id] {
			a.leave(id)
		}
	}
}
