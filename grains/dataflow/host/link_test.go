package host

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt/flow"
)

// picky is a sink that refuses some changes.
type picky struct {
	*follower
	refuse bool
}

func (p *picky) change(c *change) error {
	if p.refuse {
		p.refuse = false
		return errors.New("as asked")
	}
	return p.follower.change(c)
}

// After a change that could not be applied nothing but a whole snapshot will do: what is held is not what
// the number says.
func TestRefusedChangeIsFollowedByASnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	n := w.at(0)
	extraNode := w.kinds["extra"].Node()
	sink := &picky{follower: &follower{
		ready: make(chan struct{}), changed: func() {}, copy: extraNode.Materialize(), watchers: map[*watcher]struct{}{},
	}}
	l := n.host.open(n.host.life, "extra", sink)
	<-sink.ready
	holds := func(want int) func() error {
		return func() (err error) {
			sink.Use(func(v any) {
				m := v.(*flow.Materialized[string])
				if m.Len() != want {
					err = fmt.Errorf("%d elements, not %d", m.Len(), want)
				}
				for e := range m.All() {
					require.EqualValues(t, 1, m.Weight(e), "applied twice")
				}
			})
			return err
		}
	}
	for i := range 10 {
		require.NoError(t, extra.On(n.place()).Add(t.Context(), fmt.Sprint(i)))
		eventually(t, holds(i+1))
		l.mu.Lock()
		sink.refuse = i%2 == 0
		l.mu.Unlock()
	}
}

// Whoever follows a view knows all that a change of it has to say: from whom it comes decides.
func TestClientsFeedNoView(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	h := w.at(0).host
	sink := &follower{ready: make(chan struct{}), changed: func() {}, copy: w.kinds["extra"].Node().Materialize(), watchers: map[*watcher]struct{}{}}
	l := h.open(h.life, "extra", sink)
	<-sink.ready
	seq := func() uint64 {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.rx.seq
	}
	l.mu.Lock()
	forged := message{Type: tellChange, Node: "extra", Subscription: l.id, Incarnation: l.rx.incarnation, From: l.rx.seq, To: l.rx.seq + 1, Last: true}
	l.mu.Unlock()
	h.ServeClientNotify("a client", forged.append(nil))
	require.Equal(t, forged.From, seq(), "it is not believed")
	unknown := message{Type: tellUnknown, Node: "extra", Subscription: l.id}
	h.ServeClientNotify("a client", unknown.append(nil))
	require.False(t, l.gap.Load(), "nor that the view is gone")
	h.ServeNotify("a silo", forged.append(nil))
	require.Equal(t, forged.To, seq(), "a silo is")
}
