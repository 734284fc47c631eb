package crdt

import (
	"fmt"
	"testing"
)

// Ratios are what counts: BenchmarkSetAdd against BenchmarkMapInsert, of one run, and BenchmarkSetJoin
// against itself over the sizes.

var benchSizes = []int{1e3, 1e5, 1e6}

func BenchmarkMapInsert(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m := map[uint64]struct{}{}
				for e := range uint64(n) {
					m[e] = struct{}{}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/element")
		})
	}
}

var sink *Set[uint64]

func BenchmarkSetAdd(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s, m := NewSet[uint64](), &Minter{Actor: 1}
				for e := range uint64(n) {
					sink = s.Add(m, e)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/element")
		})
	}
}

// BenchmarkSetJoin joins deltas of 10 elements, alternately new and removing those, into a set of n.
func BenchmarkSetJoin(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, m, other := NewSet[uint64](), &Minter{Actor: 1}, &Minter{Actor: 2}
			for e := range uint64(n) {
				s.Add(m, e)
			}
			es := make([]uint64, 10)
			for i := range es {
				es[i] = uint64(n + i)
			}
			b.ReportAllocs()
			for b.Loop() {
				add := SetOp[uint64]{Add: es}.Effect(other)
				s.Join(add)
				s.Remove(es...)
			}
		})
	}
}

func BenchmarkSetDigest(b *testing.B) {
	s, m := NewSet[uint64](), &Minter{Actor: 1}
	for e := range uint64(1e6) {
		s.Add(m, e)
	}
	b.ReportMetric(float64(len(s.Digest())), "B")
	b.ReportAllocs()
	for b.Loop() {
		s.Digest()
	}
}

func BenchmarkSetEncode(b *testing.B) {
	s, m := NewSet[uint64](), &Minter{Actor: 1}
	for e := range uint64(1e5) {
		s.Add(m, e)
	}
	enc := s.Append(nil, uintCodec())
	b.Run("append", func(b *testing.B) {
		b.SetBytes(int64(len(enc)))
		for b.Loop() {
			enc = s.Append(enc[:0], uintCodec())
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(enc)))
		for b.Loop() {
			if _, err := DecodeSet(enc, uintCodec()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
