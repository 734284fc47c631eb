package view

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/grains/wire"
)

func TestOutcomes(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	a := Run{"10.0.0.1:7000", 5}
	join := func(incarnation uint64) Command { return Join{member(0, incarnation)} }
	for _, step := range []struct {
		name    string
		command Command
		want    Outcome
		view    uint64
	}{
		{"comes", join(5), Done, 1},
		{"comes twice", join(5), Already, 1},
		{"an older run comes late", join(4), Outdated, 1},
		{"the next run comes too early", join(6), Occupied, 1},
		{"holds nothing before it is ready", Release{a, 1, []Held{{0, 1}}}, Outdated, 1},
		{"serves", Ready{a}, Done, 2},
		{"serves twice", Ready{a}, Already, 2},
		{"renews", Renew{[]Renewal{{a, 10}}}, Done, 2},
		{"renews twice", Renew{[]Renewal{{a, 10}}}, Already, 2},
		{"an older renewal comes late", Renew{[]Renewal{{a, 9}}}, Already, 2},
		{"another run renews", Renew{[]Renewal{{Run{a.ID, 6}, 99}}}, Already, 2},
		{"is removed for what it did before it renewed", Remove{a, 0}, Renewed, 2},
		{"another run is removed", Remove{Run{a.ID, 4}, 10}, Unknown, 2},
		{"leaves, and still holds", Left{a}, Holding, 2},
		{"votes", Promote{a.ID}, Done, 3},
		{"votes twice", Promote{a.ID}, Already, 3},
		{"a stranger votes", Promote{"stranger"}, Unknown, 3},
		{"is removed", Remove{a, 10}, Done, 4},
		{"is removed twice", Remove{a, 10}, Unknown, 4},
		{"renews after its end", Renew{[]Renewal{{a, 11}}}, Already, 4},
		{"is back after its end", join(5), Outdated, 4},
		{"its next run comes", join(6), Done, 5},
		{"serves after its end", Ready{a}, Unknown, 5},
		{"leaves before it was ready", Leave{Run{a.ID, 6}}, Done, 6},
		{"changes its mind", Ready{Run{a.ID, 6}}, Outdated, 6},
		{"has left", Left{Run{a.ID, 6}}, Done, 7},
	} {
		got := l.put(step.command)
		require.Equal(t, []Outcome{step.want}, got.Outcomes, step.name)
		require.Equal(t, step.view, got.Table.Number, step.name)
	}
	m, ok := l.Table().Member(a.ID)
	require.True(t, ok)
	require.True(t, m.Voter, "what is known of a store's vote outlives its runs")
	require.Equal(t, Dead, m.State)
}

// One silo's release of what another holds, or of what it holds again under a new token, counts nothing.
func TestReleaseIsGuarded(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	a := l.join(0, 1)
	b := l.join(1, 1)
	var moving Row
	for r := range l.Table().Rows {
		if r.Target == b {
			moving = r
		}
	}
	require.Equal(t, a, moving.Holder)
	held := func(token uint64) []Held { return []Held{{moving.Slot, token}} }
	for name, refused := range map[string]Release{
		"by who does not hold it":   {b, moving.Pool, held(moving.Token)},
		"by an earlier run":         {Run{a.ID, 0}, moving.Pool, held(moving.Token)},
		"of an earlier token":       {a, moving.Pool, held(moving.Token - 1)},
		"of a pool that is no more": {a, moving.Pool + 1, held(moving.Token)},
	} {
		require.NotEqual(t, []Outcome{Done}, l.put(refused).Outcomes, name)
	}
	got := l.put(Release{a, moving.Pool, held(moving.Token)})
	require.Equal(t, []Outcome{Done}, got.Outcomes)
	now, _ := got.Table.Row(moving.Place)
	require.Equal(t, Row{moving.Place, b, got.Table.Number, b}, now)
	require.Equal(t, []Outcome{Outdated}, l.put(Release{a, moving.Pool, held(moving.Token)}).Outcomes, "it comes twice")
}

// drawCommand draws what some silo, or a leader, may put into the log, sensible or not.
func drawCommand(t *rapid.T, g *Registry) Command {
	n := rapid.IntRange(0, 4).Draw(t, "silo")
	id := member(n, 1).ID
	run := Run{id, uint64(rapid.IntRange(1, 3).Draw(t, "incarnation"))}
	if m, ok := g.Table().Member(id); ok && rapid.IntRange(0, 5).Draw(t, "the newest run") > 0 {
		run = m.Run
	}
	switch rapid.SampledFrom([]string{"join", "join", "ready", "ready", "leave", "left", "renew", "release", "release", "remove", "vote"}).Draw(t, "command") {
	case "join":
		m := member(n, 0, rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 1, 4, rapid.ID).Draw(t, "kinds")...)
		m.Run = Run{id, run.Incarnation + uint64(rapid.IntRange(0, 1).Draw(t, "next"))}
		j, _ := NewJoin(m)
		return j
	case "ready":
		return Ready{run}
	case "leave":
		return Leave{run}
	case "left":
		return Left{run}
	case "renew":
		return Renew{[]Renewal{{run, uint64(rapid.IntRange(1, 50).Draw(t, "mark"))}}}
	case "release":
		return drawRelease(t, g, run)
	case "remove":
		return Remove{run, g.marks[id]}
	}
	return Promote{id}
}

func drawRelease(t *rapid.T, g *Registry, run Run) Release {
	x := Release{Run: run, Pool: uint64(rapid.IntRange(1, int(g.pools)+1).Draw(t, "pool"))}
	every := rapid.IntRange(1, 3).Draw(t, "every")
	for slot := 0; slot < Slots; slot += every {
		if r, ok := g.Table().Row(Place{x.Pool, slot}); ok && r.Holder == run && r.Target != run {
			x.Held = append(x.Held, Held{slot, r.Token})
		}
	}
	return x
}

// Over any entries: a holder changes only by its own release or its end, tokens only grow and grow with
// each change, holders live, targets are even; replicas agree, also those that restored a snapshot.
func TestRegistryInvariants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g, replica := NewRegistry(), NewRegistry()
		tokens := map[string]*[Slots]uint64{} // the greatest ever
		for range rapid.IntRange(1, 40).Draw(t, "entries") {
			var commands []Command
			for range rapid.IntRange(1, 2).Draw(t, "commands") {
				commands = append(commands, drawCommand(t, g))
			}
			entry := EncodeCommands(commands...)
			decoded, err := DecodeCommands(entry)
			require.NoError(t, err)
			require.Equal(t, entry, EncodeCommands(decoded...))
			old := g.Table()
			a, err := g.Apply(entry)
			require.NoError(t, err)
			b, err := replica.Apply(entry)
			require.NoError(t, err)
			require.Equal(t, a.Outcomes, b.Outcomes)
			require.Equal(t, g.Snapshot(), replica.Snapshot())
			if rapid.IntRange(0, 5).Draw(t, "restore") == 0 {
				replica = NewRegistry()
				require.NoError(t, replica.Restore(bytes.NewReader(g.Snapshot())))
				require.Equal(t, g.Current(), replica.Current())
			}
			if a.Table == old {
				continue
			}
			require.Equal(t, old.Number+1, a.Table.Number)
			require.NoError(t, a.Table.check())
			checkRows(t, old, a.Table, tokens, commands)
		}
	})
}

func checkRows(t *rapid.T, old, table *Table, tokens map[string]*[Slots]uint64, commands []Command) {
	for kind, p := range table.kinds {
		if tokens[kind] == nil {
			tokens[kind] = new([Slots]uint64)
		}
		var released map[Held]bool
		was := old.kinds[kind]
		if was != nil {
			released = releasedOf(was.id, commands)
		}
		count := map[seat]int{}
		for slot := range p.rows {
			is, greatest := &p.rows[slot], &tokens[kind][slot]
			if was != nil && was.rows[slot].holder != is.holder {
				from := was.rows[slot]
				if _, alive := table.seats[from.holder]; alive && !released[Held{slot, from.token}] {
					t.Fatalf("%s/%d went from seat %d, who lives and did not release it, to %d", kind, slot, from.holder, is.holder)
				}
				if is.holder != 0 && is.token <= *greatest {
					t.Fatalf("%s/%d went to seat %d under token %d, there was %d", kind, slot, is.holder, is.token, *greatest)
				}
			}
			if is.holder != 0 && is.token < *greatest {
				t.Fatalf("%s/%d: token %d after %d", kind, slot, is.token, *greatest)
			}
			*greatest = max(*greatest, is.token)
			if _, alive := table.seats[is.holder]; is.holder != 0 && !alive || is.holder == 0 && is.target != 0 {
				t.Fatalf("%s/%d is held by seat %d and meant for %d", kind, slot, is.holder, is.target)
			}
			count[is.target]++
		}
		checkEven(t, kind, count, table)
	}
}

func releasedOf(pool uint64, commands []Command) map[Held]bool {
	released := map[Held]bool{}
	for _, c := range commands {
		if x, ok := c.(Release); ok && x.Pool == pool {
			for _, h := range x.Held {
				released[h] = true
			}
		}
	}
	return released
}

func checkEven(t *rapid.T, kind string, count map[seat]int, table *Table) {
	hosts := candidates(table.Members, kind)
	if len(hosts) == 0 {
		return
	}
	require.Len(t, count, len(hosts), "kind %s", kind)
	for s, n := range count {
		require.InDelta(t, Slots/len(hosts), n, 1, "seat %d is to hold %d slots of %s", s, n, kind)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	a := l.join(0, 1)
	old := l.Table()
	b := l.join(1, 1)
	d := DiffOf(old, l.Table())
	require.Equal(t, []uint64{old.Number, l.Table().Number}, []uint64{d.From, d.To})
	require.Len(t, d.Members, 1)
	require.Equal(t, b, d.Members[0].Run)
	require.Empty(t, d.Moved, "nothing is released yet")
	old = l.Table()
	l.settle()
	d = DiffOf(old, l.Table())
	require.Len(t, d.Moved, Slots/2)
	for _, r := range d.Moved {
		require.Equal(t, b, r.Holder)
	}
	held, moving := l.Table().Held(a)
	require.Equal(t, []int{Slots / 2, 0}, []int{held, moving})
	require.Len(t, DiffOf(nil, l.Table()).Moved, Slots)
	require.Zero(t, len(DiffOf(old, old).Members)+len(DiffOf(old, old).Moved))

	// A pool that is split has moved nothing.
	l = newLog(t)
	l.join(0, 1, "k", "l")
	old = l.Table()
	l.put(Join{member(1, 1, "l")})
	require.Len(t, l.Table().pools, 2)
	require.Empty(t, DiffOf(old, l.Table()).Moved)
	owner, ok := l.Table().Owner(wire.NewID("l", "x"))
	require.True(t, ok)
	require.Equal(t, member(0, 1).Run, owner.Run)
	_, ok = l.Table().Owner(wire.NewID("m", "x"))
	require.False(t, ok)
}

// The dead are remembered, but not without end.
func TestTheDeadAreForgotten(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	voter := l.join(maxDead+10, 1)
	l.put(Promote{voter.ID}, Remove{Run: voter})
	for n := range maxDead + 10 {
		r := l.join(n, 1)
		l.put(Remove{Run: r})
	}
	require.Len(t, l.Table().Members, maxDead+1)
	_, votes := l.Table().Member(voter.ID)
	require.True(t, votes, "who votes is expected back")
	_, remembered := l.Table().Member(member(9, 1).ID)
	require.False(t, remembered)
	_, remembered = l.Table().Member(member(10, 1).ID)
	require.True(t, remembered)
}

func TestMembersAreBounded(t *testing.T) {
	t.Parallel()
	many := make([]string, maxKinds+1)
	for i := range many {
		many[i] = fmt.Sprint("kind-", i)
	}
	for name, m := range map[string]Member{
		"no id":           {Run: Run{"", 1}},
		"no incarnation":  {Run: Run{"a", 0}},
		"long address":    {Run: Run{"a", 1}, Addr: string(make([]byte, maxName+1))},
		"many kinds":      {Run: Run{"a", 1}, Kinds: many},
		"a label twice":   {Run: Run{"a", 1}, Labels: []Pair{{"zone", "1"}, {"zone", "2"}}},
		"a long version":  {Run: Run{"a", 1}, Versions: []Pair{{"module", string(make([]byte, maxName+1))}}},
		"many labels":     {Run: Run{"a", 1}, Labels: make([]Pair, maxPairs+1)},
		"long kind":       {Run: Run{"a", 1}, Kinds: []string{string(make([]byte, maxName+1))}},
		"very long store": {Run: Run{SiloID(make([]byte, maxName+1)), 1}},
	} {
		_, err := NewJoin(m)
		require.ErrorContains(t, err, "view: ", name)
		_, err = DecodeCommands(EncodeCommands(Join{m}))
		require.ErrorIs(t, err, ErrMalformed, name)
	}
	j, err := NewJoin(Member{Run: Run{"a", 1}, Kinds: []string{"b", "a", "b"}, Labels: []Pair{{"z", ""}, {"a", ""}}})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, j.Member.Kinds)
	require.Equal(t, []Pair{{"a", ""}, {"z", ""}}, j.Member.Labels)
}

func FuzzCommands(f *testing.F) {
	a := Run{"a", 1}
	f.Add(EncodeCommands(Join{member(0, 1, "x", "y")}, Ready{a}, Leave{a}, Left{a}))
	f.Add(EncodeCommands(Renew{[]Renewal{{a, 7}, {Run{"b", 2}, 8}}}, Remove{a, 7}, Promote{"a"}, Demote{"b"}))
	f.Add(EncodeCommands(Release{a, 3, []Held{{0, 1}, {1, 9}, {4095, 2}}}))
	f.Add(EncodeCommands(Join{Member{Run: a, Labels: []Pair{{"zone", "x"}}, Versions: []Pair{{"module", "v1"}}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		commands, err := DecodeCommands(b)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		require.Equal(t, b, EncodeCommands(commands...))
		l := newLog(t)
		l.join(1, 1)
		_, err = l.Apply(b)
		require.NoError(t, err)
		require.NoError(t, l.Table().check())
	})
}

func FuzzRestore(f *testing.F) {
	l := newLog(f)
	f.Add(l.Snapshot())
	a := l.join(0, 1, "x")
	l.join(1, 1, "x", "y")
	l.put(Renew{[]Renewal{{a, 7}}})
	f.Add(l.Snapshot())
	l.put(Remove{a, 7})
	f.Add(l.Snapshot())
	f.Fuzz(func(t *testing.T, b []byte) {
		g := NewRegistry()
		if err := g.Restore(bytes.NewReader(b)); err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			require.Equal(t, NewRegistry(), g)
			return
		}
		require.Equal(t, b, g.Snapshot())
		table, err := DecodeTable(g.Table().Append(nil))
		require.NoError(t, err)
		require.Equal(t, g.Table(), table)
		_, err = g.Apply(EncodeCommands(Join{member(3, 9)}, Ready{member(3, 9).Run}))
		require.NoError(t, err)
		require.NoError(t, g.Table().check())
	})
}

func TestReplicasOfATable(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	for n := range 5 {
		l.join(n, 1)
	}
	id := wire.NewID("ads", "")
	require.Len(t, l.Table().Replicas(id, 0), DefaultReplicas)
	require.Len(t, l.Table().Replicas(id, wire.Everywhere), 5)
	first := l.Table().Replicas(id, 3)
	l.put(Remove{Run: first[0].Run})
	require.Equal(t, first[1:3], l.Table().Replicas(id, 2), "who stays, stays in its order")
}
