package view

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/wire"
)

const testVariables = 2000

// kept says where each of many variables is kept, those with the highest weight first.
func kept(t *Table, n int) [][]SiloID {
	all := make([][]SiloID, testVariables)
	for i := range all {
		for _, m := range t.Replicas(wire.NewID("v", fmt.Sprint("cart-", i)), n) {
			all[i] = append(all[i], m.ID)
		}
	}
	return all
}

// moved asserts that of is the only silo that differs, and returns how many variables it was taken from, or
// given: what else they were on stays, in its order.
func moved(t testing.TB, with, without [][]SiloID, of SiloID) (n int) {
	t.Helper()
	for i := range with {
		if !slices.Contains(with[i], of) {
			require.Equal(t, with[i], without[i], "variable %d, which was never there", i)
			continue
		}
		n++
		rest := slices.DeleteFunc(slices.Clone(with[i]), func(id SiloID) bool { return id == of })
		require.Equal(t, rest, without[i][:len(rest)], "variable %d: who has it keeps it", i)
		require.Len(t, without[i], len(with[i]), "variable %d: somebody has it instead", i)
		require.NotContains(t, without[i], of)
	}
	return n
}

func keepers(t *Table) (ids []SiloID) {
	for _, m := range t.Keepers() {
		ids = append(ids, m.ID)
	}
	return ids
}

// A voter that dies is expected back: its variables wait for it, through its next run's joining too, and in
// what a snapshot says of it. They are moved once its vote is taken.
func TestReplicasOfAVoterThatDies(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	var runs []Run
	for n := range 6 {
		runs = append(runs, l.join(n, 1))
		if n < 5 {
			require.Equal(t, []Outcome{Done}, l.put(Promote{runs[n].ID}).Outcomes)
		}
	}
	before, all := kept(l.Table(), 3), keepers(l.Table())
	require.Len(t, all, 6)
	stays := func(why string) {
		require.Equal(t, all, keepers(l.Table()), why)
		require.Equal(t, before, kept(l.Table(), 3), why)
		again, err := DecodeTable(l.Table().Append(nil))
		require.NoError(t, err)
		require.Equal(t, before, kept(again, 3), why)
	}
	l.put(Remove{Run: runs[1]})
	stays("it is dead, and votes")
	next, err := NewJoin(member(1, 2))
	require.NoError(t, err)
	require.Equal(t, []Outcome{Done}, l.put(next).Outcomes)
	stays("its next run joins")
	l.put(Ready{next.Member.Run})
	stays("it serves again")
	l.put(Leave{next.Member.Run})
	stays("it leaves: who gives its slots away has its variables still")
	l.settle()
	require.Equal(t, []Outcome{Done}, l.put(Left{next.Member.Run}).Outcomes)
	stays("it has left, and votes")
	require.Equal(t, []Outcome{Done}, l.put(Demote{runs[1].ID}).Outcomes)
	require.NotContains(t, keepers(l.Table()), runs[1].ID)
	require.InEpsilon(t, testVariables*3/6, moved(t, before, kept(l.Table(), 3), runs[1].ID), 0.1)

	without := kept(l.Table(), 3)
	back, err := NewJoin(member(1, 3))
	require.NoError(t, err)
	l.put(back)
	require.Equal(t, without, kept(l.Table(), 3), "it joins, and has no vote")
	l.put(Ready{back.Member.Run})
	stays("it is where it was before, for its name is what counts")
}

// A silo without a vote is not expected back; one that serves and is demoted stays where it is.
func TestReplicasOfWhoHasNoVote(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	var runs []Run
	for n := range 5 {
		runs = append(runs, l.join(n, 1))
		l.put(Promote{runs[n].ID})
	}
	before := kept(l.Table(), 3)
	l.put(Demote{runs[2].ID})
	require.Equal(t, before, kept(l.Table(), 3), "it serves")
	l.put(Leave{runs[2]})
	require.Equal(t, before, kept(l.Table(), 3), "it gives its slots away first")
	l.put(Remove{Run: runs[2]})
	require.NotZero(t, moved(t, before, kept(l.Table(), 3), runs[2].ID))
	l.join(2, 2)
	require.Equal(t, before, kept(l.Table(), 3))
}

// Variables are spread evenly, first replicas too, and whoever comes takes no more than its share, from all.
func TestVariablesAreSpread(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	for n := range 9 {
		l.join(n, 1)
	}
	even := func(replicas int) [][]SiloID {
		all := kept(l.Table(), replicas)
		first, load := map[SiloID]int{}, map[SiloID]int{}
		for _, ids := range all {
			require.Len(t, ids, replicas)
			first[ids[0]]++
			for _, id := range ids {
				load[id]++
			}
		}
		members := len(l.Table().Members)
		require.Len(t, load, members)
		for id, n := range load {
			require.InEpsilon(t, testVariables*replicas/members, n, 0.15, "%s keeps %d variables", id, n)
			require.InEpsilon(t, testVariables/members, first[id], 0.3, "%s is the first for %d variables", id, first[id])
		}
		return all
	}
	for _, replicas := range []int{1, 3, 5} {
		even(replicas)
	}
	before := even(3)
	tenth := l.join(9, 1)
	require.InEpsilon(t, testVariables*3/10, moved(t, even(3), before, tenth.ID), 0.15)
}
