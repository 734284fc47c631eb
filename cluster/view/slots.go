package view

import (
	"maps"
	"slices"
	"time"
)

// Input is what the machines of this package take: [Keeper], [Lead] and [Detector]. Each says in its
// comment which of them it takes; it ignores the others.
type Input interface{ input() }

// Effect is what a machine asks of its host.
type Effect interface{ effect() }

type (
	// Tick is the passing of time. Hosts send one every 50 ms.
	Tick struct{}
	// Heard says that another silo, in a probe for example, spoke of a view of that number. A client's
	// word does not do: one that lied would stop the silo.
	Heard struct{ Number uint64 }
	// Started says that the silo is ready to serve.
	Started struct{}
	// Stop says that the silo is to leave: give everything away first.
	Stop struct{}
	// Drained says that rows of a Seal have no turn left, that what was queued is answered and state is
	// saved or handed over. They are the rows as the Seal had them.
	Drained struct{ Rows []Row }
)

func (Tick) input()    {}
func (Applied) input() {}
func (Heard) input()   {}
func (Started) input() {}
func (Stop) input()    {}
func (Drained) input() {}

type (
	// Ask is a command for the leader of the log, who is given it as an Asked. It may be lost; what has
	// not come about is asked for again.
	Ask struct{ Command Command }
	// Gained says that the silo holds these rows from now on, under their tokens.
	Gained struct{ Rows []Row }
	// Seal says that these rows are to move to their targets. No turn starts any more; those that run
	// may finish. The host answers what is queued (try again), saves each grain's state or hands it to
	// the target, and then says Drained, for many rows or few at a time.
	Seal struct{ Rows []Row }
	// Serving says that the silo is active.
	Serving struct{}
	// Ended says that the run is no member any more. If it was removed, the host drops all activations
	// and may join again as a new incarnation; otherwise the silo has left.
	Ended struct{ Removed bool }
)

func (Ask) effect()     {}
func (Gained) effect()  {}
func (Seal) effect()    {}
func (Serving) effect() {}
func (Ended) effect()   {}

// KeeperConfig says which silo a Keeper is the machine of.
type KeeperConfig struct {
	// Member is the silo as it joins: a run that never was before, with its address, kinds, labels and
	// versions. See NewJoin for what is refused.
	Member Member
	Times  Times
	// MaxSealed bounds the slots that are sealed at one time. More empties a silo in fewer rounds, and
	// makes more grains wait for one that is slow to finish. Default 256.
	MaxSealed int
}

// Keeper is a silo's side of the view group: it joins, renews the lease, and takes and gives slots. It
// takes Tick, Applied, Heard, Started, Stop and Drained, and returns Ask, Gained, Seal, Serving and Ended.
//
// A slot moves in three steps: the holder seals it, releases it when it is drained, and its target
// serves it from the view on in which the release was logged. Once sealed under a token, a slot is not
// served under that token again: its release may be in the log already.
type Keeper struct {
	cfg   KeeperConfig
	join  Join
	lease *Lease
	hooks hooks

	table     *Table
	member    Member // zero before the run is a member, and after
	ended     bool
	heard     uint64
	started   bool
	stopping  bool
	asked     time.Duration // last Join, Ready, Leave or Left
	asking    Command
	sealed    map[Place]*sealing
	unscanned bool // the table may have rows to seal
	standing  *Standing
}

// sealing is a slot on its way out.
type sealing struct {
	row     Row
	drained bool
	asked   time.Duration // when its release was asked for last; negative: never
}

// NewKeeper returns the machine of a run that is no member yet. Errors say what is wrong with cfg.Member.
func NewKeeper(cfg KeeperConfig) (*Keeper, error) {
	join, err := NewJoin(cfg.Member)
	if err != nil {
		return nil, err
	}
	if cfg.MaxSealed <= 0 {
		cfg.MaxSealed = 256
	}
	cfg.Times = cfg.Times.withDefaults()
	k := &Keeper{cfg: cfg, join: join, lease: NewLease(cfg.Times), table: NewRegistry().Table(), sealed: map[Place]*sealing{}, hooks: switched()}
	k.publish(true)
	return k, nil
}

// Standing returns what the silo may serve after the last Step. It is another one only where something
// changed.
func (k *Keeper) Standing() *Standing { return k.standing }

// Step implements machine.Machine.
func (k *Keeper) Step(now time.Duration, in Input, out []Effect) []Effect {
	if k.ended {
		return out
	}
	resealed := false
	switch in := in.(type) {
	case Applied:
		out, resealed = k.applied(now, in, out)
	case Heard:
		k.heard = max(k.heard, in.Number)
	case Started:
		k.started = true
	case Stop:
		k.stopping = true
	case Drained:
		for _, r := range in.Rows {
			if s := k.sealed[r.Place]; s != nil && s.row.Token == r.Token {
				s.drained = true
			}
		}
	case Tick:
		out = k.tick(now, out)
	}
	if !k.ended {
		var more bool
		out, more = k.seal(out)
		resealed = resealed || more
	}
	k.publish(resealed)
	return out
}

func (k *Keeper) applied(now time.Duration, a Applied, out []Effect) (_ []Effect, resealed bool) {
	for _, r := range a.Renewed {
		if r.Run == k.join.Member.Run {
			k.lease.Granted(now, r.Mark)
		}
	}
	if a.Table == nil || a.Table.Number <= k.table.Number {
		return out, false
	}
	old := k.table
	k.table = a.Table
	m, is := a.Table.Has(k.join.Member.Run)
	if !is {
		if m, known := a.Table.Member(k.join.Member.ID); k.member.seat != 0 || known && m.Incarnation >= k.join.Member.Incarnation {
			return k.end(old, out), true
		}
		return out, false
	}
	was := k.member.State
	k.member, k.unscanned = m, true
	if m.State == Active && was != Active {
		out = append(out, Serving{})
	}
	for place, s := range k.sealed {
		if r, ok := k.table.Row(place); !ok || r.Holder != m.Run || r.Token != s.row.Token {
			delete(k.sealed, place)
			resealed = true
		}
	}
	if gained := k.gained(old); len(gained) > 0 {
		out = append(out, Gained{gained})
	}
	return out, resealed
}

// end ends the run, old being the last view that had it as a member, if one had.
func (k *Keeper) end(old *Table, out []Effect) []Effect {
	held, _ := old.Held(k.join.Member.Run)
	out = append(out, Ended{Removed: k.member.State != Leaving || held > 0})
	k.ended, k.member = true, Member{}
	k.lease.End()
	clear(k.sealed)
	return out
}

// gained lists the rows that the newest view gives this run and old did not.
func (k *Keeper) gained(old *Table) (rows []Row) {
	for _, p := range k.table.pools {
		was := old.kinds[p.kinds[0]] // not by its id: the pool may be a part of one, or made of several
		if was != nil && was.rows == p.rows {
			continue
		}
		for slot := range p.rows {
			r := &p.rows[slot]
			if r.holder == k.member.seat && (was == nil || was.rows[slot].holder != r.holder || was.rows[slot].token != r.token) {
				rows = append(rows, k.table.row(p, slot))
			}
		}
	}
	return rows
}

// seal seals what is to move, up to the bound.
func (k *Keeper) seal(out []Effect) (_ []Effect, sealed bool) {
	if k.member.seat == 0 || !k.unscanned || len(k.sealed) >= k.cfg.MaxSealed {
		return out, false
	}
	var rows []Row
	for _, p := range k.table.pools {
		for slot := range p.rows {
			r := &p.rows[slot]
			if r.holder != k.member.seat || r.target == r.holder || r.target == 0 && k.member.State != Leaving {
				continue
			}
			place := Place{p.id, slot}
			if k.sealed[place] != nil {
				continue
			}
			row := k.table.row(p, slot)
			k.sealed[place] = &sealing{row: row, asked: -1}
			rows = append(rows, row)
			if len(k.sealed) >= k.cfg.MaxSealed {
				return append(out, Seal{rows}), true
			}
		}
	}
	k.unscanned = false
	if len(rows) == 0 {
		return out, false
	}
	return append(out, Seal{rows}), true
}

func (k *Keeper) tick(now time.Duration, out []Effect) []Effect {
	if k.member.seat != 0 {
		if mark, due := k.lease.Due(now); due {
			out = append(out, Ask{Renew{[]Renewal{{k.member.Run, mark}}}})
		}
	}
	if c := k.next(now); c == nil {
		k.asking = nil
	} else if k.asking == nil || k.asking.tag() != c.tag() || now-k.asked >= k.cfg.Times.Retry {
		k.asking, k.asked = c, now
		out = append(out, Ask{c})
	}
	return k.release(now, out)
}

// next is what the silo has to ask for next, if anything.
func (k *Keeper) next(now time.Duration) Command {
	run := k.join.Member.Run
	switch {
	case k.member.seat == 0 && !k.stopping:
		return k.join
	case k.member.seat == 0:
		return nil
	case k.stopping && k.member.State != Leaving:
		return Leave{run}
	case k.member.State == Leaving:
		if held, _ := k.table.Held(run); held == 0 {
			return Left{run}
		}
	case k.member.State == Joining && k.started && k.lease.Valid(now):
		return Ready{run} // it is given slots at once, and can serve them then
	}
	return nil
}

// release asks for the release of what is drained, in one command for each pool.
func (k *Keeper) release(now time.Duration, out []Effect) []Effect {
	var command *Release
	for _, place := range slices.SortedFunc(maps.Keys(k.sealed), Place.compare) {
		s := k.sealed[place]
		if !s.drained || s.asked >= 0 && now-s.asked < k.cfg.Times.Retry {
			continue
		}
		s.asked = now
		if command == nil || command.Pool != place.Pool {
			if command != nil {
				out = append(out, Ask{*command})
			}
			command = &Release{Run: k.member.Run, Pool: place.Pool}
		}
		command.Held = append(command.Held, Held{place.Slot, s.row.Token})
	}
	if command != nil {
		out = append(out, Ask{*command})
	}
	return out
}

// publish makes a new Standing if the one before does not hold any more.
func (k *Keeper) publish(resealed bool) {
	s := k.standing
	if s != nil && !resealed && s.table == k.table && s.until == k.lease.until && s.heard == k.heard && s.seat == k.member.seat {
		return
	}
	next := &Standing{self: k.join.Member.Run, seat: k.member.seat, table: k.table, until: k.lease.until, heard: k.heard, hooks: k.hooks}
	if s != nil && !resealed {
		next.sealed = s.sealed
	} else {
		next.sealed = make(map[Place]uint64, len(k.sealed))
		for place, sealing := range k.sealed {
			next.sealed[place] = sealing.row.Token
		}
	}
	k.standing = next
}
