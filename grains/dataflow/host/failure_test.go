package host

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/dataflow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Silos die and come back, one after the other; readers keep what they have, and come to the truth.
func TestOwnersDieAndReadersGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 5)
	w.loss = 0.05
	client := w.addClient("client")
	m, rng := model{}, rand.New(rand.NewPCG(5, 4))
	for range 40 {
		m.step(t, w, rng, w.at(rng.IntN(3)))
	}
	m.check(t, client)
	for i := range 3 {
		before := m.likes()
		w.kill(i)
		n, err := dataflow.On(client.place(), likes).Len(t.Context())
		require.NoError(t, err)
		require.Len(t, before, n, "a reader keeps its copy")
		for range 20 {
			m.step(t, w, rng, w.at((i+1)%3))
		}
		m.check(t, client)
		m.check(t, w.at((i+1)%3))
		w.restart(i)
		for range 20 {
			m.step(t, w, rng, w.at(rng.IntN(3)))
		}
		m.check(t, client)
		m.check(t, w.at(i))
	}
}

// What watchers are told adds up to the view, in spite of losses and restarts, also for one that is slow.
func TestWatchersMissNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 6)
	w.loss = 0.05
	client := w.addClient("client")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	gate := make(chan struct{})
	watch := func(slow bool) chan map[liked]int {
		states := make(chan map[liked]int, 1) // one: the newest
		go func() {
			held := map[liked]int{}
			for c, err := range dataflow.On(client.place(), likes).Watch(ctx) {
				if err != nil {
					return
				}
				for _, e := range c.Born {
					held[e]++
				}
				for _, e := range c.Died {
					if held[e]--; held[e] == 0 {
						delete(held, e)
					}
				}
				select {
				case <-states:
				default:
				}
				states <- maps.Clone(held)
				if slow {
					<-gate
				}
			}
		}()
		return states
	}
	prompt, slow := watch(false), watch(true)
	m, rng := model{}, rand.New(rand.NewPCG(6, 4))
	matches := func(states chan map[liked]int) func() error {
		return func() error {
			s := <-states
			states <- s
			want := map[liked]int{}
			for e := range m.likes() {
				want[e] = 1
			}
			if !maps.Equal(s, want) {
				return fmt.Errorf("watched %v, not %v", s, want)
			}
			return nil
		}
	}
	for i := range 40 {
		for range 10 {
			m.step(t, w, rng, w.at(0))
			m.check(t, client)
		}
		if i == 20 {
			w.kill(2)
		}
	}
	eventually(t, matches(prompt))
	close(gate)
	eventually(t, matches(slow))
}

func TestSlowWatcherIsBounded(t *testing.T) {
	t.Parallel()
	w := &watcher{wake: make(chan struct{}, 1)}
	w.put(viewChange{[]int{-1}, nil, false})
	for i := range 100 * maxQueue {
		w.put(viewChange{[]int{i}, []int{i - 1}, i == 7})
	}
	require.Empty(t, w.queue)
	require.Len(t, w.net.of, 1)
	require.Equal(t, []viewChange{{[]int{100*maxQueue - 1}, []int{}, false}}, w.take())
	w.put(viewChange{[]int{5}, nil, false})
	require.Equal(t, []viewChange{{[]int{5}, nil, false}}, w.take(), "told one by one again")
}

// Snapshots and changes that are longer than a message.
func TestLongOutputsTravelInParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 7)
	w.limit = 1 << 10
	for i := range 2 {
		w.at(i).stop()
	}
	w.nodes = map[string]*node{}
	for _, s := range w.view {
		w.add(s)
	}
	client := w.addClient("client")
	m := model{}
	add := func(n int) {
		var wines []string
		for i := range n {
			wines = append(wines, fmt.Sprint(strings.Repeat("w", 50), n, "-", i))
		}
		require.NoError(t, favorites.At(w.at(0).place(), fmt.Sprint("u", n)).Add(t.Context(), wines...))
		m[fmt.Sprint("u", n)] = map[string]bool{}
		for _, x := range wines {
			m[fmt.Sprint("u", n)][x] = true
		}
	}
	add(100)
	m.check(t, client)
	add(150) // in parts
	m.check(t, client)
	add(3000) // by snapshot
	m.check(t, client)
}

func TestOtherCodeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 8)
	other := maps.Clone(w.kinds)
	other["likes"] = wire.NewNode(likes, flow.EntryCodec(text, number), 99)
	graph, err := compile(other)
	require.NoError(t, err)
	f := newFollower(&peers{views: w.views, transport: &network{w, "other"}}, other, graph, quick, 1<<16, quiet())
	defer f.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), quick.silence)
	defer cancel()
	_, err = f.Follow(ctx, "likes")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "other code")
	_, err = f.Follow(ctx, "no-such")
	require.ErrorIs(t, err, wire.ErrNoSuchKind)
}

// A function that panics takes its own operator down, says so, and begins again when what it panics at is
// gone.
func TestPanicOfAnOperator(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 9)
	n := w.at(0)
	ctx := t.Context()
	u := favorites.At(n.place(), "u")
	require.NoError(t, u.Add(ctx, "fine"))
	eventually(t, func() error {
		return sameView(dataflow.On(n.place(), broken), map[string]bool{"fine": true})
	})
	require.NoError(t, u.Add(ctx, "panic"))
	require.NoError(t, u.Add(ctx, "more"))
	m := model{"u": {"fine": true, "panic": true, "more": true}}
	m.check(t, n)
	require.NoError(t, u.Remove(ctx, "panic"))
	eventually(t, func() error {
		return sameView(dataflow.On(n.place(), broken), map[string]bool{"fine": true, "more": true})
	})
}

// A station ends when nobody needs it, and with it those that it needed.
func TestStationsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 10)
	n := w.at(0)
	client := w.addClient("client")
	eventually(t, func() error { return sameView(dataflow.On(client.place(), both), map[string]bool{}) })
	stations := func() int {
		n.host.smu.Lock()
		defer n.host.smu.Unlock()
		return len(n.host.stations)
	}
	require.Equal(t, 7, stations())
	w.mu.Lock()
	delete(w.nodes, "client") // without a word
	w.mu.Unlock()
	client.stop()
	eventually(t, func() error {
		if stations() > 0 {
			return fmt.Errorf("%d stations", stations())
		}
		return nil
	})
}

// More novelties than the ingress keeps: it takes all states again.
func TestIntakeIsBounded(t *testing.T) {
	t.Parallel()
	q := &intake{wake: make(chan struct{}, 1)}
	big := make([]byte, maxIntakeBytes/4)
	for range 10 {
		q.put("k", big)
		require.LessOrEqual(t, len(q.items), 4)
	}
	_, missed := q.take()
	require.True(t, missed)
	q.put("k", nil)
	items, missed := q.take()
	require.Len(t, items, 1)
	require.False(t, missed)
}

// An ingress on a silo whose copies are still to come has no output before they are there.
func TestIngressWaitsForItsCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 11)
	n := w.at(0)
	lag := newReplica(w)
	late := &lateVariables{lag, n.vars}
	m := model{"u": {"a": true, "b": true}}
	require.NoError(t, favorites.At(n.place(), "u").Add(t.Context(), "a", "b"))
	h, err := New(Config{
		Self: n.id, Incarnation: 2, Views: w.views, Standing: w.standing(view.Run{ID: n.id, Incarnation: 2}), Now: func() time.Duration { return 0 }, Kinds: w.kinds, Variables: late, Engine: &testEngine{n},
		Transport: &network{w, "elsewhere"}, Logger: quiet(), timing: timing{
			coalesce: quick.coalesce, tick: quick.tick, beat: quick.beat, silence: quick.run, expire: quick.run,
			request: quick.request, backoff: quick.backoff, run: quick.run,
		},
	})
	require.NoError(t, err)
	require.NoError(t, h.Start(t.Context()))
	defer func() { require.NoError(t, h.Stop(context.Background())) }()
	short, cancel := context.WithTimeout(t.Context(), 10*quick.beat)
	defer cancel()
	_, err = h.Follow(short, "likes")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	lag.copyFrom(n.vars)
	f, err := h.Follow(t.Context(), "likes")
	require.NoError(t, err)
	f.Use(func(v any) { require.Equal(t, len(m.likes()), v.(*flow.Materialized[liked]).Len()) })
}

// lateVariables knows the keys that others hold.
type lateVariables struct {
	*replica
	others *replica
}

func (v *lateVariables) Keys(ctx context.Context, family string) ([]string, error) {
	return v.others.Keys(ctx, family)
}

func TestKindsThatAreNoGraph(t *testing.T) {
	t.Parallel()
	all := kinds()
	delete(all, "even")
	delete(all, "odd")
	_, err := New(Config{Kinds: all})
	var graph *flow.GraphError
	require.ErrorAs(t, err, &graph)

	// Generated code may have bound a source again.
	all = kinds()
	all["again-favorites"] = wire.NewNode(flow.Each(favorites), flow.EntryCodec(text, text), 5)
	_, err = compile(all)
	require.NoError(t, err)
}

func TestOutputKeysAreInjective(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, process := range []string{"p", "pp"} {
		for _, key := range []string{"", "1", "1:", "a", "aa"} {
			for _, kind := range []string{"v", "vv"} {
				for _, of := range []string{"", "1", "1:", ":1", "a", "aa"} {
					k := outputsKey(process, key) + "\x00\x00" + outputOf(wire.NewID(kind, of), "e")
					require.False(t, seen[k], k)
					seen[k] = true
				}
			}
		}
	}
	require.Equal(t, OutputsKind().Name(), outputs.Name)
	require.False(t, slices.Contains(slices.Collect(maps.Keys(seen)), ""))
}
