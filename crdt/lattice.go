package crdt

// Lattice is what all types of this package have in common: states that only grow in an order, and a least
// upper bound of any two. L is the pointer type itself; nil is the least state, and is what a method
// returns in place of a delta that says nothing.
type Lattice[L any] interface {
	// Join makes the receiver the least upper bound of itself and delta, and returns the novelty: the
	// smallest delta that would have done the same, nil when delta held nothing new. What travels on is
	// the novelty. delta is only read.
	Join(delta L) (novelty L)
	// LessOrEqual says whether joining the receiver into other would change nothing.
	LessOrEqual(other L) bool
	// Equal says whether both are the same state.
	Equal(other L) bool
	// Clone returns a copy; changing one does not change the other.
	Clone() L
	// IsEmpty says whether this is the least state, as nil is.
	IsEmpty() bool
	// Size is the number of elements, rows or entries that the state carries; for a delta what it costs
	// to send, up to the causal context.
	Size() int
	// Hash is equal for equal states. Unequal states collide by chance, or by intent of whoever chooses
	// dots: it finds divergence, it proves nothing against an adversary.
	Hash() uint64
	// Digest says which state this is, in far fewer bytes where the state is large.
	Digest() []byte
	// Since returns what a replica lacks whose Digest that was, nil when it lacks nothing.
	Since(digest []byte) (L, error)
	// Parts returns the join-irreducible parts: the state is their join, and none of them is the join of
	// lesser states. For tests, and for cutting up deltas of one's own making.
	Parts() []L
	// String prints the state for logs.
	String() string
}
