package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/samples/wine"
)

// day is a day's business in which all is right: ann bought two bottles, bob none.
func day() (*market, *books) {
	first, second := wine.Order{ID: "ann#1", Wine: "rioja", Price: 10}, wine.Order{ID: "ann#2", Wine: "barolo", Price: 30}
	return &market{
			accounts: []*account{
				{user: "ann", deposited: 100, orders: []wine.Order{second, first}},
				{user: "bob", deposited: 5},
			},
			stock:  map[wine.WineID]int64{"rioja": 3, "barolo": 1},
			prices: map[wine.WineID]wine.Money{"rioja": 10, "barolo": 30},
		}, &books{
			wallets: map[wine.UserID]wine.Wallet{"ann": {Balance: 60, Spent: 40, Orders: 2}, "bob": {Balance: 5}},
			shelves: map[wine.WineID]wine.Shelf{"rioja": {Bottles: 2, Sold: 1, Price: 10}, "barolo": {Sold: 1, Price: 30}},
			orders:  map[wine.UserID][]wine.Order{"ann": {first, second}, "bob": nil},
			recs:    map[wine.UserID][]wine.WineID{"ann": {"rueda"}, "bob": {"rioja"}},
		}
}

func (b *books) check(m *market) map[string]error {
	return map[string]error{
		"money": b.money(m), "bottles": b.bottles(m), "matched": b.matched(m), "acknowledged": b.acknowledged(m), "never again": b.neverAgain(),
	}
}

func TestChecksPassWhereAllIsRight(t *testing.T) {
	t.Parallel()
	m, b := day()
	for what, err := range b.check(m) {
		require.NoError(t, err, what)
	}
}

func TestChecksFindWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(m *market, b *books)
		found []string // by these checks, and no others
	}{
		"charged twice": {func(_ *market, b *books) { b.wallets["ann"] = wine.Wallet{Balance: 30, Spent: 70, Orders: 3} }, []string{"money", "matched"}},
		"money lost":    {func(_ *market, b *books) { b.wallets["bob"] = wine.Wallet{Balance: 4} }, []string{"money"}},
		"overdrawn":     {func(_ *market, b *books) { b.wallets["bob"] = wine.Wallet{Balance: -5, Spent: 10} }, []string{"money", "matched"}},
		"bottle lost":   {func(_ *market, b *books) { b.shelves["rioja"] = wine.Shelf{Bottles: 1, Sold: 1, Price: 10} }, []string{"bottles"}},
		"bottle sold without order": {
			func(_ *market, b *books) { b.shelves["rioja"] = wine.Shelf{Bottles: 1, Sold: 2, Price: 10} }, []string{"matched"},
		},
		"order lost": {
			func(_ *market, b *books) { b.orders["ann"] = b.orders["ann"][:1] }, []string{"money", "matched", "acknowledged"},
		},
		"order under another's number": {
			func(m *market, b *books) {
				b.orders["ann"][1].ID = "ann#1"
				sorted(b.orders["ann"])
				m.accounts[0].orders[0].ID = "ann#1"
			}, []string{"matched"},
		},
		"order that nobody was told of": {func(m *market, _ *books) { m.accounts[0].orders = m.accounts[0].orders[:1] }, []string{"acknowledged"}},
		"another price":                 {func(m *market, _ *books) { m.prices["rioja"] = 11 }, []string{"bottles", "matched"}},
		"bought and recommended":        {func(_ *market, b *books) { b.recs["ann"] = []wine.WineID{"barolo"} }, []string{"never again"}},
	} {
		m, b := day()
		c.spoil(m, b)
		var found []string
		for what, err := range b.check(m) {
			if err != nil {
				found = append(found, what)
			}
		}
		require.ElementsMatch(t, c.found, found, name)
	}
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	want := map[string]int64{"a": 1, "b": 2}
	require.Empty(t, differences(map[string]int64{"a": 1, "b": 2}, want))
	require.Equal(t, "b is missing, it should be 2", differences(map[string]int64{"a": 1}, want))
	require.Equal(t, "a is 3, it should be 1; c is 1, it should not be there", differences(map[string]int64{"a": 3, "b": 2, "c": 1}, want))
	require.Contains(t, differences(map[string]int64{"c": 1, "d": 1}, want), "4 differ")
}

func TestOutageIsTheLongestPauseAfterTheKill(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	m := &market{times: []time.Time{at(9000), at(100), at(5000), at(4000)}}
	require.Equal(t, 4*time.Second, m.outage(at(4500)))
	require.Equal(t, 4*time.Second, m.outage(at(3900)))
	require.Equal(t, 1500*time.Millisecond, (&market{times: []time.Time{at(100), at(4500)}}).outage(at(3000)))
	require.Zero(t, m.outage(at(9000)), "nothing was bought after it")
}

func TestReportOfAFailure(t *testing.T) {
	t.Parallel()
	r := &report{}
	require.False(t, r.ok(), "nothing was checked")
	r.check("one", nil)
	require.True(t, r.ok())
	require.Regexp(t, `^ok hit@10=`, r.line())
	r.check("two", errors.New("it differs\nand how"))
	require.Regexp(t, `^FAILED two: it differs \| hit@10=`, r.line())
	var out bytes.Buffer
	require.NoError(t, r.print(&out, false))
	require.Contains(t, out.String(), "and how")
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	require.Equal(t, r.line(), string(lines[len(lines)-1]))
}

func TestReplicasThatDifferAreFound(t *testing.T) {
	t.Parallel()
	type hashes = map[string]map[string]map[string]uint64
	equal := func() hashes {
		all := hashes{}
		for _, addr := range []string{"a", "b", "c"} {
			all[addr] = map[string]map[string]uint64{"recs": {"ann": 1, "bob": 2}, "orders": {"ann": 3}}
		}
		return all
	}
	n, diff, err := compareReplicas(t.Context(), audited(equal()))
	require.NoError(t, err)
	require.Empty(t, diff)
	require.Equal(t, 3, n)
	for _, spoil := range []func(hashes){
		func(h hashes) { h["b"]["recs"]["bob"] = 9 },
		func(h hashes) { delete(h["c"]["orders"], "ann") },
		func(h hashes) { h["c"]["orders"]["eve"] = 1 },
		func(h hashes) { delete(h, "b") },
	} {
		all := equal()
		spoil(all)
		_, diff, err = compareReplicas(t.Context(), audited(all))
		require.NoError(t, err)
		require.NotEmpty(t, diff)
	}
}

type audited map[string]map[string]map[string]uint64

func (a audited) Audit(context.Context) (map[string]map[string]map[string]uint64, error) {
	return a, nil
}
