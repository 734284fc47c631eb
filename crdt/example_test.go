package crdt_test

import (
	"fmt"

	"github.com/martinelli-go/martinelli/crdt"
)

func Example() {
	laptop, phone := crdt.NewSet[string](), crdt.NewSet[string]()
	onLaptop, onPhone := &crdt.Minter{Actor: 1}, &crdt.Minter{Actor: 2}

	phone.Join(laptop.Add(onLaptop, "red", "white")) // the delta travels

	removed := laptop.Remove("red")
	added := phone.Add(onPhone, "red") // at the same time: the add wins
	phone.Join(removed)
	novelty := laptop.Join(added)

	fmt.Println(novelty.Len(), laptop.Join(added) == nil) // the second time it brings nothing
	fmt.Println(laptop.Contains("red"), laptop.Equal(phone))
	// Output:
	// 1 true
	// true true
}

// What travels and what is kept are bytes.
func ExampleSet_Append() {
	text := crdt.StringCodec[string]()
	laptop, phone := crdt.NewSet[string](), crdt.NewSet[string]()
	onLaptop := &crdt.Minter{Actor: 1}

	delta := laptop.Add(onLaptop, "red", "white")
	received, err := crdt.DecodeSet(delta.Append(nil, text), text)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(phone.Join(received), phone.Join(received) == nil)
	fmt.Println(phone.Equal(laptop), len(laptop.Append(nil, text)) == laptop.EncodedSize(text))
	// Output:
	// Set(2)[red white]{1:1-2} true
	// true true
}

func ExampleSet_Since() {
	a, b := crdt.NewSet[string](), crdt.NewSet[string]()
	m := &crdt.Minter{Actor: 1}
	b.Join(a.Add(m, "x", "y"))
	a.Remove("x") // this delta is lost
	a.Add(m, "z") // and this one

	lacking, err := a.Since(b.Digest())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(lacking)
	b.Join(lacking)
	fmt.Println(a.Equal(b))
	// Output:
	// Set(1)[z]{1:1,3}
	// true
}

// A block's log entry records the operation; the state machine that applies it holds only its own counter.
func ExampleSetOp() {
	wishes := crdt.NewSet[string]()
	wishes.Add(&crdt.Minter{Actor: 1}, "merlot")

	op := wishes.Prepare(crdt.SetOp[string]{Add: []string{"malbec"}, Remove: []string{"merlot"}})
	fmt.Println(op.Observed)

	group := &crdt.Minter{Actor: 100}
	fmt.Println(op.Effect(group), group.Next)
	// Output:
	// [1.1]
	// Set(1)[malbec]{1:1 100:1} 1
}
