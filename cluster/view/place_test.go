package view

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// log is a registry with the entries that it was given, for tests.
type log struct {
	t testing.TB
	*Registry
	entries [][]byte
}

func newLog(t testing.TB) *log { return &log{t: t, Registry: NewRegistry()} }

func (l *log) put(commands ...Command) Applied {
	l.t.Helper()
	b := EncodeCommands(commands...)
	l.entries = append(l.entries, b)
	a, err := l.Apply(b)
	require.NoError(l.t, err)
	return a
}

func member(n int, incarnation uint64, kinds ...string) Member {
	if len(kinds) == 0 {
		kinds = []string{"k"}
	}
	return Member{Run: Run{SiloID(fmt.Sprintf("10.0.0.1:%d", 7000+n)), incarnation}, Addr: fmt.Sprintf("10.0.0.1:%d", 7000+n), Kinds: kinds}
}

func (l *log) join(n int, incarnation uint64, kinds ...string) Run {
	l.t.Helper()
	j, err := NewJoin(member(n, incarnation, kinds...))
	require.NoError(l.t, err)
	require.Equal(l.t, []Outcome{Done}, l.put(j).Outcomes)
	require.Equal(l.t, []Outcome{Done}, l.put(Ready{j.Member.Run}).Outcomes)
	return j.Member.Run
}

// settle lets all silos release what is to move.
func (l *log) settle() {
	l.t.Helper()
	for range 5 {
		releases := map[Place]Release{}
		for r := range l.Table().Rows {
			if r.Holder != r.Target {
				of := Place{r.Pool, int(l.Table().seatOf(r.Holder))}
				x := releases[of]
				x.Run, x.Pool = r.Holder, r.Pool
				x.Held = append(x.Held, Held{r.Slot, r.Token})
				releases[of] = x
			}
		}
		if len(releases) == 0 {
			return
		}
		for _, of := range slices.SortedFunc(maps.Keys(releases), Place.compare) {
			require.Equal(l.t, []Outcome{Done}, l.put(releases[of]).Outcomes)
		}
	}
	l.t.Fatal("slots go on moving")
}

func (t *Table) seatOf(r Run) seat {
	m, _ := t.Has(r)
	return m.seat
}

const testKeys = 100_000

// keySlots are the slots of the keys of one kind, of which there are many to ask for.
var keySlots = sync.OnceValue(func() (slots []int) {
	for i := range testKeys {
		slots = append(slots, Slot(wire.NewID("k", fmt.Sprint("user-", i))))
	}
	return slots
})

// holders says which silo has each key of a kind.
func holders(t *Table, kind string) []SiloID {
	r, _ := t.Of(wire.NewID(kind, ""))
	var bySlot [Slots]SiloID
	for slot := range bySlot {
		r, _ := t.Row(Place{r.Pool, slot})
		bySlot[slot] = r.Holder.ID
	}
	ids := make([]SiloID, testKeys)
	for i, slot := range keySlots() {
		ids[i] = bySlot[slot]
	}
	return ids
}

func loads(ids []SiloID) map[SiloID]int {
	load := map[SiloID]int{}
	for _, id := range ids {
		load[id]++
	}
	return load
}

func requireEven(t testing.TB, ids []SiloID, n int, what string) {
	t.Helper()
	load := loads(ids)
	require.Len(t, load, n, what)
	for id, got := range load {
		require.LessOrEqual(t, float64(got), 1.15*float64(len(ids))/float64(n), "%s: %s has %d of %d keys", what, id, got, len(ids))
	}
}

// requireMoved says that no more keys moved than 1.1 times those that any placement with even load must
// move: from nobody but loser, or, without one, to nobody but winner.
func requireMoved(t testing.TB, before, after []SiloID, least int, loser, winner SiloID) {
	t.Helper()
	moved := 0
	for i := range before {
		if before[i] != after[i] {
			moved++
			if loser != "" {
				require.Equal(t, loser, before[i], "a key moved that had no need to")
			}
			if winner != "" {
				require.Equal(t, winner, after[i], "a key moved between two silos that stay")
			}
		}
	}
	require.LessOrEqual(t, float64(moved), 1.1*float64(least), "%d keys moved, at least %d must", moved, least)
}

// The silos' names and ports differ in one digit: names that are near each other must not share fates.
func TestEightSilosWithConsecutivePorts(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	for n := range 8 {
		l.join(n, 1)
	}
	l.settle()
	ids := holders(l.Table(), "k")
	requireEven(t, ids, 8, "eight silos")
	worst := 0
	for _, n := range loads(ids) {
		worst = max(worst, n)
	}
	t.Logf("the fullest of 8 silos has %.3f times its share of %d keys", float64(worst)*8/testKeys, testKeys)
}

// Silos come one by one up to 64, and go again one by one, by leaving and by dying: the load is even at
// each size, and nothing moves that need not.
func TestPlacementFromOneTo64(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	var members []Run
	var before []SiloID
	sizes := func(n int) bool { return n <= 12 || n%8 == 0 }
	for n := 1; n <= 64; n++ {
		r := l.join(n, 1)
		l.settle()
		members = append(members, r)
		if !sizes(n) {
			before = nil
			continue
		}
		after := holders(l.Table(), "k")
		requireEven(t, after, n, fmt.Sprint(n, " silos"))
		if before != nil {
			requireMoved(t, before, after, testKeys/n, "", r.ID)
		}
		before = after
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for len(members) > 1 {
		i := rnd.IntN(len(members))
		gone := members[i]
		if check := sizes(len(members)); check {
			before = holders(l.Table(), "k")
		}
		if len(members)%2 == 0 {
			l.put(Leave{gone})
			l.settle()
			require.Equal(t, []Outcome{Done}, l.put(Left{gone}).Outcomes)
		} else {
			require.Equal(t, []Outcome{Done}, l.put(Remove{Run: gone}).Outcomes)
		}
		check := sizes(len(members))
		members = slices.Delete(members, i, i+1)
		if check {
			after := holders(l.Table(), "k")
			requireEven(t, after, len(members), fmt.Sprint(len(members), " silos are left"))
			requireMoved(t, before, after, loads(before)[gone.ID], gone.ID, "")
		}
	}
}

// What a dead silo had spreads over all others.
func TestDeathSpreads(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	var members []Run
	for n := range 9 {
		members = append(members, l.join(n, 1))
	}
	l.settle()
	before := holders(l.Table(), "k")
	l.put(Remove{Run: members[4]})
	after := holders(l.Table(), "k")
	got := map[SiloID]int{}
	for i := range before {
		if before[i] == members[4].ID {
			got[after[i]]++
		}
	}
	require.Len(t, got, 8)
	for id, n := range got {
		require.InEpsilon(t, testKeys/9/8, n, 0.25, "%s was given %d keys of the dead one", id, n)
	}
}

// A kind that some silos host is dealt out among those alone, as evenly, and the rest does not notice.
func TestKindsThatSomeHost(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	var gpu []Run
	for n := range 6 {
		if n%2 == 0 {
			gpu = append(gpu, l.join(n, 1, "user", "cart", "render", "scan"))
		} else {
			l.join(n, 1, "cart", "user")
		}
	}
	l.settle()
	requireEven(t, holders(l.Table(), "user"), 6, "a kind that all host")
	requireEven(t, holders(l.Table(), "render"), 3, "a kind that three host")
	require.Len(t, l.Table().pools, 2)
	for i := range 1000 {
		key := fmt.Sprint(i)
		r, ok := l.Table().Of(wire.NewID("render", key))
		require.True(t, ok)
		m, _ := l.Table().Has(r.Holder)
		require.True(t, m.Hosts("render"))
	}
	_, ok := l.Table().Of(wire.NewID("nobody.Hosts", "x"))
	require.False(t, ok)

	users := holders(l.Table(), "user")
	l.put(Remove{Run: gpu[0]})
	after := holders(l.Table(), "user")
	requireMoved(t, users, after, loads(users)[gpu[0].ID], gpu[0].ID, "")
	requireEven(t, holders(l.Table(), "render"), 2, "a kind that two are left to host")
	for _, g := range gpu[1:] {
		l.put(Remove{Run: g})
	}
	_, ok = l.Table().Of(wire.NewID("render", "x"))
	require.False(t, ok, "nobody hosts it any more")
}

// A kind that comes with an upgrade is hosted by one silo, then by all: its pool becomes one with the
// others', and at no time does a row change its holder but by a release or a removal.
func TestPoolsSplitAndMerge(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	var members []Run
	for n := range 4 {
		members = append(members, l.join(n, 1, "a", "b"))
	}
	l.settle()
	for n := range 4 { // one by one they restart with the new program
		l.put(Leave{members[n]})
		l.settle()
		l.put(Left{members[n]})
		kinds := []string{"a", "b", "c"}
		if n == 2 {
			kinds = []string{"b", "c"} // this one has dropped a kind
		}
		l.join(n, 2, kinds...)
		l.settle()
	}
	require.Len(t, l.Table().pools, 2, "a; b and c")
	requireEven(t, holders(l.Table(), "a"), 3, "a")
	requireEven(t, holders(l.Table(), "b"), 4, "b")
	b, _ := l.Table().Of(wire.NewID("b", "x"))
	require.Equal(t, []string{"b", "c"}, l.Table().Kinds(b.Pool))
}
