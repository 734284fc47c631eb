package sim

import (
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
)

// Faults says how often each kind of fault is to come, as the mean time between two of it, and how long
// each lasts. A zero time leaves the kind out.
type Faults struct {
	Partition time.Duration // the nodes fall into two random groups
	OneWay    time.Duration // one direction of one link is cut
	Crash     time.Duration // a node crashes and restarts with its disk
	Wipe      time.Duration // a node crashes and restarts without
	Pause     time.Duration // a node stands still
	// Lasting is the mean time that a fault lasts. Default 500 ms.
	Lasting time.Duration
	// MaxDown bounds the nodes that are crashed or wiped at one time. Default: a minority.
	MaxDown int
	// MayWipe says whether a node may lose its disk now. Default: any may.
	MayWipe func(machine.NodeID) bool
}

type disturbance struct {
	stopped bool
	down    map[machine.NodeID]bool
}

// Disturb lets random faults happen during the next d. It returns at once; the faults happen as time is
// run. Those that last longer than d end by themselves, or with Calm.
func (s *Sim[M]) Disturb(d time.Duration, f Faults) {
	if f.Lasting == 0 {
		f.Lasting = 500 * time.Millisecond
	}
	if f.MaxDown == 0 {
		f.MaxDown = max(0, (len(s.order)-1)/2)
	}
	dist := &disturbance{down: map[machine.NodeID]bool{}}
	s.faults = dist
	end := s.now + d
	repeat := func(mean time.Duration, fault func()) {
		if mean == 0 {
			return
		}
		var next func()
		next = func() {
			s.After(s.exp(mean), func() {
				if dist.stopped || s.now >= end {
					return
				}
				fault()
				next()
			})
		}
		next()
	}
	repeat(f.Partition, func() {
		var side []machine.NodeID
		for _, id := range s.order {
			if s.rand.IntN(2) == 0 {
				side = append(side, id)
			}
		}
		s.Partition(side)
		s.After(s.exp(f.Lasting), s.Heal)
	})
	repeat(f.OneWay, func() {
		a, b := s.any(), s.any()
		if a == b {
			return
		}
		s.CutOneWay(a, b)
		s.After(s.exp(f.Lasting), func() { s.Mend(a, b) })
	})
	kill := func(how func(machine.NodeID), may func(machine.NodeID) bool) func() {
		return func() {
			id := s.any()
			if !s.Up(id) || len(dist.down) >= f.MaxDown || may != nil && !may(id) {
				return
			}
			how(id)
			dist.down[id] = true
			s.After(s.exp(f.Lasting), func() {
				delete(dist.down, id)
				s.Restart(id)
			})
		}
	}
	repeat(f.Crash, kill(s.Crash, nil))
	repeat(f.Wipe, kill(s.Wipe, f.MayWipe))
	repeat(f.Pause, func() {
		id := s.any()
		s.Pause(id)
		s.After(s.exp(f.Lasting), func() { s.Resume(id) })
	})
}

// Calm ends all disturbance: no more faults, links mended, every node up and running, and from now on
// links lose and double nothing.
func (s *Sim[M]) Calm() {
	if s.faults != nil {
		s.faults.stopped = true
	}
	s.cfg.Loss, s.cfg.Duplicate = 0, 0
	for _, st := range s.links {
		st.quality = nil
	}
	s.Heal()
	for _, id := range s.order {
		s.Resume(id)
		s.Restart(id)
	}
}

func (s *Sim[M]) any() machine.NodeID { return s.order[s.rand.IntN(len(s.order))] }

func (s *Sim[M]) exp(mean time.Duration) time.Duration {
	return time.Duration(s.rand.ExpFloat64() * float64(mean))
}
