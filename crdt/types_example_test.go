package crdt_test

import (
	"fmt"
	"time"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/crdttest"
)

func ExampleCounter() {
	a, b := crdt.NewCounter(), crdt.NewCounter()
	b.Join(a.Add(1, 5))
	a.Join(b.Add(2, -2)) // each actor counts in a row of its own
	fmt.Println(a.Value(), a.Equal(b))
	// Output: 3 true
}

// Page views only grow: one number for each actor, half of what a Counter keeps.
func ExampleGCounter() {
	a, b := crdt.NewGCounter(), crdt.NewGCounter()
	views := a.Add(1, 3)
	b.Join(views)
	fmt.Println(b.Join(views) == nil, b.Value()) // what comes twice counts once
	// Output: true 3
}

// A row is an epoch and a number, so that one actor's ups and downs stay one pair, and an actor can start over.
func ExampleLexCounter() {
	a, b := crdt.NewLexCounter(), crdt.NewLexCounter()
	up := a.Add(1, 10)
	down := a.Add(1, -4)
	b.Join(down)
	b.Join(up) // late: the row has moved on
	fmt.Println(a.Value(), b.Value())
	// Output: 6 6
}

func ExampleRegister() {
	a, b := crdt.NewRegister(crdttest.Strings()), crdt.NewRegister(crdttest.Strings())
	first := a.Set(100, 1, "draft")
	second := b.Set(101, 2, "final")
	a.Join(second)
	b.Join(first) // older: it changes nothing
	v, _ := a.Get()
	fmt.Println(v, a.Equal(b))
	// Output: final true
}

// Timestamps come from a clock that never stands still, and refuses what is too far ahead.
func ExampleHLC() {
	clock := crdt.HLC{MaxDrift: time.Second}
	first, _ := clock.Now(1000)
	second, _ := clock.Now(900) // the wall clock went back
	fmt.Println(first, second)
	fmt.Println(clock.Observe(1000, 1000+int64(time.Hour)))
	// Output:
	// 1000 1001
	// crdt: timestamp 3600000001000 is 1h0m0s ahead of this clock, allowed are 1s: set the clock that made it, or this one
}

// Writes at the same time stay side by side until somebody who has seen both writes again.
func ExampleMVRegister() {
	a, b := crdt.NewMVRegister(crdttest.Strings()), crdt.NewMVRegister(crdttest.Strings())
	ma, mb := &crdt.Minter{Actor: 1}, &crdt.Minter{Actor: 2}
	left, right := a.Set(ma, "tea"), b.Set(mb, "coffee")
	a.Join(right)
	b.Join(left)
	fmt.Println(a.Values())
	b.Join(a.Set(ma, "both"))
	fmt.Println(b.Values())
	// Output:
	// [tea coffee]
	// [both]
}

// The winner of a draw is written once; who writes another is told.
func ExampleIVar() {
	winner := crdt.NewIVar(crdttest.Strings())
	_, err := winner.Set("Ada")
	fmt.Println(err)
	_, err = winner.Set("Bob")
	fmt.Println(err)
	// Output:
	// <nil>
	// crdt: single-assignment variable holds Ada: refused to write Bob
}

func ExampleMaxRegister() {
	highest, lowest := crdt.NewMaxRegister(crdttest.Uints()), crdt.NewMinRegister(crdttest.Uints())
	for _, bid := range []uint64{30, 70, 50} {
		highest.Set(bid)
		lowest.Set(bid)
	}
	fmt.Println(highest, lowest)
	// Output: MaxRegister(70) MinRegister(30)
}

// A feature is switched on here and off there, at the same time: which shall win is the type's choice.
func ExampleEWFlag() {
	m, n := &crdt.Minter{Actor: 1}, &crdt.Minter{Actor: 2}
	ew, dw := crdt.NewEWFlag(), crdt.NewDWFlag()
	ew.Enable(m)
	dw.Enable(m)
	ewThere, dwThere := ew.Clone(), dw.Clone()

	ew.Disable()
	ew.Join(ewThere.Enable(n))
	dw.Disable(m)
	dw.Join(dwThere.Enable(n))
	fmt.Println(ew.On(), dw.On())
	// Output: true false
}

// Terms of use: once accepted anywhere, accepted everywhere.
func ExampleGFlag() {
	a, b := crdt.NewGFlag(), crdt.NewGFlag()
	a.Join(b.Enable())
	fmt.Println(a.On())
	// Output: true
}

// Permissions: what is revoked stays revoked until somebody who has seen that grants it again.
func ExampleRWSet() {
	a, b := crdt.NewRWSet[string](), crdt.NewRWSet[string]()
	m, n := &crdt.Minter{Actor: 1}, &crdt.Minter{Actor: 2}
	b.Join(a.Add(m, "admin"))
	revoked, granted := a.Remove(m, "admin"), b.Add(n, "admin") // at the same time
	a.Join(granted)
	b.Join(revoked)
	fmt.Println(a.Contains("admin"), b.Contains("admin"))
	b.Join(a.Add(m, "admin"))
	fmt.Println(b.Contains("admin"))
	// Output:
	// false false
	// true
}

func ExampleGSet() {
	seen := crdt.NewGSet(crdttest.Strings())
	fmt.Println(seen.Add("mail-1", "mail-2"))
	fmt.Println(seen.Add("mail-2", "mail-3")) // the delta is what is new
	// Output:
	// GSet(2)[mail-1 mail-2]
	// GSet(1)[mail-3]
}

// Tickets: used once, void for ever, whatever arrives late.
func ExampleTwoPhaseSet() {
	a, b := crdt.NewTwoPhaseSet(crdttest.Strings()), crdt.NewTwoPhaseSet(crdttest.Strings())
	sold := a.Add("row 7")
	used := a.Remove("row 7")
	b.Join(used)
	b.Join(sold)
	fmt.Println(b.Contains("row 7"), b.Add("row 7") == nil)
	// Output: false true
}

// A cart: counters under keys. Removing a key takes back what was seen of it, and nothing else.
func ExampleORMap() {
	a, b := crdt.NewORMap[string, *crdt.CounterStore](), crdt.NewORMap[string, *crdt.CounterStore]()
	m, n := &crdt.Minter{Actor: 1}, &crdt.Minter{Actor: 2}
	add := func(m *crdt.Minter, k int64) func(*crdt.CounterStore) crdt.Change[*crdt.CounterStore] {
		return func(c *crdt.CounterStore) crdt.Change[*crdt.CounterStore] { return c.Add(m, k) }
	}
	b.Join(a.Update("barolo", add(m, 6)))
	removed, more := a.Remove("barolo"), b.Update("barolo", add(n, 2)) // at the same time
	a.Join(more)
	b.Join(removed)
	bottles, ok := a.Get("barolo")
	fmt.Println(bottles, ok, a.Equal(b))
	// Output: Counter(2) true true
}

// A map in a map: the closures nest, and so do the codecs.
func ExampleMapStore() {
	type inner = *crdt.MapStore[string, *crdt.CounterStore]
	stock, m := crdt.NewORMap[string, inner](), &crdt.Minter{Actor: 1}
	delta := stock.Update("red", func(v inner) crdt.Change[inner] {
		return v.Update("2019", func(n *crdt.CounterStore) crdt.Change[*crdt.CounterStore] { return n.Add(m, 6) })
	})

	text := crdt.StringCodec[string]()
	values := crdt.MapStoreCodec(text, crdt.CounterStoreCodec())
	elsewhere, err := crdt.DecodeORMap(delta.Append(nil, text, values), text, values)
	if err != nil {
		fmt.Println(err)
		return
	}
	red, _ := elsewhere.Get("red")
	bottles, _ := red.Get("2019")
	fmt.Println(bottles.Value(), elsewhere.Equal(stock))
	// Output: 6 true
}

// Keys that are never taken out, over values of any lattice.
func ExampleGMap() {
	votes := crdt.NewGMap(crdttest.Strings(), crdt.NewGCounter)
	elsewhere := crdt.NewGMap(crdttest.Strings(), crdt.NewGCounter)
	vote := func(by crdt.Actor) func(*crdt.GCounter) *crdt.GCounter {
		return func(c *crdt.GCounter) *crdt.GCounter { return c.Add(by, 1) }
	}
	votes.Update("red", vote(1))
	votes.Join(elsewhere.Update("red", vote(2)))
	red, _ := votes.Get("red")
	fmt.Println(red.Value())
	// Output: 2
}

// Settings: under each key the last write wins.
func ExampleRegisterMap() {
	a := crdt.NewRegisterMap(crdttest.Strings(), crdttest.Strings())
	b := a.Clone()
	a.Set(100, 1, "theme", "dark")
	b.Join(a)
	late := a.Set(105, 1, "theme", "light")
	b.Remove(110, 2, "theme")
	b.Join(late)
	_, ok := b.Get("theme")
	fmt.Println(ok)
	// Output: false
}

// Edges vanish with their ends, and come back with them.
func ExampleGraph() {
	g, m := crdt.NewGraph[string](), &crdt.Minter{Actor: 1}
	g.AddVertex(m, "Ada", "Bob")
	if _, err := g.AddEdge(m, "Ada", "Bob"); err != nil {
		fmt.Println(err)
	}
	_, err := g.AddEdge(m, "Ada", "Cleo")
	fmt.Println(err)
	g.RemoveVertex("Bob")
	fmt.Println(g.HasEdge("Ada", "Bob"))
	// Output:
	// crdt: vertex Cleo is not in the graph: add it first
	// false
}

func ExampleTwoPhaseGraph() {
	g := crdt.NewTwoPhaseGraph(crdttest.Strings())
	for _, v := range []string{"draft", "review", "print"} {
		_, _ = g.AddVertex(v)
	}
	_, _ = g.AddEdge("draft", "review")
	_, err := g.RemoveVertex("review")
	fmt.Println(err)
	_, _ = g.RemoveVertex("print")
	_, err = g.AddVertex("print")
	fmt.Println(err)
	// Output:
	// crdt: vertex review has edge draft→review: remove the edge first
	// crdt: print was removed, for good: add it under another name
}

// A text that several write: each word has a place between two others, and keeps it.
func ExamplePartialOrder() {
	a := crdt.NewPartialOrder(crdttest.Strings())
	b := a.Clone()
	start, end := crdt.Start[string](), crdt.End[string]()
	_, _ = a.Add("wine", start, end)
	_, _ = a.Add("good", start, crdt.At("wine"))
	b.Join(a)
	here, _ := a.Add("very", start, crdt.At("good"))
	there, _ := b.Add("red", crdt.At("good"), crdt.At("wine")) // at the same time
	a.Join(there)
	b.Join(here)
	for word := range a.All() {
		fmt.Print(word, " ")
	}
	fmt.Println(a.Equal(b))
	// Output: very good red wine true
}

func ExamplePair() {
	p := crdt.NewPair(crdt.NewGCounter(), crdt.NewSet[string]())
	q := p.Clone()
	m := &crdt.Minter{Actor: 1}
	q.Join(p.ChangeFirst(func(c *crdt.GCounter) *crdt.GCounter { return c.Add(1, 1) }))
	q.Join(p.ChangeSecond(func(s *crdt.Set[string]) *crdt.Set[string] { return s.Add(m, "Ada") }))
	fmt.Println(q.First().Value(), q.Second().Len(), p.Equal(q))
	// Output: 1 1 true
}
