package crdt

import "slices"

// spot says where a set keeps a live dot and its element: the number of the block, which is not 0, the
// position in it, and whether the element has further dots.
type spot uint64

const (
	spotBits         = 40
	severalDots spot = 1 << (spotBits - 1)
	spotMask    spot = 1<<spotBits - 1
)

func spotOf(block uint32, pos uint8) spot { return spot(block)<<blockBits | spot(pos) }

func (p spot) block() uint32 { return uint32((p &^ severalDots) >> blockBits) }
func (p spot) pos() uint8    { return uint8(p) }
func (p spot) several() bool { return p&severalDots != 0 }

// spots finds elements by their hashes. It holds no element, only the spot of one dot of each: who looks
// something up compares with the element that stands there. It is extendible hashing (Fagin, Nievergelt,
// Pippenger, Strong, "Extendible Hashing: A Fast Access Method for Dynamic Files", 1979): the first bits of
// a hash choose one of many small tables, and a table that is full is split in two, so that an insertion
// never moves more than a table's entries however many there are. A table that becomes empty shrinks, and is
// put together with the one that it was split from, in steps of the same size. It takes 8 bytes for each slot,
// and there is no pointer in it that the garbage collector would follow.
type spots struct {
	dir     []*table // 2^n of them; a table stands there once for each value of the bits that it does not look at
	shift   uint8    // 64 - n
	n       int
	deepest int // tables of depth n; when there are none, half the directory says as much
}

// table is a hash table with linear probing, at most three quarters full, and at least an eighth unless it is
// of the least size.
type table struct {
	slots []slot
	n     int
	depth uint8 // how many first bits the hashes of its entries share
	base  uint8 // how many of these are not in the entries' tags any more
}

const (
	tableLeast = 32      // slots of the first table
	tableMost  = 1 << 10 // slots of a table that is split when it is full

	homeBits = 10 // of a tag, its last
	nextBits = 64 - spotBits - homeBits
	spare    = 2 // of the next bits: so that few other elements have the same tag
)

// slot is a free one, 0, or an entry: the tag, and the spot in the last bits. The tag holds the last bits
// of the hash, and of the first ones those that follow base.
type slot uint64

func (s slot) tag() uint32 { return uint32(s >> spotBits) }
func (s slot) spot() spot  { return spot(s) & spotMask }

func (s *slot) set(p spot) { *s = *s&^slot(spotMask) | slot(p) }

// hashed is who knows the hash of what stands at a spot.
type hashed interface{ hashAt(p spot) uint64 }

func newTable(slots int, depth, base uint8) *table {
	return &table{slots: make([]slot, slots), depth: depth, base: base}
}

func (t *table) tag(hash uint64) uint32 {
	return uint32(hash<<t.base>>(64-nextBits))<<homeBits | uint32(hash)&(1<<homeBits-1)
}

func (t *table) full() bool   { return t.n >= len(t.slots)/4*3 }
func (t *table) sparse() bool { return t.n < len(t.slots)/8 }

// slotsFor is how many slots a table of n entries gets that may grow as well as shrink.
func slotsFor(n int) int {
	slots := tableLeast
	for slots < 4*n {
		slots *= 2
	}
	return slots
}

// table returns the table of a hash; there must be one.
func (p *spots) table(hash uint64) *table { return p.dir[hash>>p.shift] }

// put adds an entry.
func (p *spots) put(hash uint64, at spot, all hashed) {
	if len(p.dir) == 0 {
		p.dir, p.shift, p.deepest = []*table{newTable(tableLeast, 0, 0)}, 64, 1
	}
	t := p.table(hash)
	for t.full() {
		if len(t.slots) < tableMost || t.depth == 64-p.shift && len(p.dir) > p.n {
			t.double() // also where hashes are so alike that splitting is of no use
			continue
		}
		p.split(t, hash, all)
		t = p.table(hash)
	}
	t.put(slot(t.tag(hash))<<spotBits | slot(at))
	p.n++
}

// putAt is put for who has looked: in that free slot of its table, nil when there is none, if there is room.
func (p *spots) putAt(t *table, free int, hash uint64, at spot, all hashed) {
	if t == nil || t.full() {
		p.put(hash, at, all)
		return
	}
	t.slots[free] = slot(t.tag(hash))<<spotBits | slot(at)
	t.n++
	p.n++
}

// find returns the table and the slot of an entry that is there.
func (p *spots) find(hash uint64, at spot) (t *table, i int) {
	t = p.table(hash)
	want := slot(t.tag(hash))<<spotBits | slot(at)
	mask := len(t.slots) - 1
	for i = t.home(hash); t.slots[i]&^slot(severalDots) != want; i = (i + 1) & mask {
		if t.slots[i] == 0 {
			panic("crdt: an element of a set is not where it was put: elements must not change what they are equal to")
		}
	}
	return t, i
}

// remove takes out an entry that is there.
func (p *spots) remove(hash uint64, at spot, all hashed) {
	t, i := p.find(hash, at)
	t.remove(i)
	p.n--
	for t.sparse() {
		merged := p.merge(t, hash, all)
		if merged == nil {
			t.shrink()
			return
		}
		t = merged
	}
}

// merge puts t, which hash belongs to, together with the table that it was split from, and returns that. It
// does nothing and returns nil when there is none, it is split further, or the two have too many entries.
func (p *spots) merge(t *table, hash uint64, all hashed) *table {
	if t.depth == 0 {
		return nil
	}
	buddy := p.table(hash ^ 1<<(64-t.depth))
	if buddy.depth != t.depth || t.n+buddy.n > tableMost/4 {
		return nil
	}
	if t.depth == 64-p.shift {
		p.deepest -= 2
	}
	merged := newTable(slotsFor(t.n+buddy.n), t.depth-1, t.depth-1)
	for _, s := range slices.Concat(t.slots, buddy.slots) {
		if s != 0 { // the tags of the two need not begin at the same bit
			merged.put(slot(merged.tag(all.hashAt(s.spot())))<<spotBits | slot(s.spot()))
		}
	}
	times := 1 << (64 - p.shift - merged.depth)
	from := int(hash>>p.shift) &^ (times - 1)
	for i := range times {
		p.dir[from+i] = merged
	}
	p.fold()
	return merged
}

// fold halves the directory while no table looks at its last bit.
func (p *spots) fold() {
	for p.deepest == 0 && len(p.dir) > 1 {
		half := make([]*table, 0, len(p.dir)/2)
		for i := 0; i < len(p.dir); i += 2 {
			half = append(half, p.dir[i])
		}
		p.dir = half
		p.shift++
		for _, t := range half {
			p.deepest += boolInt(t.depth == 64-p.shift)
		}
	}
}

// split moves half the entries of t, which hash belongs to, to a new table.
func (p *spots) split(t *table, hash uint64, all hashed) {
	if t.depth == 64-p.shift {
		dir := make([]*table, 0, 2*len(p.dir))
		for _, t := range p.dir {
			dir = append(dir, t, t)
		}
		p.dir = dir
		p.shift--
		p.deepest = 0
	}
	high := t.split(all)
	if high.depth == 64-p.shift {
		p.deepest += 2
	}
	half := 1 << (64 - p.shift - t.depth) // as often as each of the two stands in the directory
	from := int(hash>>p.shift)&^(2*half-1) + half
	for i := range half {
		p.dir[from+i] = high
	}
}

func (p *spots) clone() spots {
	out := *p
	out.dir = make([]*table, len(p.dir))
	for i, t := range p.dir {
		if i > 0 && t == p.dir[i-1] {
			out.dir[i] = out.dir[i-1]
			continue
		}
		out.dir[i] = &table{slices.Clone(t.slots), t.n, t.depth, t.base}
	}
	return out
}

// home is the slot that a hash, or a tag, would have if nobody else had it.
func (t *table) home(hash uint64) int { return int(hash) & (len(t.slots) - 1) & (1<<homeBits - 1) }

// put adds an entry to a table that has room.
func (t *table) put(s slot) {
	mask := len(t.slots) - 1
	i := t.home(uint64(s.tag()))
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = s
	t.n++
}

// split leaves the entries whose next bit is 0 and returns a table with the others.
func (t *table) split(all hashed) (high *table) {
	if t.depth-t.base == nextBits-spare {
		t.rebase(all)
	}
	bit := slot(1) << (63 - (t.depth - t.base))
	var room [tableMost]slot
	old := append(room[:0], t.slots...)
	clear(t.slots)
	t.n = 0
	t.depth++
	high = newTable(len(old), t.depth, t.base)
	for _, s := range old {
		switch {
		case s == 0:
		case s&bit == 0:
			t.put(s)
		default:
			high.put(s)
		}
	}
	return high
}

// rebase puts bits into the tags that a table can be split by, for those that it was split by. The slots
// stay, for a tag's last bits do.
func (t *table) rebase(all hashed) {
	t.base = t.depth
	for i, s := range t.slots {
		if s != 0 {
			t.slots[i] = slot(t.tag(all.hashAt(s.spot())))<<spotBits | slot(s.spot())
		}
	}
}

func (t *table) double() { t.resize(2 * len(t.slots)) }

// shrink lets go of slots that a sparse table has no use for.
func (t *table) shrink() {
	if slots := slotsFor(t.n); slots < len(t.slots) {
		t.resize(slots)
	}
}

func (t *table) resize(slots int) {
	next := newTable(slots, t.depth, t.base)
	for _, s := range t.slots {
		if s != 0 {
			next.put(s)
		}
	}
	*t = *next
}

// remove frees a slot and moves up what stands behind it for want of room.
func (t *table) remove(i int) {
	mask := len(t.slots) - 1
	for next := (i + 1) & mask; t.slots[next] != 0; next = (next + 1) & mask {
		if home := t.home(uint64(t.slots[next].tag())); (next-home)&mask >= (next-i)&mask { // i is on the way from home
			t.slots[i] = t.slots[next]
			i = next
		}
	}
	t.slots[i] = 0
	t.n--
}
