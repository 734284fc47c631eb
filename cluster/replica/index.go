package replica

import (
	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/zeebo/xxh3"
)

// entry is one variable.
type entry struct {
	key      wire.ID
	position uint64 // where the key stands in the space that passes go through
	object   Object
	gone     bool // evicted

	sharers    []*peer // by id
	generation uint64  // of sharers; see Machine.generation
}

// position is the place of a key in the order of a pass. It is the same on every node.
func position(key wire.ID) uint64 {
	return xxh3.HashStringSeed(key.Key(), xxh3.HashString(key.Kind()))
}

// bucketSize is the number of variables that a range of a pass has on average, at most.
const bucketSize = 16

// index holds the variables by key and by position.
type index struct {
	byKey   map[wire.ID]*entry
	buckets [][]*entry // by the topmost bits of the position
	bits    uint8
}

func newIndex() index {
	return index{byKey: map[wire.ID]*entry{}, buckets: make([][]*entry, 1)}
}

func (x *index) shift() uint8 { return 64 - x.bits }

func (x *index) add(e *entry) {
	x.byKey[e.key] = e
	if len(x.byKey) > bucketSize*len(x.buckets) {
		x.grow()
	}
	i := e.position >> x.shift()
	x.buckets[i] = append(x.buckets[i], e)
}

// grow doubles the buckets; it costs O(n) after n more variables were added.
func (x *index) grow() {
	old := x.buckets
	x.bits++
	x.buckets = make([][]*entry, 2*len(old))
	for _, b := range old {
		for _, e := range b {
			i := e.position >> x.shift()
			x.buckets[i] = append(x.buckets[i], e)
		}
	}
}

func (x *index) remove(e *entry) {
	delete(x.byKey, e.key)
	i := e.position >> x.shift()
	for j, other := range x.buckets[i] {
		if other == e {
			x.buckets[i] = append(x.buckets[i][:j:j], x.buckets[i][j+1:]...)
		}
	}
}

// count is the number of buckets that [lo, last] touches.
func (x *index) count(lo, last uint64) uint64 { return last>>x.shift() - lo>>x.shift() + 1 }

// walk calls f with each bucket that [lo, last] touches, in order: its entries that are inside, and its
// last position inside. f returns false to stop.
func (x *index) walk(lo, last uint64, f func(last uint64, entries []*entry) bool) {
	end := last >> x.shift()
	for i := lo >> x.shift(); ; i++ {
		inside := x.buckets[i]
		bucketLast := i<<x.shift() | (1<<x.shift() - 1)
		if i<<x.shift() < lo || bucketLast > last {
			inside = nil
			for _, e := range x.buckets[i] {
				if e.position >= lo && e.position <= last {
					inside = append(inside, e)
				}
			}
		}
		if !f(min(bucketLast, last), inside) || i == end {
			return
		}
	}
}

// mix makes one summand of a range's sum out of a variable's place and its state.
func mix(position, hash uint64) uint64 {
	z := position*0x9e3779b97f4a7c15 ^ hash
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// sharersOf returns the neighbours that hold the variable, too.
func (m *Machine) sharersOf(e *entry) []*peer {
	if e.generation != m.generation {
		e.generation = m.generation
		e.sharers = e.sharers[:0:0]
		for _, p := range m.order {
			if m.cfg.Shares(e.key, p.id) {
				e.sharers = append(e.sharers, p)
			}
		}
	}
	return e.sharers
}

func (m *Machine) shares(e *entry, p *peer) bool {
	for _, q := range m.sharersOf(e) {
		if q == p {
			return true
		}
	}
	return false
}

// entry returns the variable, opening it if need be; on whose account says for whom a failure is reported.
// It is nil when the variable was refused.
func (m *Machine) entry(key wire.ID, account machine.NodeID) *entry {
	if e := m.index.byKey[key]; e != nil {
		return e
	}
	object, err := m.cfg.Open(key)
	if err != nil {
		m.failed(key, account, &ObjectError{Key: key, Peer: account, Op: "open", Err: err})
		return nil
	}
	e := &entry{key: key, position: position(key), object: object}
	m.index.add(e)
	return e
}
