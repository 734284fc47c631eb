package host

import (
	"context"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// presence is which attempts of blocks have been at which activations of this silo, and what they did
// there, until their outcome is known.
type presence struct {
	mu       sync.Mutex
	attempts map[commit.Attempt]*attempt
}

type attempt struct {
	coordinator string
	visits      []*visit
	submitted   bool
	wounded     bool      // an older block needs what it holds here
	news        time.Time // when something was heard of it last
	unheard     time.Time // since when its coordinator could not be asked; zero if it could the last time
}

// visit is what one attempt did at one activation.
type visit struct {
	at     *activation
	record commit.Record
}

// expect notes an attempt that may be wounded here though it has visited no grain.
func (p *presence) expect(a commit.Attempt, coordinator string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.get(a, coordinator)
}

func (p *presence) get(a commit.Attempt, coordinator string) *attempt {
	at := p.attempts[a]
	if at == nil {
		at = &attempt{coordinator: coordinator, news: time.Now()}
		p.attempts[a] = at
	}
	return at
}

// join notes that an attempt is about to run at an activation, or to wait for it.
func (p *presence) join(a commit.Attempt, coordinator string, at *activation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.visit(p.get(a, coordinator), at)
}

func (p *presence) visit(t *attempt, at *activation) *visit {
	t.news, t.unheard = time.Now(), time.Time{}
	for _, v := range t.visits {
		if v.at == at {
			return v
		}
	}
	v := &visit{at: at, record: commit.Record{Participant: commit.Participant{Node: at.host.Addr, Grain: at.id(), Activation: at.number}}}
	t.visits = append(t.visits, v)
	return v
}

// change changes the record of an attempt that is here; one that has ended meanwhile is left alone.
func (p *presence) change(a commit.Attempt, at *activation, do func(*commit.Record)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.attempts[a]; t != nil {
		v := p.visit(t, at)
		v.record.Revision++
		do(&v.record)
	}
}

func (p *presence) read(a commit.Attempt, at *activation, r commit.Read) {
	p.change(a, at, func(rec *commit.Record) {
		for _, had := range rec.Reads {
			if had.Key == r.Key {
				return
			}
		}
		rec.Reads = append(rec.Reads[:len(rec.Reads):len(rec.Reads)], r)
	})
}

func (p *presence) wrote(a commit.Attempt, at *activation, w commit.Write) {
	p.change(a, at, func(rec *commit.Record) {
		writes := append([]commit.Write(nil), rec.Writes...) // records that were passed on are not changed
		for i := range writes {
			if writes[i].Key == w.Key {
				writes[i] = w
				rec.Writes = writes
				return
			}
		}
		rec.Writes = append(writes, w)
	})
}

func (p *presence) operated(a commit.Attempt, at *activation, o commit.Operation) {
	p.change(a, at, func(rec *commit.Record) { rec.Ops = append(rec.Ops[:len(rec.Ops):len(rec.Ops)], o) })
}

// record returns what the attempt did at the activation so far.
func (p *presence) record(a commit.Attempt, at *activation) (commit.Record, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.attempts[a]; t != nil {
		for _, v := range t.visits {
			if v.at == at {
				return v.record, true
			}
		}
	}
	return commit.Record{}, false
}

// wounded notes that an attempt is to be stopped, and returns the address of its coordinator.
func (p *presence) wounded(a commit.Attempt) (coordinator string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.attempts[a]
	if t == nil {
		return "", false
	}
	t.wounded = true
	return t.coordinator, true
}

// Coordinates says whether the coordinator of an attempt that is here is at addr.
func (h *Host) Coordinates(addr string, a commit.Attempt) bool {
	p := &h.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.attempts[a]
	return t != nil && t.coordinator == addr
}

// Tell takes a coordinator's notice about an attempt, as often as it comes.
func (h *Host) Tell(n link.Notice) {
	p := &h.presence
	p.mu.Lock()
	t := p.attempts[n.Attempt]
	if t == nil {
		p.mu.Unlock()
		return
	}
	t.news, t.unheard = time.Now(), time.Time{}
	switch n.Kind {
	case link.NoticeSubmitted:
		if t.submitted {
			p.mu.Unlock()
			return
		}
		t.submitted = true
	case link.NoticeCommitted, link.NoticeAborted, link.NoticeLost:
		delete(p.attempts, n.Attempt)
	default:
		p.mu.Unlock()
		return
	}
	visits := t.visits
	p.mu.Unlock()
	for _, v := range visits {
		v.at.tell(n)
	}
}

// ask looks after attempts of which nothing is heard: a notice may have been lost, or the coordinator
// may be gone. It never ends an attempt that its coordinator knows to run.
func (h *Host) ask() {
	tick := time.NewTicker(h.AskAfter / 2)
	defer tick.Stop()
	for {
		select {
		case <-h.life.Done():
			return
		case <-tick.C:
		}
		silent, wounded := h.presence.overdue(time.Now().Add(-h.AskAfter))
		for a, coordinator := range wounded {
			if !h.faults.forgetWounds {
				h.Blocks.Wound(coordinator, a)
			}
		}
		for a, coordinator := range silent {
			h.leaving.Go(func() { h.askAbout(a, coordinator) })
		}
	}
}

// overdue returns the attempts of which nothing was heard since that time, and those that were wounded and
// are still here: the notice may have been lost. Each comes with the address of its coordinator.
func (p *presence) overdue(since time.Time) (silent, wounded map[commit.Attempt]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	silent, wounded = map[commit.Attempt]string{}, map[commit.Attempt]string{}
	for a, t := range p.attempts {
		if t.wounded {
			wounded[a] = t.coordinator
		}
		if t.news.Before(since) {
			t.news = time.Now() // asked next after another while
			silent[a] = t.coordinator
		}
	}
	return silent, wounded
}

// askAbout asks an attempt's coordinator how far it is. Who does not answer may live: a connection is lost at any
// time, and the attempt's function may be at work.
func (h *Host) askAbout(a commit.Attempt, coordinator string) {
	ctx, cancel := context.WithTimeout(h.life, 4*h.AskAfter)
	defer cancel()
	n, err := h.Blocks.Ask(ctx, coordinator, a)
	switch {
	case err != nil && h.life.Err() == nil && h.isGone(a, coordinator), h.faults.breakSilent:
		// No coordinator: it will submit nothing any more. What it had submitted shows in the ledger.
		h.Tell(link.Notice{Kind: link.NoticeLost, Attempt: a})
	case err == nil:
		h.Tell(n)
	}
}

// isGone says whether the coordinator of an attempt, which could not be asked just now, is no more: the run of a
// silo when the newest view has it as dead (another run at its address answers for itself), a client, which no
// view tells of, when it could not be asked for longer than a block takes.
func (h *Host) isGone(a commit.Attempt, coordinator string) bool {
	unheard := h.presence.notHeard(a)
	if h.faults.breakUnheard {
		return true
	}
	if t := h.Views.Current(); t != nil {
		if m, silo := t.At(coordinator); silo {
			return !m.Alive()
		}
	}
	return unheard > h.Silence
}

// notHeard notes that the coordinator of an attempt could not be asked, and says for how long that is so.
func (p *presence) notHeard(a commit.Attempt) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.attempts[a]
	if t == nil {
		return 0
	}
	if t.unheard.IsZero() {
		t.unheard = time.Now()
	}
	return time.Since(t.unheard)
}
