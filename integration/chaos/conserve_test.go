package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/integration/chaos/register"
)

// kept is a history, and what it leaves behind.
func kept() ([]*operation, *remains) {
	op := func(id int64, k register.Kind, key string, out outcome) *operation {
		return &operation{ID: register.Op(id), Kind: k, Key: key, Item: id, Amount: 1, Outcome: out}
	}
	move := func(id int64, out outcome, s settled) *operation {
		return &operation{ID: register.Op(id), Kind: transfer, Key: "a", To: "b", Amount: 10 * id, Outcome: out, Settled: s}
	}
	ops := []*operation{
		op(1, addToSet, "v", done), op(2, addToSet, "v", unknown), op(3, addToSet, "v", refused), op(4, addToSet, "v", done),
		{ID: 5, Kind: removeOfSet, Key: "v", Item: 4, Outcome: done},
		op(6, count, "v", done), op(7, count, "v", unknown), op(8, count, "v", refused),
		move(11, done, ""), move(12, unknown, committed), move(13, unknown, aborted), move(14, refused, ""), move(15, unknown, ""),
	}
	same := func() map[string]map[string]uint64 {
		return map[string]map[string]uint64{"chaos.added": {"v": 1}, "chaos.counted": {"v": 2}}
	}
	return ops, &remains{
		sets:     map[string][]int64{"v": {1}},
		counts:   map[string]int64{"v": 1},
		balances: map[string]int64{"a": deposit - 230, "b": deposit + 230},
		journals: map[string][]string{"a": {noteOf(ops[8]), noteOf(ops[9])}, "b": nil},
		sent:     map[string]int64{"a": 2, "b": 0},
		replicas: map[string]map[string]map[string]uint64{"s1": same(), "s2": same(), "s3": same()},
	}
}

func TestWhatIsLostOrMadeTwice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(ops []*operation, r *remains)
		want  check
	}{
		{"all is well", func([]*operation, *remains) {}, ""},
		{"what is unknown was done", func(_ []*operation, r *remains) { r.sets["v"], r.counts["v"] = []int64{1, 2}, 2 }, ""},
		{"what was removed came back", func(_ []*operation, r *remains) { r.sets["v"] = []int64{1, 4} }, ""},
		{"an add is lost", func(_ []*operation, r *remains) { r.sets["v"] = nil }, checkSets},
		{"an element is there twice", func(_ []*operation, r *remains) { r.sets["v"] = []int64{1, 1} }, checkSets},
		{"an element that was refused is there", func(_ []*operation, r *remains) { r.sets["v"] = []int64{1, 3} }, checkSets},
		{"an element from nowhere", func(_ []*operation, r *remains) { r.sets["v"] = []int64{1, 99} }, checkSets},
		{"a count is lost", func(_ []*operation, r *remains) { r.counts["v"] = 0 }, checkCounters},
		{"a count is made twice", func(_ []*operation, r *remains) { r.counts["v"] = 3 }, checkCounters},
		{"money is lost", func(_ []*operation, r *remains) { r.balances["b"]-- }, checkTransfers},
		{"a transfer is lost", func(_ []*operation, r *remains) {
			r.journals["a"], r.sent["a"] = r.journals["a"][:1], 1
			r.balances["a"], r.balances["b"] = deposit-110, deposit+110
		}, checkTransfers},
		{"a transfer that was said to be aborted has had its effect", func(ops []*operation, r *remains) {
			r.journals["a"], r.sent["a"] = append(r.journals["a"], noteOf(ops[10])), 3
			r.balances["a"], r.balances["b"] = deposit-360, deposit+360
		}, checkTransfers},
		{"one of unknown fate has", func(ops []*operation, r *remains) {
			r.journals["a"], r.sent["a"] = append(r.journals["a"], noteOf(ops[12])), 3
			r.balances["a"], r.balances["b"] = deposit-380, deposit+380
		}, ""},
		{"the counter and the journal of one block differ", func(_ []*operation, r *remains) { r.sent["a"] = 3 }, checkTransfers},
		{"a note from nowhere", func(_ []*operation, r *remains) {
			r.journals["b"], r.sent["b"] = []string{"99 b a 5"}, 1
		}, checkTransfers},
		{"a note in two journals", func(_ []*operation, r *remains) {
			r.journals["b"], r.sent["b"] = r.journals["a"][:1], 1
		}, checkTransfers},
		{"replicas differ", func(_ []*operation, r *remains) { r.replicas["s2"]["chaos.added"]["v"] = 9 }, checkConvergence},
		{"a replica lacks a variable", func(_ []*operation, r *remains) { delete(r.replicas["s3"]["chaos.counted"], "v") }, checkConvergence},
		{"a silo was not asked", func(_ []*operation, r *remains) { delete(r.replicas, "s1") }, checkConvergence},
	} {
		ops, r := kept()
		c.spoil(ops, r)
		bad := r.check(ops, 3)
		if c.want == "" {
			require.Empty(t, bad, c.name)
			continue
		}
		require.NotEmpty(t, bad, c.name)
		for _, v := range bad {
			require.Equal(t, c.want, v.Check, "%s: %s", c.name, v.Detail)
		}
	}
}
