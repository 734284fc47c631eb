package view

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

type (
	// Asked is a command that a silo sent by an Ask. The host has made sure that it is that silo's: that
	// the run in it is who sent it. What only a leader decides is not taken from anybody.
	Asked struct{ Command Command }
	// Vote is what one member thinks of another: a Verdict of its Detector.
	Vote struct {
		By, About Run
		Dead      bool
	}
	// Expel says that somebody in charge wants a run removed: it is granted no lease any more, and goes
	// when the one that it has cannot run any longer. (A silo that can be reached is better told to Stop.)
	Expel struct{ Run Run }
)

func (Asked) input() {}
func (Vote) input()  {}
func (Expel) input() {}

// Propose is one entry for the log. It may fail, or its outcome stay in doubt: the machine proposes again
// what is still missing. An entry that comes into the log late, even in a later term, does no harm.
type Propose struct{ Commands []Command }

func (Propose) effect() {}

// LeadConfig says how a leader decides.
type LeadConfig struct {
	Times Times
	// Votes is how many of those that probe a member must have found it dead, where there are as many to
	// vote. Default 2.
	Votes int
	// Fresh is how long a vote counts. Default 2 s, four probes.
	Fresh time.Duration
}

// Lead is the leader's side of the view group, during one term: it gathers renewals into entries, counts
// votes, and removes who is dead. It takes Tick, Asked, Vote, Expel and Applied, and
// returns Propose.
//
// A member that most who probe it think dead is granted nothing any more, and is removed when 1.1 leases
// have passed since its last renewal was applied here; so is one whose probers are all as silent as it is.
// One that does not renew although nobody thinks it dead is removed when two leases have passed. Time in which the leader itself stood still does not count. A removal names
// the last renewal that its decision knew of, and is void if the log has a later one: so a removal that
// a deposed leader left behind harms nobody.
type Lead struct {
	cfg   LeadConfig
	hooks hooks

	now, last time.Duration // of its own time, which stalls do not count in; and of the host's clock
	table     *Table
	runs      map[Run]*reckoning
	batched   time.Duration // last entry of renewals
}

// reckoning is what a leader knows of a member.
type reckoning struct {
	mark    uint64
	renewed time.Duration // when its last renewal was applied, or its silence began to count
	asks    uint64        // the mark that it asks with; 0: none waits
	over    bool          // a later run of its store wants to join, or it is to be expelled
	votes   map[Run]time.Duration
	removal time.Duration // when its removal was proposed last; negative: never
}

// NewLead returns the machine of a leader whose first barrier is complete at now: a is what its registry
// holds (see [Registry.Current]). Every member counts as renewed in this moment, because nobody could
// renew while there was no leader.
func NewLead(cfg LeadConfig, now time.Duration, a Applied) *Lead {
	cfg.Times = cfg.Times.withDefaults()
	if cfg.Votes <= 0 {
		cfg.Votes = 2
	}
	if cfg.Fresh <= 0 {
		cfg.Fresh = 2 * time.Second
	}
	l := &Lead{cfg: cfg, hooks: switched(), last: now, runs: map[Run]*reckoning{}, batched: -cfg.Times.Batch}
	l.applied(a)
	return l
}

// Step implements machine.Machine.
func (l *Lead) Step(now time.Duration, in Input, out []Effect) []Effect {
	passed := now - l.last
	if !l.hooks.stallsCount {
		passed = min(passed, l.cfg.Times.Stall)
	}
	l.now += passed
	l.last = now
	switch in := in.(type) {
	case Applied:
		l.applied(in)
	case Asked:
		out = l.asked(in.Command, out)
	case Vote:
		l.vote(in)
	case Expel:
		if k := l.runs[in.Run]; k != nil {
			k.over = true
		}
	case Tick:
		out = l.remove(l.batch(out))
	}
	return out
}

func (l *Lead) applied(a Applied) {
	if a.Table != l.table {
		l.table = a.Table
		for _, m := range a.Table.Members {
			if m.Alive() && l.runs[m.Run] == nil {
				l.runs[m.Run] = &reckoning{renewed: l.now, removal: -1, votes: map[Run]time.Duration{}}
			}
		}
		maps.DeleteFunc(l.runs, func(r Run, _ *reckoning) bool {
			_, is := a.Table.Has(r)
			return !is
		})
	}
	for _, r := range a.Renewed {
		if k := l.runs[r.Run]; k != nil {
			k.mark, k.renewed = r.Mark, l.now
		}
	}
}

func (l *Lead) asked(c Command, out []Effect) []Effect {
	switch c := c.(type) {
	case Renew:
		for _, r := range c.Renewals {
			if k := l.runs[r.Run]; k != nil && r.Mark > k.mark {
				k.asks = max(k.asks, r.Mark)
			}
		}
		return l.batch(out)
	case Join:
		if m, known := l.table.Member(c.Member.ID); known && m.Alive() && m.Incarnation < c.Member.Incarnation {
			l.runs[m.Run].over = true // its next run has the store: it asks again when this one is removed
			return out
		}
	}
	switch c.(type) {
	case Join, Ready, Leave, Left, Release:
		out = append(out, Propose{[]Command{c}})
	}
	return out
}

// batch makes one entry of all renewals that wait, if it is time for one.
func (l *Lead) batch(out []Effect) []Effect {
	if l.now-l.batched < l.cfg.Times.Batch {
		return out
	}
	var renew Renew
	for _, r := range l.order() {
		k := l.runs[r]
		if k.asks > k.mark && !l.condemned(r) {
			renew.Renewals = append(renew.Renewals, Renewal{r, k.asks})
		}
		k.asks = 0 // what gets lost is asked for again
	}
	if len(renew.Renewals) == 0 {
		return out
	}
	l.batched = l.now
	return append(out, Propose{[]Command{renew}})
}

func (l *Lead) order() []Run { return slices.SortedFunc(maps.Keys(l.runs), Run.compare) }

func (l *Lead) vote(v Vote) {
	k := l.runs[v.About]
	if k == nil || l.runs[v.By] == nil || v.By == v.About {
		return
	}
	if v.Dead {
		k.votes[v.By] = l.now
	} else {
		delete(k.votes, v.By)
	}
}

// condemned says whether a run is granted no lease any more: it is over, or enough of those that probe it
// have found it dead.
func (l *Lead) condemned(r Run) bool {
	k := l.runs[r]
	if k.over {
		return true
	}
	votes := 0
	for by, at := range k.votes {
		if l.runs[by] != nil && l.now-at < l.cfg.Fresh {
			votes++
		}
	}
	if votes == 0 {
		return false
	}
	return votes >= min(l.cfg.Votes, l.voters(r))
}

// voters counts who could vote on a run: those that probe it and are not silent themselves.
func (l *Lead) voters(r Run) (n int) {
	for _, by := range Probers(l.table, r) {
		if l.heard(by) {
			n++
		}
	}
	return n
}

func (l *Lead) heard(r Run) bool {
	k := l.runs[r]
	return k != nil && l.now-k.renewed < l.cfg.Times.Lease/2
}

// unseen says that nobody can vote on a run, because all that probe it are silent, too, and that it is not
// the leader who is deaf: most members renew.
func (l *Lead) unseen(r Run) bool {
	heard := 0
	for other := range l.runs {
		if l.heard(other) {
			heard++
		}
	}
	return heard > len(l.runs)/2 && l.voters(r) == 0
}

// remove proposes the removal of those whose time is over.
func (l *Lead) remove(out []Effect) []Effect {
	t := l.cfg.Times
	for _, r := range l.order() {
		k := l.runs[r]
		if k.removal >= 0 && l.now-k.removal < t.Retry {
			continue
		}
		if !l.hooks.noWait && l.now-k.renewed < t.Wait() || l.now-k.renewed < 2*t.Renew {
			continue
		}
		if l.now-k.renewed < 2*t.Lease && !l.condemned(r) && !l.unseen(r) && !l.hooks.noWait {
			continue
		}
		k.removal = l.now
		mark := k.mark
		out = append(out, Propose{[]Command{Remove{r, mark}}})
	}
	return out
}

// Suspect is a member that somebody thinks dead, for people and tools.
type Suspect struct {
	Run   Run
	Votes int
	// Silent is how long ago its last renewal was applied, by the leader's reckoning.
	Silent time.Duration
	// Condemned says that it is granted no lease any more.
	Condemned bool
}

// Suspects lists who has votes against it or is silent for longer than half a lease, the most silent first.
func (l *Lead) Suspects() (all []Suspect) {
	for _, r := range l.order() {
		k := l.runs[r]
		s := Suspect{Run: r, Silent: l.now - k.renewed, Condemned: l.condemned(r)}
		for _, at := range k.votes {
			if l.now-at < l.cfg.Fresh {
				s.Votes++
			}
		}
		if s.Votes > 0 || s.Condemned || s.Silent > l.cfg.Times.Lease/2 {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b Suspect) int { return cmp.Compare(b.Silent, a.Silent) })
	return all
}
