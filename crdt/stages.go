package crdt

import (
	"iter"

	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/encoding/protowire"
)

// stage is how far an item of a two-phase state has come; join takes the later one.
type stage uint8

const (
	stageAdded   stage = 1
	stageRemoved stage = 2 // for good
)

// stages is what two-phase states are made of: items that are added once and removed once.
type stages[F comparable] struct {
	codec   Codec[F]
	entries map[F]stage
}

func (s *stages[F]) put(f F, p stage) {
	if s.entries == nil {
		s.entries = make(map[F]stage)
	}
	s.entries[f] = max(p, s.entries[f])
}

// join returns the items that came further.
func (s *stages[F]) join(delta *stages[F]) (novelty stages[F]) {
	if s.codec.Append == nil {
		s.codec = delta.codec
	}
	novelty.codec = s.codec
	for f, p := range delta.entries {
		if p > s.entries[f] {
			s.put(f, p)
			novelty.put(f, p)
		}
	}
	return novelty
}

func (s *stages[F]) lessOrEqual(o *stages[F]) bool {
	for f, p := range s.entries {
		if p > o.entries[f] {
			return false
		}
	}
	return true
}

func (s *stages[F]) clone() stages[F] {
	out := stages[F]{codec: s.codec}
	for f, p := range s.entries {
		out.put(f, p)
	}
	return out
}

// each calls f with every item.
func (s *stages[F]) each(f func(F, stage, keyState)) {
	var buf []byte
	for item, p := range s.entries {
		buf = s.codec.Append(buf[:0], item)
		f(item, p, keyState{key: xxh3.Hash(buf), value: uint64(p), state: func() []byte { return []byte{byte(p)} }})
	}
}

func (s *stages[F]) states(f func(keyState)) {
	s.each(func(_ F, _ stage, st keyState) { f(st) })
}

func (s *stages[F]) hash() (h uint64) {
	s.states(func(st keyState) { h += st.hash() })
	return h
}

func (s *stages[F]) digest() []byte { return appendKeyDigest(nil, len(s.entries), s.states) }

// since returns the items that the digest's owner may lack.
func (s *stages[F]) since(digest []byte) (delta stages[F], err error) {
	d, err := decodeKeyDigest(digest)
	if err != nil {
		return delta, err
	}
	delta.codec = s.codec
	lacks := make(map[uint64]bool)
	d.lacking(s.states, func(st keyState, theirs []byte) {
		if len(theirs) != 1 || uint64(theirs[0]) < st.value {
			lacks[st.key] = true
		}
	})
	s.each(func(f F, p stage, st keyState) {
		if lacks[st.key] {
			delta.put(f, p)
		}
	})
	return delta, nil
}

// sorted yields the items by their bytes.
func (s *stages[F]) sorted() iter.Seq2[F, stage] {
	return func(yield func(F, stage) bool) {
		if s == nil || len(s.entries) == 0 {
			return
		}
		for _, e := range sortedEntries(s.entries, s.codec) {
			if !yield(e.key, e.value) {
				return
			}
		}
	}
}

// append appends the items as fields 2 (added) and 3 (removed).
func (s *stages[F]) append(b []byte, codec Codec[F]) []byte {
	b = appendVersion(b)
	entries := sortedEntries(s.entries, codec)
	for _, p := range []stage{stageAdded, stageRemoved} {
		for _, e := range entries {
			if e.value == p {
				b = appendBytes(b, protowire.Number(1+p), e.bytes)
			}
		}
	}
	return b
}

// decode reads what append wrote.
func (s *stages[F]) decode(message string, b []byte) error {
	r := reader{message: message, b: b}
	r.version()
	var last [stageRemoved + 1]string
	for r.next(2, 3) {
		if r.num != 2 && r.num != 3 {
			r.unknown()
			break
		}
		p := stage(r.num - 1)
		at := r
		f := decodeValue(&r, s.codec)
		raw := string(at.bytes())
		if _, ok := s.entries[f]; ok && r.err == nil {
			r.fail("an item comes twice")
		}
		if r.err == nil && last[p] != "" && raw <= last[p] {
			r.fail("items are not in order")
		}
		if r.err != nil {
			break
		}
		s.put(f, p)
		last[p] = raw
	}
	return r.finish()
}
