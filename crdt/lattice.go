package crdt

// Lattice is what all types of this package have in common: states that only grow in an order, and a least
// upper bound of any two. L is the pointer type itself; nil is the least state, and is what a method
// returns in place of a delta that says nothing. A nil L can be read like an empty state, Clone of it too;
// only Join and mutators need a state to work on.
//
// A composed type (Pair, LexPair, GMap, a struct by way of Layout) holds its parts as lattices, nil for a part
// that is empty, and needs these methods alone to join, compare and repair. What else a part needs, and what
// for:
//
//	a Codec[L]         to be encoded. CodecOf makes one of a type whose Append and decoder take no codec, SetCodec
//	                   and the like of those that do. An empty part is left out of the encoding, and its Codec is
//	                   what a decoded state gets its empty part from: so this interface says nothing of bytes but
//	                   digests.
//	Effect             to be changed by a draft, as variables of a cluster and atomic blocks do: see [Operation].
//	                   A part without it is refused there with *NoEffect. It may return the receiver where deltas
//	                   need no identity.
//	Observe            where a draft of it needs something of the replica's state or clock: see [Observer].
//	MarshalJSON        to look in JSON like anything but its String.
//
// All types of this package have what they need of these.
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
