package crdttest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
)

// leaky is a GCounter that makes one mistake: what it hands out is itself where it can be.
type leaky struct {
	inner   *crdt.GCounter
	mistake *mistake
}

// mistake says where a leaky counter shares.
type mistake struct{ novelty, delta bool }

func (c *leaky) counter() *crdt.GCounter {
	if c == nil {
		return nil
	}
	return c.inner
}

// told returns inner, or the counter itself where that is equal and the mistake is made.
func (c *leaky) told(inner *crdt.GCounter, share bool) *leaky {
	switch {
	case inner.IsEmpty():
		return nil
	case share && inner.Equal(c.inner):
		return &leaky{c.inner, c.mistake}
	}
	return &leaky{inner, c.mistake}
}

func (c *leaky) Add(a crdt.Actor, n uint64) *leaky {
	return c.told(c.inner.Add(a, n), c.mistake.delta)
}

func (c *leaky) Join(d *leaky) *leaky {
	return c.told(c.inner.Join(d.counter()), c.mistake.novelty)
}

func (c *leaky) Since(digest []byte) (*leaky, error) {
	if c == nil {
		return nil, nil
	}
	lacking, err := c.inner.Since(digest)
	return c.told(lacking, false), err
}

func (c *leaky) Clone() *leaky {
	if c == nil {
		return &leaky{crdt.NewGCounter(), &mistake{}}
	}
	return &leaky{c.inner.Clone(), c.mistake}
}

func (c *leaky) Parts() []*leaky {
	var parts []*leaky
	for _, p := range c.counter().Parts() {
		parts = append(parts, &leaky{p, c.mistake})
	}
	return parts
}

func (c *leaky) LessOrEqual(o *leaky) bool { return c.counter().LessOrEqual(o.counter()) }
func (c *leaky) Equal(o *leaky) bool       { return c.counter().Equal(o.counter()) }
func (c *leaky) IsEmpty() bool             { return c.counter().IsEmpty() }
func (c *leaky) Size() int                 { return c.counter().Size() }
func (c *leaky) Hash() uint64              { return c.counter().Hash() }
func (c *leaky) Digest() []byte            { return c.counter().Digest() }
func (c *leaky) String() string            { return c.counter().String() }

func leakySubject(m *mistake) Subject[*leaky] {
	return Subject[*leaky]{
		New: func() *leaky { return &leaky{crdt.NewGCounter(), m} },
		Begin: func() func(*rapid.T, int, *leaky) *leaky {
			return func(t *rapid.T, replica int, c *leaky) *leaky {
				return c.Add(crdt.Actor(replica+1), rapid.Uint64Range(0, 3).Draw(t, "n"))
			}
		},
		Append: func(b []byte, c *leaky) []byte { return c.counter().Append(b) },
		Decode: func(b []byte) (*leaky, error) {
			c, err := crdt.DecodeGCounter(b)
			return &leaky{c, m}, err
		},
	}
}

// A novelty or a delta that is the state changes with it, and says later what it did not say when it was sent.
func TestLawsFindWhatShares(t *testing.T) {
	t.Parallel()
	t.Run("nothing", func(t *testing.T) { t.Parallel(); Laws(t, leakySubject(&mistake{})) })
	found := func(m mistake, in func(s Subject[*leaky], t *rapid.T, h history[*leaky]) string) int {
		n, s := 0, leakySubject(&m)
		rapid.Check(t, func(t *rapid.T) {
			if in(s, t, s.run(t)) != "" {
				n++
			}
		})
		return n
	}
	inHistory := func(_ Subject[*leaky], _ *rapid.T, h history[*leaky]) string { return h.shared }
	inJoin := func(m mistake) string {
		s := leakySubject(&m)
		b, c := s.New(), s.New()
		b.Add(1, 1)
		c.Add(1, 2)
		return s.sharing(s.New(), b, c)
	}
	require.Contains(t, inJoin(mistake{novelty: true}), "a novelty shares")
	require.Empty(t, inJoin(mistake{}))
	require.Positive(t, found(mistake{delta: true}, inHistory), "deltas in histories")
	require.Zero(t, found(mistake{}, inHistory))
}

func TestLawsSayWhatTheSubjectLacks(t *testing.T) {
	t.Parallel()
	whole := leakySubject(&mistake{})
	require.Empty(t, whole.missing())
	for name, without := range map[string]func(*Subject[*leaky]){
		"New":    func(s *Subject[*leaky]) { s.New = nil },
		"Begin":  func(s *Subject[*leaky]) { s.Begin = nil },
		"Append": func(s *Subject[*leaky]) { s.Append = nil },
		"Decode": func(s *Subject[*leaky]) { s.Decode = nil },
	} {
		s := whole
		without(&s)
		require.Contains(t, s.missing(), "Subject."+name+" is nil")
	}
}

func TestLawsOfNothingFail(t *testing.T) {
	t.Parallel()
	s := leakySubject(&mistake{})
	s.Begin = func() func(*rapid.T, int, *leaky) *leaky {
		return func(*rapid.T, int, *leaky) *leaky { return nil }
	}
	var n effort
	idle := s.counted(&n)
	rapid.Check(t, func(t *rapid.T) { idle.run(t) })
	require.GreaterOrEqual(t, n.tried, enoughTries)
	require.Contains(t, n.idle(), "changed anything")

	n = effort{}
	busy := leakySubject(&mistake{}).counted(&n)
	rapid.Check(t, func(t *rapid.T) { busy.run(t) })
	require.Empty(t, n.idle())
	require.Empty(t, effort{tried: enoughTries - 1}.idle(), "too few to tell")
}
