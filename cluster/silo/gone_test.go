package silo

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/view"
)

func stores(ids ...string) consensus.Members {
	m := consensus.Members{Version: 1}
	for _, id := range ids {
		m.List = append(m.List, consensus.Member{Server: consensus.Server{ID: id}})
	}
	return m
}

// Who has led for longer than a store may be silent does not take one for gone, and remove it for good, that was
// let in a moment ago and has not answered yet.
func TestAStoreThatWasLetInIsNotGone(t *testing.T) {
	t.Parallel()
	m := newViews(t).membership
	m.forget = time.Hour
	require.Empty(t, m.gone(stores("b")), "it does not lead")
	m.lead = view.NewLead(view.LeadConfig{}, 0, m.registry.Current())
	require.False(t, m.gone(stores("b"))["b"])
	m.added["b"] = m.added["b"].Add(-2 * time.Hour) // so long ago

	gone := m.gone(stores("b", "new"))
	require.True(t, gone["b"])
	require.False(t, gone["new"])
	heard := stores("b")
	heard.List[0].LastContact = time.Now()
	require.False(t, m.gone(heard)["b"])
	m.expelled["b"] = true
	require.True(t, m.gone(heard)["b"])
}

// The ledger's leader removes no store that its copy of the views does not know yet.
func TestTheLedgerWaitsForTheViews(t *testing.T) {
	t.Parallel()
	f := newViews(t)
	m := f.membership
	now := 10 * time.Second
	m.now = func() time.Duration { return now }
	m.times = view.Times{Lease: 2 * time.Second}
	var err error
	self := view.Member{Run: m.self, Addr: m.addr, Kinds: []string{"k"}}
	m.keeper, err = view.NewKeeper(view.KeeperConfig{Member: self, Times: m.times})
	require.NoError(t, err)
	join, err := view.NewJoin(self)
	require.NoError(t, err)
	f.Apply(1, view.EncodeCommands(join))
	renew := func(mark time.Duration) {
		f.Apply(1, view.EncodeCommands(view.Renew{Renewals: []view.Renewal{{Run: m.self, Mark: uint64(mark)}}}))
	}
	lacks := func() consensus.Members { return stores("a") }
	renew(9 * time.Second)
	require.True(t, m.Standing().Leased(now))

	require.False(t, m.goneFromData(stores("a", "b"), lacks)["b"], "it has seen b in the ledger only now")
	now += time.Second / 2
	require.False(t, m.goneFromData(stores("a", "b"), lacks)["b"], "these views may be older than b")
	renew(now)
	require.False(t, m.goneFromData(stores("a", "b"), func() consensus.Members { return stores("a", "b") })["b"])
	require.False(t, m.goneFromData(stores("a", "b"), lacks)["b"], "it was a member in between")
	now += time.Second / 2
	renew(now)
	gone := m.goneFromData(stores("a", "b"), lacks)
	require.True(t, gone["b"])
	require.False(t, gone["a"])
}
