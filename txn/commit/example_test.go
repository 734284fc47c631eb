package commit_test

import (
	"fmt"

	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// A ledger commits what read current versions, refuses what did not, and answers a repetition as it
// answered the first time.
func ExampleLedger() {
	ledger := commit.NewLedger(commit.Config{})
	pos := uint64(0)
	apply := func(c commit.Command) commit.Result {
		pos++
		results, err := commit.DecodeResults(ledger.Apply(pos, commit.EncodeEntry(c)))
		if err != nil {
			panic(err)
		}
		return results[0]
	}
	client := apply(commit.Register{}).Client

	wallet := commit.StateKey{Grain: wire.NewID("wine.User", "alice"), State: 1}
	pay := func(seq uint64, read commit.Attempt, money string) commit.Decision {
		return commit.Decision{
			Attempt: commit.Attempt{ID: commit.ID{Client: client, Seq: seq}, N: 1},
			Reads:   []commit.Read{{Key: wallet, Version: read}},
			Writes:  []commit.Write{{Key: wallet, Value: []byte(money)}},
		}
	}
	first := pay(1, commit.Attempt{}, "90")
	fmt.Println(apply(first).Code)
	fmt.Println(apply(first).Code)
	fmt.Println(apply(pay(2, commit.Attempt{}, "80")).Code)
	fmt.Println(apply(pay(3, first.Attempt, "70")).Code)

	// Nobody has submitted 1.4 yet; after this, nobody can.
	unknown := commit.ID{Client: client, Seq: 4}
	fmt.Println(apply(commit.Inquire{ID: unknown}).Code)
	fmt.Println(apply(pay(4, first.Attempt, "60")).Code)

	version, money, _ := ledger.Get(wallet)
	fmt.Printf("%s, written by %v\n", money, version)
	// Output:
	// committed
	// already committed
	// conflict
	// committed
	// aborted
	// refused
	// 70, written by 1.3#1
}

// An older block takes the lock from a younger one, by having it aborted.
func ExampleTurnstile() {
	holder := func(seq uint64, time int64) commit.Holder {
		id := commit.ID{Client: 1, Seq: seq}
		return commit.Holder{Attempt: commit.Attempt{ID: id, N: 1}, Timestamp: commit.Timestamp{Time: time, Client: 1, Seq: seq}}
	}
	young, old := holder(2, 200), holder(1, 100)

	var t commit.Turnstile
	granted, _ := t.Arrive(1, young, 0)
	fmt.Println("young enters:", granted)
	granted, _ = t.Lock(1, young)
	fmt.Println("young locks:", granted)
	t.Leave(1)

	granted, signals := t.Arrive(2, old, 0)
	fmt.Println("old enters:", granted, "wounded:", signals[0].Attempt)
	signals = t.Release(young.Attempt) // its coordinator has aborted it
	fmt.Println("granted:", signals[0].Call)
	// Output:
	// young enters: true
	// young locks: true
	// old enters: false wounded: 1.2#1
	// granted: 2
}
