package host

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/crdt/flow"
)

func batchOf(items ...flow.Weighted[string]) []byte { return flow.AppendBatch(nil, items, opaque) }

// twoInputs is a station of the union of names and extra, without links.
func twoInputs(t *testing.T) *station {
	graph, err := compile(kinds())
	require.NoError(t, err)
	op, err := graph.New("both")
	require.NoError(t, err)
	s := &station{
		host: &Host{Follower: &Follower{log: quiet()}, stations: map[string]*station{}, broken: map[string]time.Time{}},
		node: op.Node(), op: op, ready: make(chan struct{}), failed: make(chan struct{}), end: func() {},
		out: publisher{
			node: "both", incarnation: 3, limit: 1 << 16, timing: quick, send: func(string, []byte) {},
			subscribers: map[subscriber]time.Time{}, snapshots: map[uint64]*snapshot{},
		},
	}
	for range 2 {
		s.ports = append(s.ports, port{link: &link{kick: make(chan struct{}, 1)}})
	}
	return s
}

func (s *station) elements(t *testing.T) []string {
	v := flow.NewMaterialized(text)
	_, _, err := v.Reset(slices.Collect(s.snapshot(0)))
	require.NoError(t, err)
	return slices.Sorted(v.All())
}

// An operator begins, and begins again, with the snapshots of all its inputs and what has changed since;
// meanwhile it goes on with those that are whole.
func TestStationAwaitsAllInputs(t *testing.T) {
	t.Parallel()
	s := twoInputs(t)
	at := func(n uint64) frontiers { return frontiers{"extra": {Ingress: 1, Number: n}} }
	one := func(e string) []byte { return batchOf(flow.Weighted[string]{Elem: e, Weight: 1}) }
	gone := func(e string) []byte { return batchOf(flow.Weighted[string]{Elem: e, Weight: -1}) }

	require.NoError(t, in{s, 0}.replace([][]byte{one("a")}, at(1), false))
	require.NoError(t, in{s, 0}.change(&change{batch: one("b"), frontier: at(2)}))
	require.False(t, in{s, 0}.wanted())
	require.True(t, in{s, 1}.wanted(), "the other's is awaited")
	select {
	case <-s.ready:
		require.Fail(t, "an output without one of the inputs")
	default:
	}
	require.NoError(t, in{s, 1}.replace(nil, at(7), false))
	require.Equal(t, []string{"a", "b"}, s.elements(t))
	require.Equal(t, at(2), s.out.frontier)

	// The first input begins again, without b.
	require.NoError(t, in{s, 0}.replace([][]byte{one("a")}, at(9), true))
	require.NoError(t, in{s, 0}.change(&change{batch: one("c"), frontier: at(10)}))
	require.NoError(t, in{s, 1}.change(&change{batch: one("d"), frontier: at(8)}))
	require.Equal(t, []string{"a", "b", "d"}, s.elements(t), "what there was stays readable, and the other input goes on")
	require.Equal(t, at(2), s.out.frontier, "nothing is claimed that is not there")
	require.NoError(t, in{s, 1}.replace([][]byte{one("d")}, at(12), false))
	require.Equal(t, []string{"a", "c", "d"}, s.elements(t))
	require.Equal(t, at(10), s.out.frontier)
	last := s.out.recent[len(s.out.recent)-1]
	require.True(t, last.reset, "readers are told that an input began again")

	require.NoError(t, in{s, 0}.change(&change{batch: gone("a"), frontier: at(11)}))
	require.Equal(t, []string{"c", "d"}, s.elements(t))
	require.Error(t, in{s, 0}.change(&change{batch: []byte("garbage")}))
	require.Equal(t, []string{"c", "d"}, s.elements(t))

	// What is gathered is bounded.
	require.NoError(t, in{s, 0}.replace(nil, at(13), false))
	s.ports[0].pending.bytes = maxPendingBytes
	require.ErrorIs(t, in{s, 0}.change(&change{batch: one("e"), frontier: at(14)}), errAgain)
	require.False(t, in{s, 1}.wanted())
}

// A change of the view is acted on at once, not when the old owner has been silent for long.
func TestMovesAreNoticedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, 1)
	w.times.silence = time.Hour
	w.times.request = time.Hour
	for _, addr := range []string{"a", "b"} {
		s := view.Member{Run: view.Run{ID: view.SiloID(addr), Incarnation: 1}, Addr: addr}
		w.view = append(w.view, s)
	}
	w.setView()
	for _, s := range w.view {
		w.add(s)
	}
	client := w.addClient("client")
	m := model{"u": {"a": true}}
	require.NoError(t, favorites.At(w.at(0).place(), "u").Add(t.Context(), "a"))
	m.check(t, client)
	for i := range 2 {
		w.kill(i)
		m["u"][string(rune('x'+i))] = true
		require.NoError(t, favorites.At(w.at(1-i).place(), "u").Add(t.Context(), string(rune('x'+i))))
		m.check(t, client)
		w.restart(i)
		m.check(t, client)
	}
}
