package crdt

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/encoding/protowire"
)

// A register map's digest lists hash of key, stamp and hash of value for each entry while they are few, and
// is answered exactly. Beyond, entries are put into buckets by their key's hash, about 16 in each, and the
// digest has each bucket's sum of hashes; a bucket that differs is answered in full.

const (
	listedEntries  = 256
	bucketEntries  = 16
	maxBucketsLog2 = 20
)

// entryID says which write of which key an entry is.
type entryID struct {
	key   uint64 // hash of the key
	stamp stamp
	value uint64 // hash of stamp and value
}

func (m *RegisterMap[K, V]) id(k K, e *mapEntry[V], buf []byte) (entryID, []byte) {
	buf = m.keys.Append(buf[:0], k)
	id := entryID{key: xxh3.Hash(buf), stamp: e.stamp}
	buf = e.append(buf[:0], m.values)
	id.value = xxh3.Hash(buf)
	return id, buf
}

func (id entryID) hash() uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], id.key)
	binary.LittleEndian.PutUint64(b[8:], id.value)
	return xxh3.Hash(b[:])
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

// Hash implements Lattice. It encodes all entries: O(n).
func (m *RegisterMap[K, V]) Hash() uint64 {
	var h uint64
	m.ids(func(_ K, id entryID) { h += id.hash() })
	return h
}

func (m *RegisterMap[K, V]) buckets(log2 uint64) []uint64 {
	sums := make([]uint64, 1<<log2)
	m.ids(func(_ K, id entryID) { sums[bucketOf(id.key, log2)] += id.hash() })
	return sums
}

func bucketOf(key, log2 uint64) uint64 {
	return key >> (64 - log2) // a shift by 64 gives 0
}

// Digest implements Lattice. It encodes all entries: O(n). Up to 256 entries it has some 30 bytes for each,
// beyond about half a byte.
func (m *RegisterMap[K, V]) Digest() []byte {
	b := appendVersion(nil)
	if m.Size() > listedEntries {
		log2 := min(uint64(bits.Len(uint(m.Size()/bucketEntries))), maxBucketsLog2)
		b = appendUint(b, 3, log2)
		return appendNested(b, 4, func(b []byte) []byte {
			for _, sum := range m.buckets(log2) {
				b = binary.LittleEndian.AppendUint64(b, sum)
			}
			return b
		})
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
	listed, sums, log2, err := decodeMapDigest(digest)
	if err != nil || m.IsEmpty() {
		return nil, err
	}
	var mine []uint64
	if sums != nil {
		mine = m.buckets(log2)
	}
	var delta *RegisterMap[K, V]
	m.ids(func(k K, id entryID) {
		if sums != nil {
			if at := bucketOf(id.key, log2); mine[at] == sums[at] {
				return
			}
		} else if theirs, ok := listed[id.key]; ok {
			if c := id.stamp.compare(theirs.stamp); c < 0 || c == 0 && id.value == theirs.value {
				return
			}
		}
		if delta == nil {
			delta = m.like()
		}
		delta.put(k, m.entries[k])
	})
	return delta, nil
}

func decodeMapDigest(b []byte) (listed map[uint64]entryID, sums []uint64, log2 uint64, err error) {
	r := reader{message: "RegisterMapDigest", b: b}
	r.version()
	for r.next(2) {
		switch r.num {
		case 2:
			in := reader{message: "RegisterMapDigest.Entry", b: r.bytes()}
			id := in.entryID()
			if listed == nil {
				listed = make(map[uint64]entryID)
			}
			listed[id.key] = id
			r.inner(&in)
		case 3:
			log2 = r.uint()
			if r.err == nil && log2 > maxBucketsLog2 {
				r.fail("2^%d buckets", log2)
			}
		case 4:
			raw := r.bytes()
			if r.err == nil && (log2 == 0 || listed != nil || len(raw) != 8<<log2) {
				r.fail("%d bytes for 2^%d buckets", len(raw), log2)
				break
			}
			for ; len(raw) > 0; raw = raw[8:] {
				sums = append(sums, binary.LittleEndian.Uint64(raw))
			}
		default:
			r.unknown()
		}
	}
	if r.err == nil && log2 != 0 && sums == nil {
		r.fail("the buckets are missing")
	}
	return listed, sums, log2, r.finish()
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
