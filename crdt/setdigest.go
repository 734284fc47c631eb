package crdt

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/zeebo/xxh3"
)

// A set's digest is its context and, for each block of 256 counters of an actor that has live dots, either
// these dots themselves, as up to three runs, or a hash of them. The context alone would prove nothing: a
// remove mints no dot, so two replicas may have seen the same dots and hold different ones live.

const exactRuns = 3 // runs of a block that take no more room than the hash

// liveBlock is one block's part of a digest.
type liveBlock struct {
	actor Actor
	no    uint64
	state []byte // up to exactRuns pairs (first, last) of live positions, else an 8-byte hash
}

// Digest implements Lattice: the context's runs plus at most about 12 bytes for each 256 dots of an actor
// of which some are live. It costs O(live dots / 256).
func (s *Set[E]) Digest() []byte {
	b := appendVersion(nil)
	if s.IsEmpty() {
		return b
	}
	b = appendNested(b, 2, s.ctx.Append)
	blocks := s.live.bitmaps()
	var prev liveBlock
	return appendNested(b, 3, func(b []byte) []byte {
		for _, blk := range blocks {
			// Block numbers are coded by difference within an actor.
			actorStep := uint64(blk.actor - prev.actor)
			no := blk.no
			if actorStep == 0 {
				no -= prev.no + 1
			}
			b = appendPacked(b, actorStep)
			b = appendPacked(b, no)
			state := blk.digest()
			b = append(b, byte(len(state)))
			b = append(b, state...)
			prev = liveBlock{actor: blk.actor, no: blk.no}
		}
		return b
	})
}

// liveBitmap is one block's live dots.
type liveBitmap struct {
	actor Actor
	no    uint64
	live  bitmap
}

// digest returns the block's state as a digest holds it.
func (m *liveBitmap) digest() []byte {
	runs := make([]byte, 0, 2*exactRuns)
	for pos := 0; pos < blockSize; {
		if !m.live.has(uint8(pos)) {
			pos++
			continue
		}
		from := pos
		for pos < blockSize && m.live.has(uint8(pos)) {
			pos++
		}
		if len(runs) == 2*exactRuns {
			return m.hash()
		}
		runs = append(runs, byte(from), byte(pos-1))
	}
	return runs
}

func (m *liveBitmap) hash() []byte {
	var b [16 + blockSize/8]byte
	binary.LittleEndian.PutUint64(b[0:], uint64(m.actor))
	binary.LittleEndian.PutUint64(b[8:], m.no)
	for i, w := range m.live {
		binary.LittleEndian.PutUint64(b[16+8*i:], w)
	}
	return binary.LittleEndian.AppendUint64(nil, xxh3.Hash(b[:]))
}

// bitmaps returns the blocks that have live dots, by actor, then number.
func (s *store[E]) bitmaps() []liveBitmap {
	var out []liveBitmap
	for _, p := range s.flat() {
		n := len(out)
		no := p.dot.Counter >> blockBits
		if n == 0 || out[n-1].actor != p.dot.Actor || out[n-1].no != no {
			out = append(out, liveBitmap{actor: p.dot.Actor, no: no})
			n++
		}
		out[n-1].live.set(uint8(p.dot.Counter))
	}
	if s.indexed() {
		for _, r := range s.big().rows {
			for _, b := range r.blocks {
				out = append(out, liveBitmap{r.actor, b.no, b.live})
			}
		}
	}
	return out
}

// bitmap returns the live dots of one block.
func (s *store[E]) bitmap(actor Actor, no uint64) (m bitmap) {
	if s.indexed() {
		if b := s.big().block(actor, no, new(int64)); b != nil {
			return b.live
		}
		return m
	}
	s.within(blockRun(actor, no), func(d Dot, _ E) { m.set(uint8(d.Counter)) })
	return m
}

func blockRun(actor Actor, no uint64) Run {
	return Run{actor, max(1, no<<blockBits), no<<blockBits | (blockSize - 1)}
}

// bitmap returns which dots of one block have been seen.
func (c *Context) bitmap(actor Actor, no uint64) (m bitmap) {
	c.within(blockRun(actor, no), func(r Run) { m.setRange(uint8(r.From), uint8(r.To)) })
	return m
}

// setDigest is a decoded digest.
type setDigest struct {
	ctx    Context
	blocks []liveBlock // sorted
}

func decodeSetDigest(b []byte) (setDigest, error) {
	var d setDigest
	r := reader{message: "SetDigest", b: b}
	r.version()
	for r.next() {
		switch r.num {
		case 2:
			d.ctx = r.context()
		case 3:
			in := reader{message: "SetDigest.blocks", b: r.bytes()}
			d.blocks = in.blocks()
			r.inner(&in)
		default:
			r.unknown()
		}
	}
	return d, r.finish()
}

func (r *reader) blocks() []liveBlock {
	var out []liveBlock
	var prev liveBlock
	for r.err == nil && r.off < len(r.b) {
		step, no := r.varint(), r.varint()
		blk := liveBlock{actor: Actor(r.sum(uint64(prev.actor), step)), no: no}
		if step == 0 {
			blk.no = r.sum(r.sum(prev.no, 1), no)
		}
		if r.err == nil && (blk.actor == 0 || blk.no > 1<<(64-blockBits)-1) {
			r.fail("no such block: %d of actor %d", blk.no, blk.actor)
		}
		size := r.varint()
		if r.err == nil && (size == 0 || size > 8 || size%2 != 0 || size > uint64(len(r.b)-r.off)) {
			r.fail("a block's state of %d bytes", size)
		}
		if r.err != nil {
			return nil
		}
		blk.state = r.b[r.off : r.off+int(size)]
		r.off += int(size)
		out = append(out, blk)
		prev = blk
	}
	return out
}

// Since implements Lattice. A block that the digest tells by its runs is answered exactly. Of a block that
// it tells by a hash, and that differs, the answer names all dots that are dead here, the other's or not:
// at most 256 dots, no elements; this may happen where it is the other that is ahead. Elements are sent
// only where the other has not seen their dots. It costs O(blocks of both, and what is sent).
//
// Two replicas that answer each other's digests are equal when both have joined the answers.
func (s *Set[E]) Since(digest []byte) (*Set[E], error) {
	other, err := decodeSetDigest(digest)
	if err != nil {
		return nil, err
	}
	if s.IsEmpty() {
		return nil, nil
	}
	delta := &Set[E]{ctx: s.ctx.minus(&other.ctx)}
	for _, run := range delta.ctx.runs {
		s.live.within(run, func(d Dot, e E) { delta.live.insert(d, e) })
	}
	var dead Context
	for _, blk := range other.blocks {
		// Dots that are live there and dead here can only be in blocks with live dots there.
		both := s.ctx.bitmap(blk.actor, blk.no)
		theirs := other.ctx.bitmap(blk.actor, blk.no)
		both.and(&theirs)
		if both == (bitmap{}) {
			continue
		}
		mine := s.live.bitmap(blk.actor, blk.no)
		kill := blk.lacks(both, mine)
		kill.each(func(pos uint8) bool {
			c := blk.no<<blockBits | uint64(pos)
			dead.AddRun(Run{blk.actor, c, c})
			return true
		})
	}
	delta.ctx.Join(&dead)
	if delta.ctx.IsEmpty() {
		return nil, nil
	}
	return delta, nil
}

// lacks returns the dots that may be live in the block's owner, among those both have seen, and are not
// live here.
func (blk *liveBlock) lacks(both, mine bitmap) bitmap {
	mine.and(&both)
	dead := both
	dead.andNot(&mine)
	if len(blk.state) < 8 {
		var theirs bitmap
		for i := 0; i < len(blk.state); i += 2 {
			if blk.state[i] <= blk.state[i+1] {
				theirs.setRange(blk.state[i], blk.state[i+1])
			}
		}
		dead.and(&theirs)
		return dead
	}
	same := liveBitmap{blk.actor, blk.no, mine}
	if slices.Equal(same.hash(), blk.state) {
		return bitmap{}
	}
	return dead
}

func (m *bitmap) and(o *bitmap) {
	for i := range m {
		m[i] &= o[i]
	}
}

func (m *bitmap) andNot(o *bitmap) {
	for i := range m {
		m[i] &^= o[i]
	}
}

func (m *bitmap) count() (n int) {
	for _, w := range m {
		n += bits.OnesCount64(w)
	}
	return n
}
