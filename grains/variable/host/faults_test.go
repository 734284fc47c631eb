package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Whatever happens to messages and silos, once it is over all replicas are equal, every acknowledged
// increment counts once, and none that was surely not executed counts.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(t, 4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			t.Logf("VARIABLE_HOST_SEED=%d repeats this", seed)
			faults(t, seed)
		})
	}
}

func seeds(t *testing.T, n int) (all []uint64) {
	if s := os.Getenv("VARIABLE_HOST_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		return []uint64{seed}
	}
	for range n {
		all = append(all, rand.Uint64())
	}
	return all
}

func faults(t *testing.T, seed uint64) {
	w := newWorld(t, 3, seed)
	w.limit = 64 << 10
	w.startAll()
	rng := rand.New(rand.NewPCG(seed, 1))
	w.mu.Lock()
	w.drop, w.double, w.swap = 0.1, 0.1, 0.1
	w.mu.Unlock()

	var (
		mu           sync.Mutex
		sure, unsure = map[string]int64{}, map[string]int64{}
		added        = map[string]bool{} // elements whose addition was acknowledged, and that nobody removes
	)
	ctx, stop := context.WithCancel(context.Background())
	var writers sync.WaitGroup
	for writer := range 6 {
		rng := rand.New(rand.NewPCG(seed, uint64(writer)+2))
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				h := w.host(rng.IntN(3))
				if h == nil {
					continue
				}
				key := fmt.Sprint(rng.IntN(8))
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				switch rng.IntN(4) {
				case 0, 1:
					err := h.Mutate(ctx, wire.NewID("test.Count", key), plus(1))
					mu.Lock()
					switch {
					case err == nil:
						sure[key]++
					case errors.Is(err, wire.ErrUnknown):
						unsure[key]++
					case !errors.Is(err, wire.ErrNotExecuted):
						t.Errorf("seed %d: %v", seed, err)
					}
					mu.Unlock()
				case 2:
					e := fmt.Sprintf("%d-%d", writer, n)
					if h.Mutate(ctx, theBag, add(e)) == nil {
						mu.Lock()
						added[e] = true
						mu.Unlock()
					}
				case 3: // comes and goes
					id := wire.NewID("test.Bags", key)
					_ = h.Mutate(ctx, id, add("x", fmt.Sprint(n%5)))
					_ = h.Mutate(ctx, id, remove(fmt.Sprint(rng.IntN(5))))
				}
				cancel()
			}
		})
	}
	for range 12 {
		pause := time.NewTimer(time.Duration(rng.IntN(100)) * time.Millisecond)
		<-pause.C
		i := rng.IntN(3)
		switch rng.IntN(3) {
		case 0:
			w.partition(i)
		case 1:
			w.partition()
		case 2:
			w.crash(i, rng.IntN(3)*50)
			if rng.IntN(2) == 0 { // else it is back before anybody noticed
				w.tell(i, false)
			}
			w.start(i)
		}
	}
	stop()
	writers.Wait()
	w.partition()
	w.mu.Lock()
	w.drop, w.double, w.swap = 0, 0, 0
	w.mu.Unlock()
	w.synced()
	w.equal("test.Bag", "test.Bags", "test.Count")
	h := w.host(0)
	for key := range sure {
		n := value(t, h, wire.NewID("test.Count", key))
		require.GreaterOrEqual(t, n, sure[key], "seed %d, counter %s: an acknowledged increment is lost", seed, key)
		require.LessOrEqual(t, n, sure[key]+unsure[key], "seed %d, counter %s: an increment counts twice", seed, key)
	}
	elements := of(t, h, theBag) + " "
	for e := range added {
		require.Contains(t, " "+elements, " "+e+" ", "seed %d: an acknowledged element is lost", seed)
	}
	t.Logf("%d elements, counters %v and %v unknown", len(added), sure, unsure)
}
