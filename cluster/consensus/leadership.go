package consensus

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Leader returns who leads as far as this replica knows.
func (g *Group) Leader() (Server, bool) {
	s := g.knownLeader()
	return s, s != (Server{})
}

// IsLeader says that this replica leads and that everything committed before
// its reign has been applied here. It may have been replaced already without
// having heard of it: decide nothing by it that a ReadIndex or an entry does
// not confirm.
func (g *Group) IsLeader() bool { return g.proposable() == nil }

// Leadership returns the state of now and a channel that is closed when it has
// been replaced. On a closed group there is no leader.
func (g *Group) Leadership() (Leadership, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state, g.changed
}

// AwaitLeader returns when a leader is known, this replica only once it is
// confirmed.
func (g *Group) AwaitLeader(ctx context.Context) (Leadership, error) {
	for {
		state, changed := g.Leadership()
		if state.Leader != (Server{}) && (state.Self || state.Leader.ID != g.cfg.Self.ID) {
			return state, nil
		}
		if g.roster.standing() == Removed {
			return state, g.removed()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return state, fmt.Errorf("no leader of the consensus group is known: %w", ctx.Err())
		case <-g.closed:
			return state, ErrClosed
		}
	}
}

// Silent returns, on the leader, the other replicas whose heartbeats fail, and
// when each was heard of last. It is empty elsewhere.
func (g *Group) Silent() map[Server]time.Time {
	members, _ := g.roster.members()
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make(map[Server]time.Time, len(g.silent))
	for _, m := range members.List {
		if at, ok := g.silent[m.ID]; ok {
			out[m.Server] = at
		}
	}
	return out
}

// knownLeader names the leader by the address that it gives itself, so that one
// that moved is named by its address of now.
func (g *Group) knownLeader() Server {
	addr, id := g.raft.LeaderWithID()
	switch {
	case id == "" || g.roster.standing() == Removed:
		return Server{}
	case string(id) == g.cfg.Self.ID:
		return g.cfg.Self
	}
	return Server{ID: string(id), Addr: addressOf(id, addr)}
}

func (g *Group) removed() error {
	return &StoreRemoved{StoreID: g.cfg.Self.ID, ClusterID: g.cfg.ClusterID}
}

// proposable is nil on a leader whose first batch of this term is applied:
// before that its state may lack what its predecessor committed. The term is
// compared, not a flag: a replica that lost leadership and won it again before
// anybody looked must confirm anew.
func (g *Group) proposable() error {
	switch {
	case g.machine.failure() != nil:
		return g.machine.failure()
	case g.roster.standing() == Removed:
		return g.removed()
	case g.raft.State() != raft.Leader:
		return &NotLeader{Leader: g.leaderOtherThanSelf()}
	case g.confirmed.Load() != g.raft.CurrentTerm():
		return errHold
	}
	return nil
}

// leaderOtherThanSelf: raft may name this replica for a moment after it stepped
// down, and nobody is helped by being sent back here.
func (g *Group) leaderOtherThanSelf() Server {
	if s := g.knownLeader(); s.ID != g.cfg.Self.ID {
		return s
	}
	return Server{}
}

func observed(o *raft.Observation) bool {
	switch o.Data.(type) {
	case raft.LeaderObservation, raft.FailedHeartbeatObservation, raft.ResumedHeartbeatObservation:
		return true
	}
	return false
}

// watch follows raft until the group closes. It must not block: raft waits for
// it at every change of leadership.
func (g *Group) watch(leading <-chan bool, seen <-chan raft.Observation) {
	defer g.tasks.Done()
	was, members := g.roster.members()
	for {
		select {
		case <-members:
			var now Members
			now, members = g.roster.members()
			for _, m := range was.List {
				if _, stays := now.Find(m.ID); !stays { // end what waits for it
					g.net.answered(raft.ServerID(m.ID), contact{})
				}
			}
			was = now
		case lead := <-leading:
			g.mu.Lock()
			clear(g.silent)
			g.mu.Unlock()
			if lead {
				g.tasks.Add(1)
				go g.confirm()
			}
		case o := <-seen:
			g.note(o)
		case <-g.closed:
			// Raft must not wait for us while it shuts down; it gives up its
			// channel when it does.
			return
		}
		g.refresh()
		g.queue.poke()
	}
}

func (g *Group) note(o raft.Observation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch o := o.Data.(type) {
	case raft.FailedHeartbeatObservation:
		g.silent[string(o.PeerID)] = o.LastContact
	case raft.ResumedHeartbeatObservation:
		delete(g.silent, string(o.PeerID))
	}
}

// confirm opens a reign with an empty batch. When it has been applied, so has
// everything that was committed before.
func (g *Group) confirm() {
	defer g.tasks.Done()
	for g.raft.State() == raft.Leader && !g.isClosed() {
		future := g.raft.Apply([]byte{batchVersion}, enqueueTimeout)
		answer := make(chan error, 1)
		go func() { answer <- future.Error() }() // may never end, see queue.step
		var err error
		select {
		case err = <-answer:
		case <-g.closed:
			return
		}
		if err == nil {
			if out, ok := future.Response().(outcome); ok {
				g.confirmed.Store(out.term)
			}
			break
		}
		// A transfer of leadership under way, or a disk that failed: raft steps
		// down or goes on, and either takes a moment.
		select {
		case <-time.After(20 * time.Millisecond):
		case <-g.closed:
			return
		}
	}
	g.refresh()
	g.queue.poke()
}

func (g *Group) refresh() {
	now := Leadership{Leader: g.knownLeader(), Self: g.IsLeader(), Term: g.raft.CurrentTerm()}
	if g.isClosed() {
		now.Leader, now.Self = Server{}, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if now == g.state {
		return
	}
	g.state = now
	close(g.changed)
	g.changed = make(chan struct{})
}
