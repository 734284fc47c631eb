package consensus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// op is one call of a client, with when it ran by a shared count of events.
type op struct {
	start, end uint64
	entry      string // empty for a read
	position   uint64 // where it took effect; 0 when it did not, or in doubt
	err        error
}

// TestLinearizableUnderKills lets clients write and read through whichever
// replica they find while replicas are killed, restarted, cut off and healed,
// and while stores join, move and are removed, the leader too.
//
// Positions give the order of effects, so linearizability needs no search: what
// ended before another began must lie before it, a read must cover every write
// that ended before it, and what was refused must be nowhere.
func TestLinearizableUnderKills(t *testing.T) {
	t.Parallel()
	seeds := []uint64{1, 2, 3}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			runChaos(t, seed)
		})
	}
}

type chaos struct {
	*trio
	mu    sync.RWMutex // guards what trio holds of replicas, and gone
	gone  map[int]bool // removed
	clock atomic.Uint64
	done  atomic.Bool
	acked atomic.Uint64

	reigns   sync.Map // term → id of the replica that led
	watchers sync.WaitGroup
	twice    atomic.Pointer[string]
}

// up starts a replica under mu, and has its reigns noted.
func (c *chaos) up(i int) {
	c.start(i)
	c.observe(c.groups[i])
}

func (c *chaos) observe(g *Group) {
	c.watchers.Go(func() {
		for {
			_, changed := g.Leadership()
			if term := g.confirmed.Load(); term > 0 {
				if was, known := c.reigns.LoadOrStore(term, g.cfg.Self.ID); known && was != g.cfg.Self.ID {
					said := fmt.Sprintf("%s and %s both led in term %d", was, g.cfg.Self.ID, term)
					c.twice.Store(&said)
				}
			}
			select {
			case <-changed:
			case <-g.done:
				return
			}
		}
	})
}

// members lists the replicas that were not removed. Called under mu.
func (c *chaos) members() (out []int) {
	for i := range c.founders {
		if !c.gone[i] {
			out = append(out, i)
		}
	}
	return out
}

func (c *chaos) running() []*Group {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return append([]*Group(nil), c.groups...)
}

func (c *chaos) stop(i int) {
	c.mu.RLock()
	g, addr := c.groups[i], c.founders[i].Addr
	c.mu.RUnlock()
	c.net.Kill(addr)
	_ = g.Close() // clients may be inside it
	c.mu.Lock()
	c.groups[i] = nil
	c.mu.Unlock()
}

// decree has whoever leads do something, until it is done.
func (c *chaos) decree(t *testing.T, f func(ctx context.Context, g *Group) error) {
	eventually(t, func() bool {
		for _, g := range c.running() {
			if g != nil && g.IsLeader() {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				err := f(ctx, g)
				cancel()
				return err == nil
			}
		}
		return false
	})
}

// reform lets a store join, removes one, dead or alive, or moves one.
func (c *chaos) reform(t *testing.T, r *rand.Rand) {
	c.mu.Lock()
	members := c.members()
	c.mu.Unlock()
	victim := members[r.IntN(len(members))]
	switch k := r.IntN(5); {
	case k < 2 && len(members) < 5 || len(members) < 3:
		c.mu.Lock()
		i := c.spare()
		self, id := c.founders[i], c.ids[i]
		c.mu.Unlock()
		_, err := Join(within(t, patienceOfTests), id, self.Addr, []string{"seed"}, func(ctx context.Context, _ string, a Application) (Admission, error) {
			return applyTo(ctx, a, c.running())
		})
		require.NoError(t, err)
		c.mu.Lock()
		c.up(i)
		c.mu.Unlock()
		c.decree(t, func(ctx context.Context, g *Group) error {
			m, _ := g.Members()
			return g.Promote(ctx, self.ID, m.Version)
		})
	case k < 4 && len(members) > 3:
		id := c.founders[victim].ID
		alive := r.IntN(2) == 0
		if !alive {
			c.stop(victim)
		}
		c.decree(t, func(ctx context.Context, g *Group) error {
			m, _ := g.Members()
			return g.Remove(ctx, id, m.Version)
		})
		if !alive {
			c.mu.Lock()
			c.up(victim) // to learn that it is none of them
			c.mu.Unlock()
		}
		g := c.running()[victim]
		eventually(t, func() bool { return membersOn(g).Self == Removed })
		c.stop(victim)
		c.mu.Lock()
		c.gone[victim] = true
		require.ErrorIs(t, c.open(victim), ErrRemoved)
		c.mu.Unlock()
	default:
		c.stop(victim)
		c.mu.Lock()
		c.founders[victim].Addr += "'"
		app := c.ids[victim].Application(c.founders[victim].Addr)
		c.up(victim)
		c.mu.Unlock()
		c.decree(t, func(ctx context.Context, g *Group) error {
			_, err := g.Admit(ctx, app)
			return err
		})
	}
}

func (c *chaos) pick(r *rand.Rand) (*Group, *journal) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	i := r.IntN(len(c.groups))
	if r.IntN(10) > 0 { // mostly one that believes that it leads, a stale one too
		for j, g := range c.groups {
			if g != nil && g.IsLeader() {
				i = j
				break
			}
		}
	}
	return c.groups[i], c.fsms[i]
}

func (c *chaos) client(t *testing.T, seed uint64, id int) []op {
	r := rand.New(rand.NewPCG(seed, uint64(id)))
	pause := time.NewTicker(3 * time.Millisecond)
	defer pause.Stop()
	var ops []op
	for n := 0; !c.done.Load(); n++ {
		<-pause.C
		g, fsm := c.pick(r)
		if g == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+r.IntN(300))*time.Millisecond)
		o := op{start: c.clock.Add(1)}
		if r.IntN(3) == 0 {
			o.position, o.err = g.ReadIndex(ctx)
			if o.err == nil {
				fsm.mu.Lock()
				have := uint64(len(fsm.entries))
				fsm.mu.Unlock()
				if have < o.position {
					o.err = fmt.Errorf("leader read at %d, its state has %d", o.position, have)
					require.NoError(t, o.err)
				}
			}
		} else {
			o.entry = fmt.Sprintf("%d/%d", id, n)
			var result []byte
			result, o.err = g.Propose(ctx, []byte(o.entry))
			if o.err == nil {
				var err error
				o.position, err = strconv.ParseUint(string(result), 10, 64)
				require.NoError(t, err)
				c.acked.Add(1)
			}
		}
		o.end = c.clock.Add(1)
		cancel()
		ops = append(ops, o)
	}
	return ops
}

// disturb kills, cuts, heals and restarts, each time after some progress.
func (c *chaos) disturb(t *testing.T, r *rand.Rand, rounds int) {
	progress := func(n uint64) {
		from := c.acked.Load()
		eventually(t, func() bool { return c.acked.Load() >= from+n })
	}
	for range rounds {
		progress(20)
		c.mu.RLock()
		members := c.members()
		victim := members[r.IntN(len(members))]
		if r.IntN(2) == 0 { // leaders more often than by chance
			for _, i := range members {
				if c.groups[i].IsLeader() {
					victim = i
				}
			}
		}
		addr := c.founders[victim].Addr
		c.mu.RUnlock()
		switch r.IntN(4) {
		case 0:
			c.net.Isolate(addr)
			progress(10)
			c.net.Heal(addr)
		case 1: // all at once
			c.mu.Lock()
			for _, i := range members {
				c.kill(i)
			}
			for _, i := range members {
				c.up(i)
			}
			c.mu.Unlock()
		default:
			c.stop(victim)
			if r.IntN(2) == 0 {
				progress(10)
			}
			c.mu.Lock()
			c.up(victim)
			c.mu.Unlock()
		}
		c.reform(t, r)
		if r.IntN(3) == 0 {
			if g := c.running()[victim]; g != nil {
				_ = g.Snapshot()
			}
		}
	}
}

func runChaos(t *testing.T, seed uint64) {
	c := &chaos{trio: newTrio(t, 3, func(cfg *Config) { cfg.TrailingLogs = 5 }), gone: map[int]bool{}}
	for _, g := range c.groups {
		c.observe(g)
	}
	c.leader()
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		history []op
	)
	for id := range 6 {
		wg.Go(func() {
			ops := c.client(t, seed, id)
			mu.Lock()
			defer mu.Unlock()
			history = append(history, ops...)
		})
	}
	c.disturb(t, rand.New(rand.NewPCG(seed, 99)), 10)
	c.done.Store(true)
	wg.Wait()

	l := c.leader()
	last, err := c.groups[l].ReadIndex(within(t, patienceOfTests))
	require.NoError(t, err)
	members := c.members()
	for _, i := range members {
		require.NoError(t, c.groups[i].WaitApplied(within(t, patienceOfTests), last))
		require.Equal(t, c.fsms[l].all(), c.fsms[i].all(), "seed %d: replicas differ", seed)
		c.fsms[i].requireDense(t)
	}
	require.Len(t, membersOn(c.groups[l]).List, len(members), "seed %d", seed)
	checkHistory(t, seed, history, c.fsms[l].all())
	for _, i := range members {
		c.kill(i)
	}
	c.watchers.Wait()
	if twice := c.twice.Load(); twice != nil {
		require.Fail(t, *twice, "seed %d", seed)
	}
	t.Logf("seed %d: %d stores joined, %d were removed", seed, len(c.founders)-c.n, len(c.gone))
}

func checkHistory(t *testing.T, seed uint64, history []op, log []string) {
	at := map[string]uint64{}
	for i, e := range log {
		require.NotContains(t, at, e, "seed %d: an entry was applied twice", seed)
		at[e] = uint64(i + 1)
	}
	var done, doubtful, refused, applied int
	for i := range history {
		o := &history[i]
		switch {
		case o.err == nil:
			done++
			if o.entry != "" {
				require.Equal(t, at[o.entry], o.position, "seed %d: acknowledged entry %s", seed, o.entry)
			}
		case errors.Is(o.err, ErrInDoubt):
			require.NotEmpty(t, o.entry, "seed %d: a read is in doubt: %v", seed, o.err)
			doubtful++
			if p := at[o.entry]; p > 0 {
				applied++
			}
		default:
			require.True(t, errors.Is(o.err, ErrNotLeader) || errors.Is(o.err, ErrNotSubmitted) || errors.Is(o.err, ErrClosed) || errors.Is(o.err, ErrRemoved),
				"seed %d: untyped error %v", seed, o.err)
			refused++
			require.NotContains(t, at, o.entry, "seed %d: %s was refused (%v) and applied", seed, o.entry, o.err)
		}
	}
	for _, a := range history {
		if a.err != nil {
			continue
		}
		for _, b := range history {
			if b.err != nil || b.start < a.end {
				continue
			}
			if b.entry == "" {
				require.GreaterOrEqual(t, b.position, a.position, "seed %d: a read misses what ended before it", seed)
			} else {
				require.Greater(t, b.position, a.position, "seed %d: an effect before what ended before it began", seed)
			}
		}
	}
	t.Logf("seed %d: %d done, %d in doubt of which %d applied, %d refused", seed, done, doubtful, applied, refused)
	require.NotZero(t, refused)
}
