package crdt

import (
	"bytes"
	"iter"
	"slices"

	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/encoding/protowire"
)

// phases is the state of grow-only and two-phase types: each element is unseen, added or removed, in this
// order, and join takes the maximum element by element. Grow-only ones never remove.
type phases[E comparable] struct {
	codec   Codec[E]
	entries map[E]bool // whether it is removed
	removed int
}

func (p *phases[E]) list() map[E]bool {
	if p == nil {
		return nil
	}
	return p.entries
}

func (p *phases[E]) size() int { return len(p.list()) }

func (p *phases[E]) len() int {
	if p == nil {
		return 0
	}
	return len(p.entries) - p.removed
}

func (p *phases[E]) contains(e E) bool {
	removed, ok := p.list()[e]
	return ok && !removed
}

func (p *phases[E]) isRemoved(e E) bool { return p.list()[e] }

// like returns an empty state with p's codec.
func (p *phases[E]) like() *phases[E] {
	if p == nil {
		return &phases[E]{}
	}
	return &phases[E]{codec: p.codec}
}

// raise takes e to a phase and says whether that changed anything.
func (p *phases[E]) raise(e E, removed bool) bool {
	old, ok := p.entries[e]
	if ok && (old || !removed) {
		return false
	}
	if p.entries == nil {
		p.entries = make(map[E]bool)
	}
	p.entries[e] = removed
	p.removed += boolInt(removed)
	return true
}

// raiseAll raises each element and returns the delta, nil when nothing changed.
func (p *phases[E]) raiseAll(es []E, removed bool) *phases[E] {
	var delta *phases[E]
	for _, e := range es {
		mustEqualItself(e)
		if removed && !p.contains(e) || !p.raise(e, removed) {
			continue
		}
		if delta == nil {
			delta = p.like()
		}
		delta.raise(e, removed)
	}
	return delta
}

func (p *phases[E]) join(delta *phases[E]) *phases[E] {
	if delta == nil || p == delta {
		return nil
	}
	p.codec = p.codec.or(delta.codec)
	var novelty *phases[E]
	for e, removed := range delta.entries {
		if !p.raise(e, removed) {
			continue
		}
		if novelty == nil {
			novelty = p.like()
		}
		novelty.raise(e, removed)
	}
	return novelty
}

func (p *phases[E]) lessOrEqual(o *phases[E]) bool {
	if p.size() > o.size() {
		return false
	}
	for e, removed := range p.list() {
		if other, ok := o.list()[e]; !ok || removed && !other {
			return false
		}
	}
	return true
}

func (p *phases[E]) equal(o *phases[E]) bool {
	return p.size() == o.size() && p.lessOrEqual(o) && o.lessOrEqual(p)
}

func (p *phases[E]) clone() *phases[E] {
	c := p.like()
	if p.size() > 0 {
		c.removed = p.removed
		c.entries = make(map[E]bool, len(p.entries))
		for e, removed := range p.entries {
			c.entries[e] = removed
		}
	}
	return c
}

func (p *phases[E]) parts() []*phases[E] {
	var parts []*phases[E]
	for e, removed := range p.list() {
		part := p.like()
		part.raise(e, removed)
		parts = append(parts, part)
	}
	return parts
}

type encodedElement[E comparable] struct {
	raw []byte
	e   E
}

// sorted returns the elements of one phase by their bytes.
func (p *phases[E]) sorted(codec Codec[E], removed bool) []encodedElement[E] {
	var out []encodedElement[E]
	for e, phase := range p.list() {
		if phase == removed {
			mustHave(codec)
			out = append(out, encodedElement[E]{codec.Append(nil, e), e})
		}
	}
	slices.SortFunc(out, func(a, b encodedElement[E]) int { return bytes.Compare(a.raw, b.raw) })
	return out
}

func (p *phases[E]) all() iter.Seq[E] {
	return func(yield func(E) bool) {
		if p == nil {
			return
		}
		for _, x := range p.sorted(p.codec, false) {
			if !yield(x.e) {
				return
			}
		}
	}
}

// text prints the first elements, in no order where the state was given no codec.
func (p *phases[E]) text() string {
	if p.like().codec.Append != nil {
		return printed(p.all())
	}
	return printed(func(yield func(E) bool) {
		for e, removed := range p.list() {
			if !removed && !yield(e) {
				return
			}
		}
	})
}

func (p *phases[E]) append(b []byte, codec Codec[E]) []byte {
	b = appendVersion(b)
	for _, x := range p.sorted(codec, false) {
		b = appendBytes(b, 2, x.raw)
	}
	for _, x := range p.sorted(codec, true) {
		b = appendBytes(b, 3, x.raw)
	}
	return b
}

func decodePhases[E comparable](b []byte, message string, codec Codec[E], removes bool) (*phases[E], error) {
	p := &phases[E]{codec: codec}
	r := reader{message: message, b: b}
	r.version()
	var last []byte
	var of protowire.Number
	for r.next(2, 3) {
		if r.num != 2 && (r.num != 3 || !removes) {
			r.unknown()
			break
		}
		from := r.off
		e := decodeValue(&r, codec)
		checkKey(&r, e)
		if r.err != nil {
			break
		}
		at := reader{b: b[:r.off], off: from, num: r.num, typ: r.typ}
		raw := at.bytes()
		if of == r.num && bytes.Compare(raw, last) <= 0 {
			r.fail("elements are not in order")
			break
		}
		last, of = raw, r.num
		if _, ok := p.entries[e]; ok {
			r.fail("an element comes twice")
			break
		}
		p.raise(e, r.num == 3)
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return p, nil
}

// The digest lists the hashes of all elements while they are few; beyond it has buckets.

// eachHash calls f with each element and its hash and phase. It encodes all elements.
func (p *phases[E]) eachHash(f func(e E, h entryHash)) {
	var buf []byte
	for e, removed := range p.list() {
		mustHave(p.codec)
		buf = p.codec.Append(buf[:0], e)
		f(e, entryHash{xxh3.Hash(buf), uint64(boolInt(removed))})
	}
}

func (p *phases[E]) hashes() entryHashes {
	return func(f func(entryHash)) { p.eachHash(func(_ E, h entryHash) { f(h) }) }
}

func (p *phases[E]) hash() uint64 { return p.hashes().sum() }

func (p *phases[E]) digest() []byte {
	b := appendVersion(nil)
	if p.size() > listedEntries {
		return p.hashes().append(b, 4, p.size())
	}
	var lists [2][]uint64
	p.hashes()(func(h entryHash) { lists[h.value] = append(lists[h.value], h.key) })
	for i, list := range lists {
		slices.Sort(list)
		if len(list) > 0 {
			b = appendWords(b, protowire.Number(2+i), list)
		}
	}
	return b
}

// phasesDigest is a decoded digest, message SetHashes of crdt.proto: two sorted lists, or buckets.
type phasesDigest struct {
	buckets
	lists [2][]uint64
}

func decodePhasesDigest(b []byte) (*phasesDigest, error) {
	d := &phasesDigest{}
	r := reader{message: "SetHashes", b: b}
	r.version()
	for r.next() {
		switch r.num {
		case 2, 3:
			list := r.words()
			if !slices.IsSorted(list) {
				r.fail("hashes are not in order")
			}
			d.lists[r.num-2] = list
		case 4:
			d.readLog2(&r)
		case 5:
			d.readSums(&r)
		default:
			r.unknown()
		}
	}
	return d, d.finish(&r, d.lists[0] != nil || d.lists[1] != nil)
}

// has says whether the digest's owner has an element in its phase, or in a later one.
func (d *phasesDigest) has(h entryHash) bool {
	for _, list := range d.lists[h.value:] {
		if _, ok := slices.BinarySearch(list, h.key); ok {
			return true
		}
	}
	return false
}

// since returns what the digest's owner may lack, nil when that is nothing.
func (p *phases[E]) since(digest []byte) (*phases[E], error) {
	d, err := decodePhasesDigest(digest)
	if err != nil || p.size() == 0 {
		return nil, err
	}
	has := d.has
	if d.sums != nil {
		differs := d.differ(p.hashes())
		has = func(h entryHash) bool { return !differs(h.key) }
	}
	var delta *phases[E]
	p.eachHash(func(e E, h entryHash) {
		if has(h) {
			return
		}
		if delta == nil {
			delta = p.like()
		}
		delta.raise(e, h.value != 0)
	})
	return delta, nil
}
