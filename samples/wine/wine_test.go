package wine_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/dataflow"
	"github.com/martinelli-go/martinelli/grains/graintest"
	"github.com/martinelli-go/martinelli/samples/wine"
	"github.com/martinelli-go/martinelli/samples/wine/internal/catalogue"
	"github.com/martinelli-go/martinelli/samples/wine/internal/label"
	"github.com/martinelli-go/martinelli/txn"
)

const patience = 30 * time.Second

// same waits until a set holds exactly these elements.
func same[E comparable](t *testing.T, all func(context.Context) ([]E, error), want ...E) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		got, err := all(t.Context())
		require.NoError(c, err)
		require.ElementsMatch(c, want, got)
	}, patience, 20*time.Millisecond)
}

func recs(c grains.Caller, u wine.UserID) func(context.Context) ([]wine.WineID, error) {
	return func(ctx context.Context) ([]wine.WineID, error) {
		all, err := wine.Recs.At(c, u).All(ctx)
		return slices.Collect(all), err
	}
}

func orders(c grains.Caller, u wine.UserID) func(context.Context) ([]wine.Order, error) {
	return func(ctx context.Context) ([]wine.Order, error) {
		all, err := wine.Orders.At(c, u).All(ctx)
		return slices.Collect(all), err
	}
}

func TestPurchase(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 3, wine.Grains(nil))
	ctx := t.Context()
	alice, cellar := wine.GetUser(c, "alice"), wine.GetCellar(c, "rioja")
	books := func() (wine.Wallet, wine.Shelf) {
		w, err := alice.Balance(ctx)
		require.NoError(t, err)
		s, err := cellar.Shelf(ctx)
		require.NoError(t, err)
		return w, s
	}

	require.NoError(t, alice.Deposit(ctx, 2500))
	_, err := alice.Purchase(ctx, "rioja")
	require.ErrorIs(t, err, wine.ErrNoBottle)

	require.NoError(t, cellar.Put(ctx, 3, 1000))
	recommend := func(wines ...wine.WineID) {
		require.NoError(t, wine.Recs.At(c, "alice").Add(ctx, wines...))
		for i := range 3 { // a block removes what the silo where it runs has heard of
			same(t, recs(c.Silo(i), "alice"), "rioja", "barolo")
		}
	}
	recommend("rioja", "barolo")
	first, err := alice.Purchase(ctx, "rioja")
	require.NoError(t, err)
	require.Equal(t, wine.Order{ID: "alice#1", Wine: "rioja", Price: 1000}, first)
	same(t, recs(c, "alice"), "barolo")
	second, err := alice.Purchase(ctx, "rioja")
	require.NoError(t, err)
	require.Equal(t, wine.OrderID("alice#2"), second.ID)

	// What fails leaves nothing behind: the bottle that was taken is back, the recommendation stays.
	recommend("rioja")
	_, err = alice.Purchase(ctx, "rioja")
	require.ErrorIs(t, err, wine.ErrNoMoney)
	require.ErrorContains(t, err, "alice has 500")
	wallet, shelf := books()
	require.Equal(t, wine.Wallet{Balance: 500, Spent: 2000, Orders: 2}, wallet)
	require.Equal(t, wine.Shelf{Bottles: 1, Sold: 2, Price: 1000}, shelf)
	same(t, orders(c, "alice"), first, second)
	same(t, recs(c, "alice"), "barolo", "rioja")
}

// A silo dies under purchases that are tried until their fate is known: each happens once.
func TestPurchasesWhileASiloDies(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 3, wine.Grains(nil))
	ctx := t.Context()
	users := []wine.UserID{"ann", "bob", "cem", "dan", "eve", "fay"}
	const each, price = 10, 100
	require.NoError(t, wine.GetCellar(c, "rioja").Put(ctx, int64(each*len(users)), price))
	for _, u := range users {
		require.NoError(t, wine.GetUser(c, u).Deposit(ctx, each*price))
	}
	third := make(chan struct{}, each*len(users)) // one for every purchase
	done := make(chan error, len(users))
	for _, u := range users {
		go func() {
			for range each {
				if err := buyOnce(ctx, c, u); err != nil {
					done <- err
					return
				}
				third <- struct{}{}
			}
			done <- nil
		}()
	}
	for range each * len(users) / 3 {
		<-third
	}
	c.Kill(1)
	for range users {
		require.NoError(t, <-done)
	}
	c.Restart(1)
	for _, u := range users {
		w, err := wine.GetUser(c, u).Balance(ctx)
		require.NoError(t, err)
		require.Equal(t, wine.Wallet{Spent: each * price, Orders: each}, w, u)
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			got, err := orders(c, u)(ctx)
			require.NoError(t, err)
			require.Len(t, got, each)
		}, patience, 20*time.Millisecond)
	}
	s, err := wine.GetCellar(c, "rioja").Shelf(ctx)
	require.NoError(t, err)
	require.Equal(t, wine.Shelf{Sold: int64(each * len(users)), Price: price}, s)
}

// buyOnce buys one bottle, under the same id for as long as nobody can say what became of it.
func buyOnce(ctx context.Context, c grains.Caller, u wine.UserID) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for under := ctx; ; {
		try, stop := context.WithTimeout(under, 2*time.Second)
		_, err := wine.GetUser(c, u).Purchase(try, "rioja")
		stop()
		if err == nil || ctx.Err() != nil {
			return err
		}
		switch id, unknown := txn.IDOf(err); {
		case unknown:
			under = txn.Retry(ctx, id)
		case errors.Is(err, txn.ErrAborted):
			under = ctx
		case !errors.Is(err, grains.ErrNotExecuted):
			return err
		}
	}
}

// Who likes what others like is recommended what they like besides, and not any more once it is bought.
func TestRecommendationsFollow(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 3, wine.Grains(nil))
	ctx := t.Context()
	for _, u := range []wine.UserID{"ann", "bob", "cem"} {
		require.NoError(t, wine.GetUser(c, u).Rate(ctx, []wine.Rating{
			{Wine: "rioja", Stars: 5}, {Wine: "barolo", Stars: 4}, {Wine: "retsina", Stars: 3.5},
		}))
	}
	require.NoError(t, wine.GetUser(c, "dan").Rate(ctx, []wine.Rating{{Wine: "rioja", Stars: 4.5}}))
	same(t, recs(c, "dan"), "barolo")
	same(t, recs(c, "ann"))

	likes, err := dataflow.On(c, wine.Likes).All(ctx)
	require.NoError(t, err)
	counts := map[wine.WineID]int64{}
	for e := range likes {
		counts[e.Key] = e.Value
	}
	require.Equal(t, map[wine.WineID]int64{"rioja": 4, "barolo": 3}, counts)

	require.NoError(t, wine.GetCellar(c, "barolo").Put(ctx, 1, 10))
	require.NoError(t, wine.GetUser(c, "dan").Deposit(ctx, 10))
	_, err = wine.GetUser(c, "dan").Purchase(ctx, "barolo")
	require.NoError(t, err)
	same(t, recs(c, "dan"))

	// What others like besides, later, arrives in a round.
	require.NoError(t, wine.GetUser(c, "bob").Rate(ctx, []wine.Rating{{Wine: "rueda", Stars: 5}}))
	same(t, recs(c, "dan"), "rueda")
	same(t, recs(c, "ann"), "rueda")
}

func TestUpload(t *testing.T) {
	t.Parallel()
	shop := catalogue.Builtin(1)
	known := shop.Photographed()[:5]
	photos := map[string][]byte{}
	for _, id := range known {
		photo, err := shop.Photo(id)
		require.NoError(t, err)
		photos[id] = photo
	}
	index, err := label.New(photos)
	require.NoError(t, err)
	c := graintest.Start(t, 1, wine.Grains(index))
	alice := wine.GetUser(c, "alice")
	ctx := t.Context()

	upload, err := label.Disturb(photos[known[2]], rand.New(rand.NewPCG(1, 2)))
	require.NoError(t, err)
	m, err := alice.Upload(ctx, upload)
	require.NoError(t, err)
	require.True(t, m.Known)
	require.Equal(t, wine.WineID(known[2]), m.Wine)

	m, err = alice.Upload(ctx, label.Noise(rand.New(rand.NewPCG(1, 2))))
	require.NoError(t, err)
	require.False(t, m.Known)

	var drawn bytes.Buffer
	require.NoError(t, png.Encode(&drawn, image.NewGray(image.Rect(0, 0, 240, 320))))
	_, err = alice.Upload(ctx, drawn.Bytes())
	var wrong *wine.NotJPEG
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, "image/png", wrong.Format)
	require.ErrorContains(t, err, "not a JPEG")

	_, err = alice.Upload(ctx, upload[:len(upload)/3])
	require.ErrorAs(t, err, &wrong)

	_, err = alice.Upload(ctx, make([]byte, 2<<20))
	require.ErrorIs(t, err, grains.ErrTooLarge)
}

func TestSiloWithoutLabelsSaysSo(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 1, wine.Grains(nil))
	_, err := wine.GetUser(c, "alice").Upload(t.Context(), []byte("anything"))
	require.ErrorIs(t, err, wine.ErrNoLabels)
}
