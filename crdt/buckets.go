package crdt

import (
	"encoding/binary"
	"math/bits"

	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/encoding/protowire"
)

// Digests of types without dots list their entries while these are few, and are answered exactly. Beyond,
// entries are put into buckets by their key's hash, about 16 in each, and the digest has the sum of each
// bucket's hashes; a bucket that differs is answered in full.

const (
	listedEntries  = 256
	bucketEntries  = 16
	maxBucketsLog2 = 20
)

// entryHash is one entry as a digest tells it: hashes of its key and of its value.
type entryHash struct{ key, value uint64 }

// hash covers both. A state's hash is the sum of its entries'.
func (h entryHash) hash() uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], h.key)
	binary.LittleEndian.PutUint64(b[8:], h.value)
	return xxh3.Hash(b[:])
}

// entryHashes calls a function with every entry.
type entryHashes func(func(entryHash))

func (each entryHashes) sum() (sum uint64) {
	each(func(h entryHash) { sum += h.hash() })
	return sum
}

// buckets are the sums of a digest that has them; without sums it lists entries.
type buckets struct {
	log2 uint64
	sums []uint64
}

func (each entryHashes) buckets(log2 uint64) buckets {
	d := buckets{log2, make([]uint64, 1<<log2)}
	each(func(h entryHash) { d.sums[d.of(h.key)] += h.hash() })
	return d
}

func (d *buckets) of(key uint64) uint64 { return key >> (64 - d.log2) } // a shift by 64 gives 0

// append appends buckets for n entries, more than are listed, as fields num and num+1.
func (each entryHashes) append(b []byte, num protowire.Number, n int) []byte {
	log2 := min(uint64(bits.Len(uint(n/bucketEntries))), maxBucketsLog2)
	return appendWords(appendUint(b, num, log2), num+1, each.buckets(log2).sums)
}

func appendWords(b []byte, num protowire.Number, words []uint64) []byte {
	return appendNested(b, num, func(b []byte) []byte {
		for _, w := range words {
			b = binary.LittleEndian.AppendUint64(b, w)
		}
		return b
	})
}

// words reads a field of 64-bit words, at least one.
func (r *reader) words() []uint64 {
	raw := r.bytes()
	if r.err == nil && (len(raw) == 0 || len(raw)%8 != 0) {
		r.fail("field %d has %d bytes, want some of 8 each", r.num, len(raw))
	}
	if r.err != nil {
		return nil
	}
	out := make([]uint64, 0, len(raw)/8)
	for ; len(raw) > 0; raw = raw[8:] {
		out = append(out, binary.LittleEndian.Uint64(raw))
	}
	return out
}

func (d *buckets) readLog2(r *reader) {
	d.log2 = r.uint()
	if r.err == nil && d.log2 > maxBucketsLog2 {
		r.fail("2^%d buckets", d.log2)
	}
}

func (d *buckets) readSums(r *reader) {
	d.sums = r.words()
	if r.err == nil && (d.log2 == 0 || len(d.sums) != 1<<d.log2) {
		r.fail("%d words for 2^%d buckets", len(d.sums), d.log2)
	}
}

// finish checks what was read; listed says whether the digest lists entries.
func (d *buckets) finish(r *reader, listed bool) error {
	if r.err == nil && d.log2 != 0 && d.sums == nil {
		r.fail("the buckets are missing")
	}
	if r.err == nil && d.log2 != 0 && listed {
		r.fail("buckets beside listed entries")
	}
	return r.finish()
}

// differ returns which keys are in buckets that differ from those of mine, given that there are sums.
func (d *buckets) differ(mine entryHashes) func(key uint64) bool {
	ours := mine.buckets(d.log2)
	return func(key uint64) bool {
		at := d.of(key)
		return ours.sums[at] != d.sums[at]
	}
}
