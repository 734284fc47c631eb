package sim

import (
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
)

// Link is one direction of a connection.
type Link struct{ From, To machine.NodeID }

// Quality is how one link behaves where it differs from the Config.
type Quality struct {
	MinDelay, MaxDelay time.Duration
	Loss, Duplicate    float64
}

type linkState struct {
	byCut   bool
	byPart  bool
	quality *Quality
}

// SetLink gives one direction of a link a quality of its own.
func (s *Sim[M]) SetLink(from, to machine.NodeID, q Quality) { s.link(Link{from, to}).quality = &q }

// CutOneWay lets nothing pass from one node to another until Heal or Mend; the other direction stays.
func (s *Sim[M]) CutOneWay(from, to machine.NodeID) {
	s.link(Link{from, to}).byCut = true
	s.trace.add(traced[M]{at: s.now, what: "cut", from: from, to: to})
}

// Cut lets nothing pass between two nodes until Heal or Mend.
func (s *Sim[M]) Cut(a, b machine.NodeID) {
	s.CutOneWay(a, b)
	s.CutOneWay(b, a)
}

// Mend ends the cuts between two nodes, in both directions.
func (s *Sim[M]) Mend(a, b machine.NodeID) {
	for _, l := range []Link{{a, b}, {b, a}} {
		if st := s.links[l]; st != nil {
			st.byCut, st.byPart = false, false
		}
	}
	s.trace.add(traced[M]{at: s.now, what: "mend", from: a, to: b})
}

// Partition cuts every link between nodes of different groups; nodes that are named in no group form one
// together. It replaces the partition before it.
func (s *Sim[M]) Partition(groups ...[]machine.NodeID) {
	group := map[machine.NodeID]int{}
	for i, g := range groups {
		for _, id := range g {
			group[id] = i + 1
		}
	}
	for _, st := range s.links {
		st.byPart = false
	}
	for _, a := range s.order {
		for _, b := range s.order {
			if group[a] != group[b] {
				s.link(Link{a, b}).byPart = true
			}
		}
	}
	s.Notef("partition %v", groups)
}

// Heal ends all cuts and the partition.
func (s *Sim[M]) Heal() {
	for _, st := range s.links {
		st.byCut, st.byPart = false, false
	}
	s.Notef("heal")
}

func (s *Sim[M]) link(l Link) *linkState {
	st := s.links[l]
	if st == nil {
		st = &linkState{}
		s.links[l] = st
	}
	return st
}

func (s *Sim[M]) cut(l Link) bool {
	st := s.links[l]
	return st != nil && (st.byCut || st.byPart)
}

func (s *Sim[M]) send(from, to machine.NodeID, m M) {
	l := Link{from, to}
	n := s.node(to)
	s.counts.sent(l, s.cfg.Type(m), s.cfg.Size(m))
	q := Quality{s.cfg.MinDelay, s.cfg.MaxDelay, s.cfg.Loss, s.cfg.Duplicate}
	if st := s.links[l]; st != nil && st.quality != nil {
		q = *st.quality
	}
	if s.cut(l) {
		s.drop(l, m, "cut")
		return
	}
	if q.Loss > 0 && s.rand.Float64() < q.Loss {
		s.drop(l, m, "lost")
		return
	}
	s.events.push(event[M]{at: s.now + s.between(q.MinDelay, q.MaxDelay), node: n, message: true, from: from, msg: m})
	if q.Duplicate > 0 && s.rand.Float64() < q.Duplicate {
		s.counts.duplicated++
		s.events.push(event[M]{at: s.now + s.between(q.MinDelay, 3*q.MaxDelay), node: n, message: true, from: from, msg: m})
	}
}

func (s *Sim[M]) drop(l Link, m M, why string) {
	s.counts.lost++
	s.trace.add(traced[M]{at: s.now, what: "drop", from: l.From, to: l.To, msg: m, message: true, text: why})
}
