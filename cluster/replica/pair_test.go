package replica

import (
	"testing"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// pair is two machines that are stepped by hand.
type pair struct {
	t    testing.TB
	now  time.Duration
	a, b *end
}

type end struct {
	p           *pair
	id          machine.NodeID
	incarnation machine.Incarnation
	cfg         Config
	m           *Machine
	effects     []Effect
	failed      []Failed
	look        func(from *end, s Send)
}

func newPair(t testing.TB) *pair { return newPairOf(t, Config{AntiEntropy: -1}) }

func newPairOf(t testing.TB, cfg Config) *pair {
	p := &pair{t: t}
	p.a, p.b = &end{p: p, id: 1, cfg: cfg}, &end{p: p, id: 2, cfg: cfg}
	p.a.restart()
	p.b.restart()
	p.a.step(PeerUp{2, p.b.incarnation})
	p.b.step(PeerUp{1, p.a.incarnation})
	return p
}

func (e *end) restart() {
	e.incarnation++
	e.cfg.Self, e.cfg.Incarnation = e.id, e.incarnation
	if e.cfg.Open == nil {
		e.cfg.Open = func(wire.ID) (Object, error) { return newSet(), nil }
	}
	e.m = New(e.cfg)
	e.effects = nil
}

func (e *end) step(in Input) { e.effects = e.m.Step(e.p.now, in, e.effects) }

func (e *end) take() []Effect {
	all := e.effects
	e.effects = nil
	return all
}

func (e *end) set(k wire.ID) *set {
	e.m.Add(k, newSet())
	return e.m.Object(k).(*set)
}

// exchange carries effects to and fro until there are none, with a tick where there is silence.
func (p *pair) exchange() {
	if !p.exchangeFor(20_000) {
		p.t.Fatal("the exchange does not come to an end")
	}
}

// exchangeFor gives up after so many rounds, and says whether there was silence before.
func (p *pair) exchangeFor(rounds int) bool {
	for quiet := 0; quiet < 100; {
		quiet++
		if rounds--; rounds < 0 {
			return false
		}
		for _, x := range []*end{p.a, p.b} {
			other := p.a
			if x == p.a {
				other = p.b
			}
			for _, e := range x.take() {
				quiet = 0
				switch e := e.(type) {
				case Send:
					if x.look != nil {
						x.look(x, e)
					}
					if e.To == other.id {
						other.step(Received{x.id, x.incarnation, e.Message})
					}
				case Log:
					x.step(Logged{e.Ticket})
				case Failed:
					x.failed = append(x.failed, e)
				}
			}
		}
		if quiet > 0 {
			p.now += 100 * time.Millisecond
			p.a.step(Tick{})
			p.b.step(Tick{})
		}
	}
	return true
}

func (m message) bytes() []byte { return m.encode() }
