package crdt_test

import (
	"errors"
	"fmt"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/crdttest"
)

// Tickets are sold at two places that do not ask each other.
func ExampleBoundedCounter() {
	const office, web crdt.Actor = 1, 2
	atOffice, onWeb := crdt.NewBoundedCounter(), crdt.NewBoundedCounter()
	onWeb.Join(atOffice.Inc(office, 10))

	_, err := onWeb.Dec(web, 1)
	var no *crdt.NoRights
	fmt.Println(errors.As(err, &no), no.Have, no.Want)

	given, _ := atOffice.Transfer(office, web, 4)
	onWeb.Join(given)
	sold, err := onWeb.Dec(web, 3)
	fmt.Println(err, onWeb.Rights(web))

	atOffice.Join(sold)
	fmt.Println(atOffice.Value(), atOffice.Rights(office))
	// Output:
	// true 0 1
	// <nil> 1
	// 7 6
}

func ExampleResetCounter() {
	a, b := crdt.NewResetCounter(), crdt.NewResetCounter()
	b.Join(a.Add(1, 5))
	reset := b.Reset()
	more := a.Add(1, 2) // at the same time
	a.Join(reset)
	b.Join(more)
	fmt.Println(a.Value(), b.Value())
	// Output: 2 2
}

// Votes count within a round; the next round begins at zero, and late votes of the last one are void.
func ExampleLexPair() {
	round := func() *crdt.LexPair[*crdt.GCounter, *crdt.GCounter] {
		return crdt.NewLexPair(crdt.NewGCounter(), crdt.NewGCounter())
	}
	a, b := round(), round()
	vote := func(c *crdt.GCounter) *crdt.GCounter { return c.Add(2, 1) }
	b.ChangeSecond(vote)
	late := b.ChangeSecond(vote)

	// One actor alone raises the round: then it is a chain, as first parts must be.
	next := a.ChangeFirst(func(c *crdt.GCounter) *crdt.GCounter { return c.Add(1, 1) })
	a.Join(late)
	b.Join(next)
	fmt.Println(a.Second().Value(), b.Second().Value(), a.Equal(b))
	// Output: 0 0 true
}

// Account is a struct of lattices, and one itself.
type Account struct {
	Owner  *crdt.Register[string]
	Logins *crdt.GCounter
}

var accounts = crdt.NewLayout("Account",
	crdt.Field(2, "owner", func(a *Account) **crdt.Register[string] { return &a.Owner }, crdt.RegisterCodec(crdttest.Strings())),
	crdt.Field(3, "logins", func(a *Account) **crdt.GCounter { return &a.Logins }, crdt.CodecOf(crdt.DecodeGCounter)),
)

func (a *Account) Join(d *Account) *Account              { return accounts.Join(a, d) }
func (a *Account) LessOrEqual(o *Account) bool           { return accounts.LessOrEqual(a, o) }
func (a *Account) Equal(o *Account) bool                 { return accounts.Equal(a, o) }
func (a *Account) Clone() *Account                       { return accounts.Clone(a) }
func (a *Account) IsEmpty() bool                         { return accounts.IsEmpty(a) }
func (a *Account) Size() int                             { return accounts.Size(a) }
func (a *Account) Hash() uint64                          { return accounts.Hash(a) }
func (a *Account) Digest() []byte                        { return accounts.Digest(a) }
func (a *Account) Since(digest []byte) (*Account, error) { return accounts.Since(a, digest) }
func (a *Account) Parts() []*Account                     { return accounts.Parts(a) }
func (a *Account) String() string                        { return accounts.String(a) }

// By these drafts can change it, and so can atomic blocks where it is a variable.
func (a *Account) Observe(draft *Account, now int64) *Account {
	return accounts.Observe(a, draft, now)
}
func (a *Account) Effect(m *crdt.Minter, own *Account) (*Account, error) {
	return accounts.Effect(a, m, own)
}

// Login is a mutator: it changes a field, and returns that field's delta in a struct that is empty otherwise.
func (a *Account) Login(by crdt.Actor) *Account {
	return &Account{Logins: a.Logins.Add(by, 1)}
}

var (
	_ crdt.Lattice[*Account]   = (*Account)(nil)
	_ crdt.Operation[*Account] = (*Account)(nil)
	_ crdt.Observer[*Account]  = (*Account)(nil)
)

func ExampleLayout() {
	a, b := accounts.New(), accounts.New()
	b.Join(a.Login(1))
	b.Join(&Account{Owner: a.Owner.Set(1, 1, "Ada")})
	novelty := a.Join(b.Login(2))
	fmt.Println(novelty)
	fmt.Println(a.Equal(b), a.Logins.Value())
	text, _ := accounts.JSON(&Account{Logins: a.Logins})
	fmt.Println(string(text))
	// Output:
	// Account{owner: Register(), logins: GCounter(1 of 1 rows)}
	// true 2
	// {"owner":null,"logins":2}
}

// A change is made where no actor is, on a copy, and put into effect where one is: in its name, at its time.
func ExampleEffect() {
	replica, kept, actor := accounts.New(), accounts.New(), &crdt.Minter{Actor: 7}

	away, as := accounts.New(), crdt.NewDraft()
	draft := away.Login(as.Actor)
	draft.Join(&Account{Owner: away.Owner.Set(crdt.DraftTime, as.Actor, "Ada")})

	if err := crdt.CheckDraft(draft, away); err != nil { // before it is sent
		fmt.Println(err)
		return
	}
	delta, err := crdt.Effect(crdt.Observe(replica, draft, 1000), actor, kept) // where it has arrived
	if err != nil {
		fmt.Println(err)
		return
	}
	replica.Join(delta)
	fmt.Println(replica.Owner, replica.Logins.Row(7))
	// Output:
	// Register(Ada at 1000 by 7) 1
}
