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
