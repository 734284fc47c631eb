package crdt

import (
	"cmp"
	"slices"

	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/encoding/protowire"
)

// A register map's digest lists hash of key, stamp and hash of value for each entry while they are few; beyond
// it has buckets.

// entryID says which write of which key an entry is. The hash of its value covers the stamp.
type entryID struct {
	entryHash
	stamp stamp
}

func (m *RegisterMap[K, V]) id(k K, e *mapEntry[V], buf []byte) (entryID, []byte) {
	buf = m.keys.Append(buf[:0], k)
	id := entryID{entryHash{key: xxh3.Hash(buf)}, e.stamp}
	buf = e.append(buf[:0], m.values)
	id.value = xxh3.Hash(buf)
	return id, buf
}

// ids calls f with every entry. It encodes all keys and values.
func (m *RegisterMap[K, V]) ids(f func(K, entryID)) {
	if m.IsEmpty() {
		return
	}
	mustHave(m.keys)
	mustHave(m.values)
	var buf []byte
	for k, e := range m.entries {
		var id entryID
		id, buf = m.id(k, &e, buf)
		f(k, id)
	}
}

func (m *RegisterMap[K, V]) hashes() entryHashes {
	return func(f func(entryHash)) { m.ids(func(_ K, id entryID) { f(id.entryHash) }) }
}

// Hash implements Lattice. It encodes all entries: O(n).
func (m *RegisterMap[K, V]) Hash() uint64 { return m.hashes().sum() }

// Digest implements Lattice. It encodes all entries: O(n). Up to 256 entries it has some 30 bytes for each,
// beyond about half a byte.
func (m *RegisterMap[K, V]) Digest() []byte {
	b := appendVersion(nil)
	if m.Size() > listedEntries {
		return m.hashes().append(b, 3, m.Size())
	}
	ids := make([]entryID, 0, m.Size())
	m.ids(func(_ K, id entryID) { ids = append(ids, id) })
	slices.SortFunc(ids, func(a, b entryID) int { return cmp.Compare(a.key, b.key) })
	for _, id := range ids {
		b = appendNested(b, 2, func(b []byte) []byte {
			b = appendFixed64(b, 1, id.key)
			b = id.stamp.append(b)
			return appendFixed64(b, 4, id.value)
		})
	}
	return b
}

func appendFixed64(b []byte, num protowire.Number, v uint64) []byte {
	b = protowire.AppendTag(b, num, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, v)
}

// Since implements Lattice. To a digest that lists entries the answer is exact, but for two different
// values of one stamp, of which the one here is sent whichever is larger. To one of buckets it is all
// entries of the buckets that differ.
func (m *RegisterMap[K, V]) Since(digest []byte) (*RegisterMap[K, V], error) {
	d, err := decodeMapDigest(digest)
	if err != nil || m.IsEmpty() {
		return nil, err
	}
	has := d.lists
	if d.sums != nil {
		differs := d.differ(m.hashes())
		has = func(id entryID) bool { return !differs(id.key) }
	}
	var delta *RegisterMap[K, V]
	m.ids(func(k K, id entryID) {
		if has(id) {
			return
		}
		if delta == nil {
			delta = m.like()
		}
		delta.put(k, m.entries[k])
	})
	return delta, nil
}

// mapDigest is a decoded digest: what it lists by hash of the key, or buckets.
type mapDigest struct {
	buckets
	listed map[uint64]entryID
}

// lists says whether the digest's owner has what id says, or a later write of its key.
func (d *mapDigest) lists(id entryID) bool {
	theirs, ok := d.listed[id.key]
	if !ok {
		return false
	}
	c := id.stamp.compare(theirs.stamp)
	return c < 0 || c == 0 && id.value == theirs.value
}

func decodeMapDigest(b []byte) (*mapDigest, error) {
	d := &mapDigest{}
	r := reader{message: "RegisterMapDigest", b: b}
	r.version()
	for r.next(2) {
		switch r.num {
		case 2:
			in := reader{message: "RegisterMapDigest.Entry", b: r.bytes()}
			id := in.entryID()
			if d.listed == nil {
				d.listed = make(map[uint64]entryID)
			}
			d.listed[id.key] = id
			r.inner(&in)
		case 3:
			d.readLog2(&r)
		case 4:
			d.readSums(&r)
		default:
			r.unknown()
		}
	}
	return d, d.finish(&r, d.listed != nil)
}

func (r *reader) entryID() (id entryID) {
	for r.next() {
		switch r.num {
		case 1:
			id.key = r.fixed64()
		case 2:
			id.stamp.at = unzigzag(r.uint())
		case 3:
			id.stamp.actor = Actor(r.uint())
		case 4:
			id.value = r.fixed64()
		default:
			r.unknown()
		}
	}
	return id
}
