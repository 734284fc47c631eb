package view

import (
	"cmp"
	"fmt"
	"slices"
)

// Server is one replica in the view group's configuration.
type Server struct {
	ID     SiloID
	Addr   string // of its consensus listener
	Voting bool
}

// VoterOp is a change of one server of the configuration.
type VoterOp uint8

const (
	AddServer    VoterOp = iota + 1 // as a non-voter, or with another address
	PromoteVoter                    // a non-voter becomes a voter
	DemoteVoter                     // a voter becomes a non-voter
	RemoveServer                    // it is no replica any more, for good: that store can never come back
)

func (o VoterOp) String() string {
	names := [...]string{"", "add", "promote", "demote", "remove"}
	if int(o) < len(names) && o > 0 {
		return names[o]
	}
	return fmt.Sprintf("VoterOp(%d)", uint8(o))
}

// VoterChange is one step towards the configuration that there should be.
type VoterChange struct {
	Op VoterOp
	// ID and Addr are the server's; a removal and a demotion need no address.
	ID   SiloID
	Addr string
}

// Electorate is what is known when the leader decides who votes.
type Electorate struct {
	Table   *Table
	Servers []Server // the configuration of now
	Leader  SiloID   // is never demoted nor removed: a leader that leaves hands over first
	// Addr is the consensus listener of a member.
	Addr func(Member) string
	// CaughtUp says whether a non-voter's log is near the leader's, so that its vote counts at once.
	CaughtUp func(SiloID) bool
	// Gone says that a store will not come back: an operator has expelled it, or this leader has waited for
	// it as long as an operator allows, an hour unless that was configured, and has heard nothing. That
	// time begins when the leader begins to lead and when the store is added, so that a store that was let
	// in a moment ago, and whose Join is still under way, is not gone. Nil: no store ever is.
	Gone func(SiloID) bool
	// Max is the most voters that there are to be. Default 5.
	Max int
}

// Next returns the next change, one at a time, or false if all is as it should be. The leader asks after
// each view, after each change that was made, and now and then for CaughtUp's sake.
//
// There are to be as many voters as there are silos that serve, but not fewer than there were, up to Max, and an
// odd number of them unless they are two: a fourth voter lets no further failure pass. Who votes goes on voting. A voter that
// has died is replaced; while there is nobody to replace it with, it keeps its vote if taking that away would
// let no further failure pass, because it may come back and vote.
//
// To be removed is for good, so a voter is demoted first, whatever became of it, and a store without a vote
// stays a replica, at little cost, until it is Gone: when it comes back it has its log, catches up and may be
// given a vote again.
func (e Electorate) Next() (VoterChange, bool) {
	s := e.survey()
	for _, step := range []func(survey) (VoterChange, bool){e.add, e.drop, e.promote, e.bury, e.demote} {
		if c, ok := step(s); ok {
			return c, true
		}
	}
	return VoterChange{}, false
}

// survey is the configuration as the view sees it.
type survey struct {
	servers map[SiloID]Server
	serving []Server // voters that are members and stay; founders that have not come yet, too
	leaving []Server // voters that leave
	dead    []Server // voters whose last run has ended, and those that are gone
	ready   []Server // non-voters that may be promoted
	want    int      // voters
}

func (e Electorate) survey() survey {
	s := survey{servers: map[SiloID]Server{}}
	for _, m := range e.Table.Members {
		if m.State == Active || m.State == Joining {
			s.want++
		}
	}
	voters := 0
	for _, v := range e.Servers {
		if v.Voting && !e.gone(v.ID) {
			voters++
		}
	}
	// Who leaves or has died is expected back, and votes until there is another in its place.
	s.want = min(max(s.want, voters), cmp.Or(max(e.Max, 0), 5))
	if s.want > 2 && s.want%2 == 0 {
		s.want--
	}
	for _, v := range slices.SortedFunc(slices.Values(e.Servers), func(a, b Server) int { return cmp.Compare(a.ID, b.ID) }) {
		s.servers[v.ID] = v
		m, known := e.Table.Member(v.ID)
		switch {
		case v.Voting && (known && !m.Alive() || !known && e.gone(v.ID)): // gone, and forgotten by the view
			s.dead = append(s.dead, v)
		case v.Voting && m.State == Leaving:
			s.leaving = append(s.leaving, v)
		case v.Voting:
			s.serving = append(s.serving, v)
		case m.State == Active && e.CaughtUp(v.ID):
			s.ready = append(s.ready, v)
		}
	}
	return s
}

// add brings in members that are no replicas, and addresses that are new.
func (e Electorate) add(s survey) (VoterChange, bool) {
	for _, m := range e.Table.Members {
		if v, is := s.servers[m.ID]; m.Alive() && (!is || v.Addr != e.Addr(m)) {
			return VoterChange{AddServer, m.ID, e.Addr(m)}, true
		}
	}
	return VoterChange{}, false
}

// drop removes non-voters that are gone. A member that lives is not, nor is a store just because the view
// does not know it: its Join may be still to come.
func (e Electorate) drop(survey) (VoterChange, bool) {
	for _, v := range e.Servers {
		if !v.Voting && v.ID != e.Leader && e.gone(v.ID) {
			return VoterChange{Op: RemoveServer, ID: v.ID}, true
		}
	}
	return VoterChange{}, false
}

func (e Electorate) promote(s survey) (VoterChange, bool) {
	if len(s.serving) >= s.want || len(s.ready) == 0 {
		return VoterChange{}, false
	}
	return VoterChange{PromoteVoter, s.ready[0].ID, s.ready[0].Addr}, true
}

// gone says that a store that is no member any more will not come back.
func (e Electorate) gone(id SiloID) bool {
	m, known := e.Table.Member(id)
	return e.Gone != nil && !(known && m.Alive()) && e.Gone(id)
}

// bury takes the vote from dead voters that are gone, and from others where that lets more failures pass:
// tolerated failures are those of the living beyond a majority of all.
func (e Electorate) bury(s survey) (VoterChange, bool) {
	living := len(s.serving) + len(s.leaving)
	helps := living/2 != (living+len(s.dead))/2
	for _, v := range s.dead {
		if v.ID != e.Leader && (helps || e.gone(v.ID)) { // it may be dead to the view, and lead the log still
			return VoterChange{Op: DemoteVoter, ID: v.ID}, true
		}
	}
	return VoterChange{}, false
}

// demote takes the vote from those that leave, once there are others, and from those that are too many.
func (e Electorate) demote(s survey) (VoterChange, bool) {
	if len(s.serving) < s.want {
		return VoterChange{}, false // whoever leaves votes until there is another
	}
	candidates := s.leaving
	if len(s.serving) > s.want && len(s.dead) == 0 && s.allCame(e.Table) {
		candidates = append(slices.Clone(s.serving), s.leaving...)
	}
	for _, v := range slices.Backward(candidates) {
		if v.ID != e.Leader {
			return VoterChange{Op: DemoteVoter, ID: v.ID}, true
		}
	}
	return VoterChange{}, false
}

// allCame says whether every voter has been a member: before that, the cluster is still being founded.
func (s survey) allCame(t *Table) bool {
	return !slices.ContainsFunc(s.serving, func(v Server) bool {
		_, known := t.Member(v.ID)
		return !known
	})
}
