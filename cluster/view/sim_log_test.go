package view

import (
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/cluster/machine/sim"
)

// simLog is the view group's log as Raft keeps it: entries are committed by the leader of the newest term
// while it reaches a majority, in the order in which it took them; what a leader had not committed may be
// committed by the next, from the front. A leader that was replaced goes on proposing until it hears of
// it, for nothing.
type simLog struct {
	w        *simWorld
	registry *Registry
	applied  []Applied // by what each entry did

	term    int
	leader  machine.NodeID
	silo    *simSilo // the run that was elected: its successor on the same node does not lead
	pending [][]byte
	bad     time.Duration // since when nobody who leads reaches a majority; negative: somebody does
	patient time.Duration
}

func newSimLog(w *simWorld) *simLog { return &simLog{w: w, registry: NewRegistry(), bad: 0} }

// propose takes an entry from a silo that leads, or believes so.
func (l *simLog) propose(from machine.NodeID, term int, entry []byte) {
	if from != l.leader {
		return // what it proposed in a former term may still get in, once it leads again
	}
	term = l.term
	l.pending = append(l.pending, entry)
	l.w.sim.After(l.w.between(time.Millisecond, 12*time.Millisecond), func() {
		if term == l.term {
			l.commit()
		}
	})
}

func (l *simLog) commit() {
	for len(l.pending) > 0 && l.majority(l.leader) {
		l.append(l.pending[0])
		l.pending = l.pending[1:]
	}
}

func (l *simLog) append(entry []byte) {
	a, err := l.registry.Apply(entry)
	if err != nil {
		panic(err)
	}
	l.applied = append(l.applied, a)
	l.w.checkTable(a.Table)
}

func (l *simLog) majority(of machine.NodeID) bool {
	n := 0
	for _, id := range l.w.silos {
		if l.w.talk(of, id) {
			n++
		}
	}
	return n > len(l.w.silos)/2
}

// watch is called every 20 ms.
func (l *simLog) watch() {
	now := l.w.sim.Now()
	if l.leader != 0 && l.w.running[l.leader] == l.silo && l.majority(l.leader) {
		l.bad = -1
		l.commit()
		return
	}
	if l.bad < 0 {
		l.bad, l.patient = now, l.w.between(300*time.Millisecond, 600*time.Millisecond)
	}
	if now-l.bad >= l.patient {
		l.elect()
	}
}

// elect makes one of those who reach a majority the leader.
func (l *simLog) elect() {
	var can []machine.NodeID
	for _, id := range l.w.silos {
		if l.majority(id) {
			can = append(can, id)
		}
	}
	if len(can) == 0 {
		return
	}
	for range l.w.sim.Rand().IntN(len(l.pending) + 1) {
		l.append(l.pending[0])
		l.pending = l.pending[1:]
	}
	l.pending = nil
	l.term++
	l.leader, l.bad = can[l.w.sim.Rand().IntN(len(can))], -1
	l.silo = l.w.running[l.leader]
	l.w.sim.Notef("%v leads term %d", l.leader, l.term)
	l.barrier(l.term, l.silo)
}

// barrier lets a new leader begin once it reaches a majority.
func (l *simLog) barrier(term int, silo *simSilo) {
	silo.env.After(l.w.between(2*time.Millisecond, 60*time.Millisecond), func() {
		if l.term != term {
			return
		}
		if !l.majority(silo.env.ID()) {
			l.barrier(term, silo)
			return
		}
		silo.lead, silo.term = nil, term
		silo.apply(len(l.applied))
		silo.lead = NewLead(LeadConfig{}, silo.now(), l.registry.Current())
		silo.lead.hooks = l.w.hooks
	})
}

// replicate sends a silo what it lacks. One that is paused finds it when it wakes.
func (l *simLog) replicate(id machine.NodeID) {
	silo := l.w.running[id]
	if l.leader != 0 && l.w.talk(l.leader, l.leader) && !l.w.cut[sim.Link{From: l.leader, To: id}] && l.w.sim.Now() >= l.w.lags[id] {
		leader, upTo, term := l.leader, len(l.applied), l.term
		silo.env.After(l.w.between(time.Millisecond, 8*time.Millisecond), func() {
			silo.leader = leader
			if silo.lead != nil && silo.term < term {
				silo.lead = nil
			}
			silo.apply(upTo)
		})
	}
	l.w.sim.After(l.w.between(4*time.Millisecond, 25*time.Millisecond), func() { l.replicate(id) })
}
