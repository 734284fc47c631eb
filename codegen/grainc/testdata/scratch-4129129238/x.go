package x

import "github.com/martinelli-go/martinelli/crdt"

//crdt:lattice
type S struct {
	C *crdt.GFlag
	//grain:was A
	Visits *crdt.Counter
	B *crdt.Set[string]
}
