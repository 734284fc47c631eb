package crdt

import (
	"cmp"
	"slices"
)

// keyState is one entry of a grow-only map as its digest tells it.
type keyState struct {
	entryHash
	state func() []byte // the value's own digest
}

// keyStates calls a function with every entry.
type keyStates func(func(keyState))

func (each keyStates) hashes() entryHashes {
	return func(f func(entryHash)) { each(func(s keyState) { f(s.entryHash) }) }
}

// keyDigest is the digest of a grow-only map, message KeyDigest of crdt.proto: while entries are few each
// one's key by its hash and its state, beyond that buckets.
type keyDigest struct {
	buckets
	listed map[uint64][]byte
}

// append appends the digest of n entries.
func (each keyStates) append(b []byte, n int) []byte {
	b = appendVersion(b)
	if n > listedEntries {
		return each.hashes().append(b, 3, n)
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
			d.readLog2(&r)
		case 4:
			d.readSums(&r)
		default:
			r.unknown()
		}
	}
	return d, d.finish(&r, d.listed != nil)
}

// lacking calls f with the entries that the digest's owner may lack, and with the state that it lists for
// the key, nil when it lists none.
func (d *keyDigest) lacking(each keyStates, f func(s keyState, theirs []byte)) {
	if d.sums == nil {
		each(func(s keyState) { f(s, d.listed[s.key]) })
		return
	}
	differs := d.differ(each.hashes())
	each(func(s keyState) {
		if differs(s.key) {
			f(s, nil)
		}
	})
}
