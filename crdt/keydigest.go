package crdt

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/zeebo/xxh3"
)

// keyState is one entry of a grow-only map as a digest tells it.
type keyState struct {
	key   uint64        // hash of the key
	value uint64        // hash of the value
	state func() []byte // says which value this is
}

func (s *keyState) hash() uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], s.key)
	binary.LittleEndian.PutUint64(b[8:], s.value)
	return xxh3.Hash(b[:])
}

// keyDigest is the digest of a grow-only map, message KeyDigest of crdt.proto: while entries are few each
// one's key by its hash and its state, beyond that sums of hashes by buckets of the keys' hashes.
type keyDigest struct {
	listed map[uint64][]byte
	sums   []uint64
	log2   uint64
}

func sumBuckets(log2 uint64, each func(func(keyState))) []uint64 {
	sums := make([]uint64, 1<<log2)
	each(func(s keyState) { sums[bucketOf(s.key, log2)] += s.hash() })
	return sums
}

// appendKeyDigest appends the digest of n entries.
func appendKeyDigest(b []byte, n int, each func(func(keyState))) []byte {
	b = appendVersion(b)
	if n > listedEntries {
		log2 := min(uint64(bits.Len(uint(n/bucketEntries))), maxBucketsLog2)
		b = appendUint(b, 3, log2)
		return appendNested(b, 4, func(b []byte) []byte {
			for _, sum := range sumBuckets(log2, each) {
				b = binary.LittleEndian.AppendUint64(b, sum)
			}
			return b
		})
	}
	states := make([]keyState, 0, n)
	each(func(s keyState) { states = append(states, s) })
	slices.SortFunc(states, func(a, b keyState) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.value, b.value))
	})
	for _, s := range states {
		b = appendNested(b, 2, func(b []byte) []byte {
			b = appendFixed64(b, 1, s.key)
			return appendBytes(b, 2, s.state())
		})
	}
	return b
}

func decodeKeyDigest(b []byte) (*keyDigest, error) {
	d := &keyDigest{}
	r := reader{message: "KeyDigest", b: b}
	r.version()
	for r.next(2) {
		switch r.num {
		case 2:
			in := reader{message: "KeyDigest.Entry", b: r.bytes()}
			if !in.next() || in.num != 1 {
				in.fail("the key is missing")
			}
			key := in.fixed64()
			if !in.next() || in.num != 2 {
				in.fail("the state is missing")
			}
			state := in.bytes()
			if r.inner(&in); r.err != nil {
				break
			}
			if d.listed == nil {
				d.listed = make(map[uint64][]byte)
			}
			d.listed[key] = state
		case 3:
			d.log2 = r.uint()
			if r.err == nil && (d.listed != nil || d.log2 > maxBucketsLog2) {
				r.fail("2^%d buckets", d.log2)
			}
		case 4:
			raw := r.bytes()
			if r.err == nil && (d.log2 == 0 || len(raw) != 8<<d.log2) {
				r.fail("%d bytes for 2^%d buckets", len(raw), d.log2)
			}
			for ; r.err == nil && len(raw) > 0; raw = raw[8:] {
				d.sums = append(d.sums, binary.LittleEndian.Uint64(raw))
			}
		default:
			r.unknown()
		}
	}
	if r.err == nil && d.log2 != 0 && d.sums == nil {
		r.fail("the buckets are missing")
	}
	return d, r.finish()
}

// lacking calls f with the entries that the digest's owner may lack, and with the state that it lists for
// the key, nil when it lists none.
func (d *keyDigest) lacking(each func(func(keyState)), f func(s keyState, theirs []byte)) {
	var mine []uint64
	if d.sums != nil {
		mine = sumBuckets(d.log2, each)
	}
	each(func(s keyState) {
		if d.sums == nil {
			f(s, d.listed[s.key])
		} else if at := bucketOf(s.key, d.log2); mine[at] != d.sums[at] {
			f(s, nil)
		}
	})
}
