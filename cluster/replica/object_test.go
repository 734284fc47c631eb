package replica

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// set is an add-wins set with dots, as plain as can be: it remembers every dot that it ever saw, and for
// each whether it lives. A delta is a list of dots.
type set struct {
	dots map[dot]state
}

type dot struct{ actor, seq uint64 }

type state struct {
	alive bool
	elem  string
}

func newSet() *set { return &set{dots: map[dot]state{}} }

var errSet = errors.New("not a delta of a set")

func (s *set) add(d dot, elem string) []byte {
	delta := appendDot(nil, d, state{true, elem})
	if _, err := s.Join(delta); err != nil {
		panic(err)
	}
	return delta
}

func (s *set) remove(elem string) (delta []byte) {
	for _, d := range s.sorted() {
		if st := s.dots[d]; st.alive && st.elem == elem {
			delta = appendDot(delta, d, state{})
		}
	}
	if _, err := s.Join(delta); err != nil {
		panic(err)
	}
	return delta
}

func (s *set) elems() (all []string) {
	for _, st := range s.dots {
		if st.alive {
			all = append(all, st.elem)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s *set) sorted() []dot {
	all := make([]dot, 0, len(s.dots))
	for d := range s.dots {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b dot) int { return cmp.Or(cmp.Compare(a.actor, b.actor), cmp.Compare(a.seq, b.seq)) })
	return all
}

func appendDot(b []byte, d dot, st state) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, d.actor), d.seq)
	if !st.alive {
		return append(b, 0)
	}
	b = append(b, 1)
	b = binary.AppendUvarint(b, uint64(len(st.elem)))
	return append(b, st.elem...)
}

func eachDot(b []byte, f func(dot, state)) error {
	for len(b) > 0 {
		var d dot
		var st state
		for _, field := range []*uint64{&d.actor, &d.seq} {
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return errSet
			}
			*field, b = v, b[n:]
		}
		if len(b) == 0 || b[0] > 1 {
			return errSet
		}
		st.alive, b = b[0] == 1, b[1:]
		if st.alive {
			v, n := binary.Uvarint(b)
			if n <= 0 || v > uint64(len(b)-n) {
				return errSet
			}
			st.elem, b = string(b[n:n+int(v)]), b[n+int(v):]
		}
		f(d, st)
	}
	return nil
}

func (s *set) Join(delta []byte) (novelty []byte, err error) {
	if err := eachDot(delta, func(dot, state) {}); err != nil {
		return nil, err
	}
	err = eachDot(delta, func(d dot, st state) {
		if known, ok := s.dots[d]; !ok || known.alive && !st.alive {
			s.dots[d] = st
			novelty = appendDot(novelty, d, st)
		}
	})
	return novelty, err
}

func (s *set) hash(lives bool) (sum uint64) {
	for d, st := range s.dots {
		h := mix(d.actor, d.seq)
		if st.alive && lives {
			h = mix(h, 1)
		}
		sum += h
	}
	return sum
}

func (s *set) Hash() uint64 { return s.hash(true) }

// contextHash is what a context alone would tell: which dots were seen, not which live.
func contextHash(o Object) uint64 { return o.(*set).hash(false) }

func (s *set) Digest() (b []byte) {
	for _, d := range s.sorted() {
		b = appendDot(b, d, state{alive: s.dots[d].alive})
	}
	return b
}

func (s *set) Since(digest []byte) (delta []byte, err error) {
	theirs := map[dot]bool{}
	if err := eachDot(digest, func(d dot, st state) { theirs[d] = st.alive }); err != nil {
		return nil, err
	}
	for _, d := range s.sorted() {
		alive, seen := theirs[d]
		if st := s.dots[d]; !seen || alive && !st.alive {
			delta = appendDot(delta, d, st)
		}
	}
	return delta, nil
}

func (s *set) State() []byte {
	delta, err := s.Since(nil)
	if err != nil {
		panic(err)
	}
	return delta
}
