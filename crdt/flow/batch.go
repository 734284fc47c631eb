package flow

import (
	"bytes"
	"fmt"
	"iter"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/crdt"
)

// Weighted is an element with a change of its weight. The weight of an element in a collection is the
// number of its live supports; an element is in the collection while its weight is positive.
type Weighted[E any] struct {
	Elem   E
	Weight int64
}

// On the wire a batch is
//
//	message Batch { repeated Item item = 1; }
//	message Item  { bytes elem = 1; sint64 weight = 2; }
//
// with both fields of an item always present, in this order, lengths and numbers in their shortest form,
// items strictly ascending by elem and no weight zero. So equal changes have equal bytes.
const (
	tagItem   = 1<<3 | byte(protowire.BytesType)
	tagElem   = 1<<3 | byte(protowire.BytesType)
	tagWeight = 2<<3 | byte(protowire.VarintType)

	// An empty elem and a weight of one byte, inside their item.
	minItem = 2 + 2 + 2
)

// maxWeight bounds the weight of one item. It is far above what can be stored, and far below the range of
// int64; see maxHeld.
const maxWeight = 1 << 48

// BatchError says where and why bytes are not a batch.
type BatchError struct {
	Offset int    // in bytes from the start of the batch
	Reason string // what was found
	Err    error  // from the element's codec, or nil
}

func (e *BatchError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("flow: batch is malformed at byte %d: %s: %v", e.Offset, e.Reason, e.Err)
	}
	return fmt.Sprintf("flow: batch is malformed at byte %d: %s", e.Offset, e.Reason)
}

func (e *BatchError) Unwrap() error { return e.Err }

// AppendBatch appends the canonical batch of items to b: ascending by encoded element, the weights of
// equal elements summed, sums of zero left out. Nothing is appended when nothing is left. It costs
// O(n log n) comparisons of bytes and reads items only.
func AppendBatch[E any](b []byte, items []Weighted[E], c crdt.Codec[E]) []byte {
	b, _ = appendBatch(b, items, c, &room{})
	return b
}

// span is one encoded element inside an arena.
type span struct {
	from, to int
	weight   int64
}

// room is where a batch is put together. An operator keeps it from change to change, as most are small.
type room struct {
	arena []byte
	spans []span
}

// roomKept bounds what is kept after a large change, in bytes and in items.
const roomKept = 4 << 10

// tidy lets go of what a large change has needed.
func (r *room) tidy() {
	if cap(r.arena) > roomKept {
		r.arena = nil
	}
	if cap(r.spans) > roomKept {
		r.spans = nil
	}
}

// appendBatch is AppendBatch; it also returns how many items it wrote. What it appends does not alias r.
func appendBatch[E any](b []byte, items []Weighted[E], c crdt.Codec[E], r *room) ([]byte, int) {
	if len(items) == 0 {
		return b, 0
	}
	arena, spans := r.arena[:0], slices.Grow(r.spans[:0], len(items))
	for _, it := range items {
		if it.Weight == 0 {
			continue
		}
		from := len(arena)
		arena = c.Append(arena, it.Elem)
		spans = append(spans, span{from, len(arena), it.Weight})
	}
	r.arena, r.spans = arena, spans
	b, n := appendSpans(b, arena, spans)
	r.tidy()
	return b, n
}

// appendSpans sorts, sums and writes; it is not generic so that it is compiled once.
func appendSpans(b, arena []byte, spans []span) ([]byte, int) {
	slices.SortFunc(spans, func(x, y span) int {
		return bytes.Compare(arena[x.from:x.to], arena[y.from:y.to])
	})
	spans = summed(arena, spans)
	if len(spans) == 0 {
		return b, 0
	}
	size := 0
	for _, s := range spans {
		size += 1 + protowire.SizeBytes(itemSize(s.to-s.from, s.weight))
	}
	b = slices.Grow(b, size)
	for _, s := range spans {
		b = appendItem(b, arena[s.from:s.to], s.weight)
	}
	return b, len(spans)
}

// summed gives each of the sorted elements once, with its sum of weights, unless that is zero.
func summed(arena []byte, spans []span) []span {
	out := spans[:0]
	for i := 0; i < len(spans); {
		sum := spans[i]
		for i++; i < len(spans) && bytes.Equal(arena[sum.from:sum.to], arena[spans[i].from:spans[i].to]); i++ {
			sum.weight += spans[i].weight
		}
		if sum.weight != 0 {
			out = append(out, sum)
		}
	}
	return out
}

func appendItem(b, elem []byte, weight int64) []byte {
	b = append(b, tagItem)
	b = protowire.AppendVarint(b, uint64(itemSize(len(elem), weight)))
	b = append(b, tagElem)
	b = protowire.AppendBytes(b, elem)
	b = append(b, tagWeight)
	return protowire.AppendVarint(b, protowire.EncodeZigZag(weight))
}

// itemSize is the size of an item's content, without its own tag and length.
func itemSize(elem int, weight int64) int {
	return 1 + protowire.SizeBytes(elem) + 1 + protowire.SizeVarint(protowire.EncodeZigZag(weight))
}

// DecodeBatch reads a batch. It accepts canonical batches only and reports anything else, malformed
// elements included, as a *BatchError. What it allocates is at most one Weighted[E] for every 6 bytes of
// b, and what c allocates; the caller bounds len(b).
func DecodeBatch[E any](b []byte, c crdt.Codec[E]) ([]Weighted[E], error) {
	return decodeBatch(nil, b, c)
}

// decodeBatch is DecodeBatch into items, which holds nothing, if there is room.
func decodeBatch[E any](items []Weighted[E], b []byte, c crdt.Codec[E]) ([]Weighted[E], error) {
	if len(b) == 0 {
		return nil, nil
	}
	n := 0
	for at := 0; at < len(b); n++ {
		_, _, next, err := readItem(b, at)
		if err != nil {
			return nil, err
		}
		at = next
	}
	items = slices.Grow(items, n)
	var last []byte
	for at := 0; at < len(b); {
		elem, weight, next, err := readItem(b, at)
		if err != nil {
			return nil, err
		}
		if at > 0 && bytes.Compare(last, elem) >= 0 {
			return nil, &BatchError{Offset: at, Reason: "items are not in strictly ascending order"}
		}
		e, err := c.Decode(elem)
		if err != nil {
			return nil, &BatchError{Offset: at, Reason: "an element cannot be decoded", Err: err}
		}
		items = append(items, Weighted[E]{e, weight})
		last, at = elem, next
	}
	return items, nil
}

// decodeInput is decodeBatch for those who must find the elements again.
func decodeInput[E comparable](items []Weighted[E], b []byte, c crdt.Codec[E]) ([]Weighted[E], error) {
	in, err := decodeBatch(items, b, c)
	if err != nil {
		return nil, err
	}
	if i, ok := itself(in); !ok {
		at := 0
		for range i {
			_, _, at, _ = readItem(b, at)
		}
		return nil, &BatchError{Offset: at, Reason: "an element does not equal itself: it is a NaN, or holds one"}
	}
	return in, nil
}

// readItem reads the item that starts at b[at]; elem aliases b.
func readItem(b []byte, at int) (elem []byte, weight int64, next int, err error) {
	if b[at] != tagItem {
		return nil, 0, 0, &BatchError{Offset: at, Reason: fmt.Sprintf("expected an item, found tag %#x", b[at])}
	}
	item, n := protowire.ConsumeBytes(b[at+1:])
	if n < 0 {
		return nil, 0, 0, &BatchError{Offset: at + 1, Reason: "an item passes the end", Err: protowire.ParseError(n)}
	}
	next = at + 1 + n
	if len(item) < minItem-2 || item[0] != tagElem {
		return nil, 0, 0, &BatchError{Offset: at, Reason: "an item has no element"}
	}
	elem, m := protowire.ConsumeBytes(item[1:])
	if m < 0 {
		return nil, 0, 0, &BatchError{Offset: at, Reason: "an element passes the end of its item", Err: protowire.ParseError(m)}
	}
	rest := item[1+m:]
	if len(rest) < 2 || rest[0] != tagWeight {
		return nil, 0, 0, &BatchError{Offset: at, Reason: "an item has no weight"}
	}
	v, k := protowire.ConsumeVarint(rest[1:])
	if k < 0 {
		return nil, 0, 0, &BatchError{Offset: at, Reason: "a weight is cut off", Err: protowire.ParseError(k)}
	}
	weight = protowire.DecodeZigZag(v)
	if weight == 0 || weight > maxWeight || weight < -maxWeight {
		return nil, 0, 0, &BatchError{Offset: at, Reason: fmt.Sprintf("a weight of %d is out of range", weight)}
	}
	// Numbers in a longer form than needed, or bytes after the weight, make the item longer than this.
	if want := itemSize(len(elem), weight); len(item) != want || n != protowire.SizeBytes(want) {
		return nil, 0, 0, &BatchError{Offset: at, Reason: "an item is not in its shortest form"}
	}
	return elem, weight, next, nil
}

// SplitBatch cuts a batch into batches of at most limit bytes, in order; an item longer than that
// travels alone. The parts alias batch, and put end to end they are batch again. A limit of 0 or less
// does not cut. Bytes that are not a batch are passed on from there in one piece, for the decoder to
// refuse.
//
// The parts of one change belong together: between them an element whose value is replaced (a count) may
// be seen twice or not at all.
func SplitBatch(batch []byte, limit int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		from := 0
		for at := 0; at < len(batch) && limit > 0; {
			_, _, next, err := readItem(batch, at)
			if err != nil {
				break
			}
			if next-from > limit && at > from {
				if !yield(batch[from:at:at]) {
					return
				}
				from = at
			}
			at = next
		}
		if from < len(batch) {
			yield(batch[from:])
		}
	}
}
