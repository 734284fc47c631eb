package view

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// probed is how many members each one probes, and by how many each one is probed.
const probed = 3

// ring lists the living members in an order in which neighbours in name or address are none.
func ring(t *Table) []Member {
	all := t.Living()
	slices.SortFunc(all, func(a, b Member) int {
		return cmp.Or(cmp.Compare(mix(seedOf(a.ID), 2), mix(seedOf(b.ID), 2)), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// neighbours returns those after (step 1) or before (step -1) a run on the ring, the nearest first.
func neighbours(t *Table, of Run, step int) (near []Member) {
	all := ring(t)
	at := slices.IndexFunc(all, func(m Member) bool { return m.Run == of })
	if at < 0 {
		return nil
	}
	for i := 1; i <= min(probed, len(all)-1); i++ {
		near = append(near, all[((at+step*i)%len(all)+len(all))%len(all)])
	}
	return near
}

// Probers are the members that probe a run: those that may vote on it.
func Probers(t *Table, of Run) (by []Run) {
	for _, m := range neighbours(t, of, -1) {
		by = append(by, m.Run)
	}
	return by
}

// ProbeKind says what a Probe is.
type ProbeKind uint8

const (
	Ping ProbeKind = iota + 1 // are you there?
	Ack                       // I am; or: it is, for who asked me to ping it
	Help                      // ping this one for me
	Nack                      // it did not answer me either
)

func (k ProbeKind) String() string {
	switch k {
	case Ping:
		return "ping"
	case Ack:
		return "ack"
	case Help:
		return "help"
	case Nack:
		return "nack"
	}
	return fmt.Sprintf("ProbeKind(%d)", uint8(k))
}

// Probe is a message between two detectors. It may be lost, doubled and delayed.
type Probe struct {
	Kind     ProbeKind
	Seq      uint64 // of the Ping or Help that it is or answers
	From, To Run
	About    Run // whom a Help is about
}

type (
	// Probed is a probe that arrived.
	Probed struct{ Probe Probe }
	// SendProbe is a probe for the member at an address. It must not wait behind anything larger.
	SendProbe struct {
		Addr  string
		Probe Probe
	}
	// Verdict is this silo's vote, for the leader. It is repeated for as long as it stands.
	Verdict struct{ Vote Vote }
)

func (Probed) input()     {}
func (SendProbe) effect() {}
func (Verdict) effect()   {}

// DetectorConfig says how a silo watches others. The zero value of each field but Self is its default.
type DetectorConfig struct {
	Self Run
	// Interval is the time from one probe of a neighbour to the next. Shorter finds a dead one sooner,
	// for as much more traffic. Default 500 ms.
	Interval time.Duration
	// Timeout is how long an answer may take before others are asked to probe: at most two fifths of
	// Interval, so that they, too, have time for it. Default 200 ms.
	Timeout time.Duration
	// Misses is how many probes in a row must fail. A dead silo is found in (Misses + 1) × Interval, one
	// that pauses for less than (Misses − 1) × Interval never. Default 3: in 2 s, and 1 s.
	Misses int
	// Helpers is how many others are asked. Default 3.
	Helpers int
}

func (c DetectorConfig) withDefaults() DetectorConfig {
	if c.Interval <= 0 {
		c.Interval = 500 * time.Millisecond
	}
	if c.Timeout <= 0 {
		c.Timeout = 200 * time.Millisecond
	}
	if c.Misses <= 0 {
		c.Misses = 3
	}
	if c.Helpers <= 0 {
		c.Helpers = 3
	}
	return c
}

// Detector watches three neighbours on a ring of the members, and is watched by three. It takes Tick,
// Applied and Probed, and returns SendProbe and Verdict.
//
// A neighbour that does not answer is probed through others (SWIM; Das, Gupta, Motivala 2002). A silo that
// is slow itself distrusts its own verdicts (Lifeguard; Dadgar, Phillips, Currey 2017): what it measured
// while it stood still does not count, nor a probe to which no helper said a word; each such makes it
// wait longer for everybody, and one that is too often slow does not vote.
type Detector struct {
	cfg  DetectorConfig
	rand *rand.Rand

	last    time.Duration
	table   *Table
	targets []*target
	relays  []relay
	heard   map[Run]time.Duration // when a member was heard of last
	seq     uint64
	slow    int           // 0: as fast as can be
	blamed  time.Duration // when it was found slower last
}

// target is a neighbour that is probed.
type target struct {
	member Member
	next   time.Duration // when the next probe begins
	misses int
	probe  *probe // nil between two probes
}

// probe is one that is on its way.
type probe struct {
	seq    uint64
	began  time.Duration
	asked  int // helpers
	nacks  map[Run]bool
	helped bool // helpers were asked, if there were any
}

// relay is a probe that is made for another silo.
type relay struct {
	seq, theirs uint64
	by          Member
	about       Run
	until       time.Duration
}

const (
	slowest   = 8
	distrust  = 4 // from here on a silo does not vote
	maxRelays = 256
)

// NewDetector returns the machine of a silo that knows no view yet.
func NewDetector(cfg DetectorConfig, rnd *rand.Rand) *Detector {
	return &Detector{cfg: cfg.withDefaults(), rand: rnd, table: NewRegistry().Table(), heard: map[Run]time.Duration{}}
}

// Slow says how slow the silo thinks itself, 0 to 8: its time-outs are that many times longer, and one.
func (d *Detector) Slow() int { return d.slow }

// Step implements machine.Machine.
func (d *Detector) Step(now time.Duration, in Input, out []Effect) []Effect {
	switch in := in.(type) {
	case Applied:
		d.applied(now, in.Table)
	case Probed:
		out = d.received(now, in.Probe, out)
	case Tick:
		if d.last > 0 && now-d.last > d.cfg.Interval/2 {
			d.stalled(now)
		}
		d.last = now
		for _, t := range d.targets {
			out = d.watch(now, t, out)
		}
		out = d.relayed(now, out)
	}
	return out
}

// applied watches the neighbours of a new view, and goes on with those of the old that it still has.
func (d *Detector) applied(now time.Duration, t *Table) {
	if t == nil || t.Number <= d.table.Number {
		return
	}
	d.table = t
	maps.DeleteFunc(d.heard, func(r Run, _ time.Duration) bool {
		_, is := t.Has(r)
		return !is
	})
	old := d.targets
	d.targets = nil
	for i, m := range neighbours(t, d.cfg.Self, 1) {
		known := slices.IndexFunc(old, func(t *target) bool { return t.member.Run == m.Run })
		if known >= 0 {
			old[known].member = m
			d.targets = append(d.targets, old[known])
			continue
		}
		// They are not all probed in the same moment.
		d.targets = append(d.targets, &target{member: m, next: now + d.cfg.Interval*time.Duration(i+1)/probed})
	}
}

// stalled forgets what was measured while this silo stood still.
func (d *Detector) stalled(now time.Duration) {
	d.slower(now)
	for _, t := range d.targets {
		if t.probe != nil {
			t.probe, t.next = nil, now
		}
	}
	d.relays = nil
}

// slower is called for each sign that this silo is slow; those of one interval have one cause.
func (d *Detector) slower(now time.Duration) {
	if d.slow == 0 || now-d.blamed >= d.cfg.Interval {
		d.slow, d.blamed = min(d.slow+1, slowest), now
	}
}

func (d *Detector) faster() { d.slow = max(d.slow-1, 0) }

func (d *Detector) scaled(t time.Duration) time.Duration { return t * time.Duration(1+d.slow) }

func (d *Detector) watch(now time.Duration, t *target, out []Effect) []Effect {
	p := t.probe
	switch {
	case p == nil && now >= t.next:
		d.seq++
		t.probe = &probe{seq: d.seq, began: now, nacks: map[Run]bool{}}
		return d.send(out, t.member, Probe{Kind: Ping, Seq: d.seq})
	case p != nil && now-p.began >= d.scaled(d.cfg.Interval):
		out = d.missed(now, t, out)
		t.probe, t.next = nil, now
		return d.watch(now, t, out)
	case p != nil && !p.helped && now-p.began >= d.scaled(d.cfg.Timeout):
		p.helped = true
		for _, h := range d.helpers(t) {
			p.asked++
			out = d.send(out, h, Probe{Kind: Help, Seq: p.seq, About: t.member.Run})
		}
	}
	return out
}

// helpers picks members that may reach the target: those that this silo has heard of last, because where
// several have died at once the dead would only seem to say that it is slow itself.
func (d *Detector) helpers(of *target) []Member {
	all := slices.DeleteFunc(ring(d.table), func(m Member) bool { return m.Run == d.cfg.Self || m.Run == of.member.Run })
	d.rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.SortStableFunc(all, func(a, b Member) int { return cmp.Compare(d.heard[b.Run], d.heard[a.Run]) })
	return all[:min(len(all), d.cfg.Helpers)]
}

// missed judges a probe that nobody has answered with an Ack.
func (d *Detector) missed(now time.Duration, t *target, out []Effect) []Effect {
	p := t.probe
	switch {
	case len(p.nacks) < p.asked:
		d.slower(now)
		if len(p.nacks) == 0 {
			return out // nobody answers: it may well be me
		}
	case p.asked > 0: // all others were quick to say that they do not reach it either
		d.faster()
	}
	t.misses++
	if t.misses >= d.cfg.Misses && d.slow < distrust {
		out = append(out, Verdict{Vote{By: d.cfg.Self, About: t.member.Run, Dead: true}})
	}
	return out
}

func (d *Detector) received(now time.Duration, p Probe, out []Effect) []Effect {
	from, ok := d.table.Has(p.From)
	if !ok || p.To != d.cfg.Self {
		return out
	}
	d.heard[p.From] = now
	switch p.Kind {
	case Ping:
		return d.send(out, from, Probe{Kind: Ack, Seq: p.Seq, About: d.cfg.Self})
	case Help:
		about, ok := d.table.Has(p.About)
		if !ok || len(d.relays) == maxRelays {
			return out
		}
		d.seq++
		d.relays = append(d.relays, relay{d.seq, p.Seq, from, p.About, now + d.cfg.Timeout})
		return d.send(out, about, Probe{Kind: Ping, Seq: d.seq})
	case Ack:
		return d.acked(now, p, out)
	case Nack:
		for _, t := range d.targets {
			if t.probe != nil && t.probe.seq == p.Seq && t.probe.helped {
				t.probe.nacks[p.From] = true
			}
		}
	}
	return out
}

func (d *Detector) acked(now time.Duration, p Probe, out []Effect) []Effect {
	for i, r := range d.relays {
		if r.seq == p.Seq && r.about == p.About && p.From == p.About {
			d.relays = slices.Delete(d.relays, i, i+1)
			return d.send(out, r.by, Probe{Kind: Ack, Seq: r.theirs, About: r.about})
		}
	}
	for _, t := range d.targets {
		if t.probe == nil || t.probe.seq != p.Seq || t.member.Run != p.About {
			continue
		}
		if t.misses >= d.cfg.Misses {
			out = append(out, Verdict{Vote{By: d.cfg.Self, About: t.member.Run}})
		}
		t.next = t.probe.began + d.scaled(d.cfg.Interval)
		t.misses, t.probe = 0, nil
		d.faster()
	}
	return out
}

// relayed tells those who asked that the member did not answer here either.
func (d *Detector) relayed(now time.Duration, out []Effect) []Effect {
	d.relays = slices.DeleteFunc(d.relays, func(r relay) bool {
		if now >= r.until {
			out = d.send(out, r.by, Probe{Kind: Nack, Seq: r.theirs, About: r.about})
		}
		return now >= r.until
	})
	return out
}

func (d *Detector) send(out []Effect, to Member, p Probe) []Effect {
	p.From, p.To = d.cfg.Self, to.Run
	return append(out, SendProbe{to.Addr, p})
}
