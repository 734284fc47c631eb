package view

import (
	"errors"
	"time"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Grant is the right to serve the grains of one slot of one kind, under a token. The token travels with
// every call that such a grain makes, every write of its state, and every reply.
type Grant struct {
	Kind  string
	Slot  int
	Token uint64
}

// Standing is what a silo may serve, as of one step of its [Keeper]. It is immutable: hosts keep the
// newest in an atomic pointer and ask it from any goroutine. A question is two look-ups in maps, and
// allocates only for a refusal.
//
// Everything that a turn does is done under one of its answers:
//
//	g, err := s.Activate(now, id)   // before state is loaded for an activation
//	err = s.Begin(now, g)           // before each turn
//	err = s.Resume(now, g)          // after each wait inside a turn
//	err = s.Reply(now, g)           // before the reply leaves
//
// each time of the newest Standing and at the newest reading of the clock. Between an answer and what is
// done under it the process may stand still. A write that leaves late then meets the [Fence] of the
// storage, which the next holder's load has raised; a call or a reply that leaves late says what was true
// at the answer, while its caller was still waiting.
type Standing struct {
	self   Run
	seat   seat // 0: no member
	table  *Table
	until  time.Duration
	heard  uint64
	sealed map[Place]uint64 // and the tokens that they are sealed under
	hooks  hooks
}

// Table is the view that the silo has applied.
func (s *Standing) Table() *Table { return s.table }

// Leased says whether the silo has a lease.
func (s *Standing) Leased(now time.Duration) bool { return now < s.until }

// Activate says whether an activation of a grain may begin here, and under which token. Errors are
// *Refusal.
func (s *Standing) Activate(now time.Duration, id wire.ID) (Grant, error) {
	g := Grant{Kind: id.Kind(), Slot: Slot(id)}
	p := s.table.kinds[g.Kind]
	if p == nil {
		return g, s.refuse(Nowhere, g)
	}
	g.Token = p.rows[g.Slot].token
	return g, s.Begin(now, g)
}

// Holds says whether this silo holds the slot of id, under which token, and has not sealed it: what it may do
// there whenever it has a lease.
func (s *Standing) Holds(id wire.ID) (Grant, bool) {
	g := Grant{Kind: id.Kind(), Slot: Slot(id)}
	p := s.table.kinds[g.Kind]
	if p == nil {
		return g, false
	}
	g.Token = p.rows[g.Slot].token
	place, reason := s.holds(g)
	return g, reason == 0 && (s.sealed[place] != g.Token || g.Token == 0)
}

// Begin says whether a turn may start. After a refusal the activation is of no use any more: the next
// call activates again, here or elsewhere. Errors are *Refusal; nothing was executed.
func (s *Standing) Begin(now time.Duration, g Grant) error {
	if !s.Leased(now) && !s.hooks.anyoneBegins {
		return s.refuse(NoLease, g)
	}
	if s.heard > s.table.Number {
		return s.refuse(Behind, g)
	}
	place, reason := s.holds(g)
	if reason != 0 {
		return s.refuse(reason, g)
	}
	if s.sealed[place] == g.Token && g.Token != 0 {
		return s.refuse(Moving, g)
	}
	return nil
}

// Resume says whether a turn may go on after it has waited for anything. A slot that is sealed lets its
// turns finish. Errors are *Refusal; the turn must end without further effects.
func (s *Standing) Resume(now time.Duration, g Grant) error {
	return s.goOn(now, g, s.hooks.anyoneResumes)
}

// Reply says whether a reply may leave. Errors are *Refusal; the caller is to be told that the outcome is
// unknown.
func (s *Standing) Reply(now time.Duration, g Grant) error {
	return s.goOn(now, g, s.hooks.anyoneReplies)
}

func (s *Standing) goOn(now time.Duration, g Grant, without bool) error {
	if !s.Leased(now) && !without {
		return s.refuse(NoLease, g)
	}
	if _, reason := s.holds(g); reason != 0 && !without {
		return s.refuse(reason, g)
	}
	return nil
}

// holds says where the slot of a grant is, and why it is not held under its token, if it is not.
func (s *Standing) holds(g Grant) (Place, Reason) {
	p := s.table.kinds[g.Kind]
	if p == nil {
		return Place{}, Nowhere
	}
	r := &p.rows[g.Slot]
	switch {
	case s.hooks.anyoneOwns:
	case r.holder == 0:
		return Place{}, Nowhere
	case r.holder != s.seat:
		return Place{}, Elsewhere
	case r.token != g.Token:
		return Place{}, Moving // it was away, or is of another pool since
	}
	return Place{p.id, g.Slot}, 0
}

func (s *Standing) refuse(why Reason, g Grant) error {
	r := &Refusal{Reason: why, Silo: s.self, Kind: g.Kind, Slot: g.Slot, View: s.table.Number}
	if p := s.table.kinds[g.Kind]; p != nil {
		if i, ok := s.table.seats[p.rows[g.Slot].holder]; ok {
			r.Holder = s.table.Members[i]
		}
	}
	return r
}

// Forward says what to do with a call that came here and was refused by Activate or Begin: the silo to
// send it on to, once. A call that was forwarded before is not forwarded again, so that two silos that
// disagree do not pass it to and fro: its caller gets the refusal, and knows the view.
func (s *Standing) Forward(refused error, forwarded bool) (to Member, ok bool) {
	var r *Refusal
	if !errors.As(refused, &r) || forwarded || r.Reason != Elsewhere {
		return Member{}, false
	}
	return r.Holder, true
}
