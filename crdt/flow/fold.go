package flow

import (
	"bytes"
	"math/bits"

	"github.com/zeebo/xxh3"

	"github.com/martinelli-go/martinelli/crdt"
)

// FoldBy groups the elements of in and joins of(e) over each group with join, which must be associative
// and commutative: one entry for every group that is not empty, so no neutral element is asked for. An
// element counts once, whatever its weight.
//
// The elements of a group stand in a tree whose shape is decided by the hashes of their encodings alone,
// and each of its nodes holds the join of what is below it. So an element that enters or leaves costs
// O(log g) joins in a group of g, expected; no inverse is needed; and the value is a function of the set
// of elements, not of their order of arrival, even where join is commutative or associative only in
// name: a sum of floats comes out the same, bit for bit, at every replica. (It is still rounded, and a
// NaN, which does not equal itself, must not come up.)
//
// Partial aggregates in the nodes of a balanced tree are those of "General Incremental Sliding-Window
// Aggregation" (Tangwongsan, Hirzel, Schneider, Wu, VLDB 2015). That a set decides its tree, by hashes, is from
// "Incremental Computation via Function Caching" (Pugh and Teitelbaum, POPL 1989); the tree is the binary trie
// without nodes of one child of "PATRICIA" (Morrison, JACM 15, 1968).
//
// by, of and join must be pure, and join must not change its arguments. The values, like all elements,
// are comparable. Elements whose 64-bit hashes are equal stand in a list; who lets strangers choose
// elements at will must expect them to make such.
func FoldBy[K, E, V comparable](name string, in Node[E], by func(E) K, of func(E) V, join func(a, b V) V) Node[Entry[K, V]] {
	s := declare("fold-by", name, in.spec)
	s.refuse(by == nil || of == nil || join == nil, "one of its functions is nil")
	s.build = buildFold("FoldBy", by, true, func(f *groupFold[K, E, V]) group[E, V] {
		return &folded[E, V]{of: of, join: join, codec: f.codec}
	})
	return Node[Entry[K, V]]{s}
}

// folded is a group as a binary trie over hashes, without nodes that have one child.
type folded[E comparable, V any] struct {
	of    func(E) V
	join  func(a, b V) V
	codec crdt.Codec[E]
	root  *knot[E, V]
	buf   []byte

	hash func([]byte) uint64 // in tests, so that hashes meet; nil for the real one
}

// leafBit is the bit of a leaf: one beyond the last of a hash.
const leafBit = 64

// knot is a node of the trie. Below an inner one the hashes agree in the bits before bit, counted from
// the highest; those with a 0 there are to the left. A leaf holds one element; further ones of the same
// hash follow in next, by ascending encoding.
type knot[E, V any] struct {
	hash        uint64 // of a leaf; of an inner knot, one that agrees with all below in the bits before bit
	bit         int
	left, right *knot[E, V]
	next        *knot[E, V]
	elem        E
	value       V
}

func (f *folded[E, V]) hashOf(e E) uint64 {
	f.buf = f.codec.Append(f.buf[:0], e)
	if f.hash != nil {
		return f.hash(f.buf)
	}
	return xxh3.Hash(f.buf)
}

func (f *folded[E, V]) empty() bool { return f.root == nil }
func (f *folded[E, V]) value() V    { return f.root.value }

func (f *folded[E, V]) enter(e E, steps *int64) {
	f.root = f.insert(f.root, &knot[E, V]{hash: f.hashOf(e), bit: leafBit, elem: e, value: f.of(e)}, steps)
}

func (f *folded[E, V]) leave(e E, steps *int64) bool {
	root, found := f.remove(f.root, f.hashOf(e), e, steps)
	f.root = root
	return found
}

func (f *folded[E, V]) insert(at, leaf *knot[E, V], steps *int64) *knot[E, V] {
	*steps++
	if at == nil {
		return leaf
	}
	differ := bits.LeadingZeros64(at.hash ^ leaf.hash)
	if differ < at.bit {
		up := &knot[E, V]{hash: leaf.hash, bit: differ, left: leaf, right: at}
		if right(leaf.hash, differ) {
			up.left, up.right = at, leaf
		}
		return f.joined(up)
	}
	if at.bit == leafBit {
		return f.chain(at, leaf, steps)
	}
	child := at.child(leaf.hash)
	*child = f.insert(*child, leaf, steps)
	return f.joined(at)
}

// chain puts leaf among those of its hash.
func (f *folded[E, V]) chain(at, leaf *knot[E, V], steps *int64) *knot[E, V] {
	*steps++
	if at != nil && bytes.Compare(f.codec.Append(nil, at.elem), f.codec.Append(nil, leaf.elem)) < 0 {
		at.next = f.chain(at.next, leaf, steps)
		return f.chained(at)
	}
	leaf.next = at
	return f.chained(leaf)
}

func (f *folded[E, V]) remove(at *knot[E, V], hash uint64, e E, steps *int64) (*knot[E, V], bool) {
	*steps++
	switch {
	case at == nil:
		return nil, false
	case at.bit == leafBit:
		return f.unchain(at, e, steps)
	}
	child := at.child(hash)
	next, found := f.remove(*child, hash, e, steps)
	if !found {
		return at, false
	}
	*child = next
	switch {
	case at.left == nil:
		return at.right, true
	case at.right == nil:
		return at.left, true
	default:
		return f.joined(at), true
	}
}

func (f *folded[E, V]) unchain(at *knot[E, V], e E, steps *int64) (*knot[E, V], bool) {
	*steps++
	switch {
	case at == nil:
		return nil, false
	case at.elem == e:
		return at.next, true
	}
	next, found := f.unchain(at.next, e, steps)
	if !found {
		return at, false
	}
	at.next = next
	return f.chained(at), true
}

// joined gives an inner knot its value.
func (f *folded[E, V]) joined(at *knot[E, V]) *knot[E, V] {
	at.value = f.join(at.left.value, at.right.value)
	return at
}

// chained gives a leaf the value of it and of all that follow.
func (f *folded[E, V]) chained(at *knot[E, V]) *knot[E, V] {
	at.value = f.of(at.elem)
	if at.next != nil {
		at.value = f.join(at.value, at.next.value)
	}
	return at
}

func (k *knot[E, V]) child(hash uint64) **knot[E, V] {
	if right(hash, k.bit) {
		return &k.right
	}
	return &k.left
}

// right says on which side of a knot at bit a hash belongs.
func right(hash uint64, bit int) bool { return hash>>(63-bit)&1 == 1 }
