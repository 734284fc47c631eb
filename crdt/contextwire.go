package crdt

import "math"

// Append appends the canonical encoding of c, message Context of crdt.proto: a few bytes for each run.
func (c *Context) Append(b []byte) []byte {
	runs := c.list()
	for len(runs) > 0 {
		n := 1
		for n < len(runs) && runs[n].Actor == runs[0].Actor {
			n++
		}
		of := runs[:n]
		runs = runs[n:]
		b = appendNested(b, 1, func(b []byte) []byte {
			b = appendUint(b, 1, uint64(of[0].Actor))
			return appendNested(b, 2, func(b []byte) []byte {
				var seen uint64 // every run leaves a gap of at least one but the first
				for i, r := range of {
					gap := r.From - seen - 1
					if i > 0 {
						gap--
					}
					b = appendPacked(b, gap)
					b = appendPacked(b, r.To-r.From)
					seen = r.To
				}
				return b
			})
		})
	}
	return b
}

// DecodeContext reads a context that fills b. Memory stays within 12 times len(b). Other bytes give a
// *DecodeError.
func DecodeContext(b []byte) (Context, error) {
	var c Context
	r := reader{message: "Context", b: b}
	var last Actor
	for r.next(1) {
		if r.num != 1 {
			r.unknown()
			break
		}
		row := reader{message: "Context.Row", b: r.bytes()}
		if r.err != nil {
			break
		}
		actor := row.actor(last)
		packed := row.packed(2, "Context.Row.runs")
		if len(packed.b) == 0 {
			row.fail("no runs")
		}
		var seen uint64
		for first := true; packed.err == nil && packed.off < len(packed.b); first = false {
			from := packed.sum(packed.sum(seen, packed.varint()), 1)
			if !first {
				from = packed.sum(from, 1)
			}
			to := packed.sum(from, packed.varint())
			if packed.err == nil {
				c.runs = append(c.runs, Run{actor, from, to})
			}
			seen = to
		}
		row.inner(&packed)
		r.inner(&row)
		last = actor
	}
	if err := r.finish(); err != nil {
		return Context{}, err
	}
	return c, nil
}

// actor reads field 1 as an actor above last.
func (r *reader) actor(last Actor) Actor {
	if !r.next() || r.num != 1 {
		r.fail("the actor is missing")
		return 0
	}
	a := Actor(r.uint())
	if r.err == nil && a <= last {
		r.fail("actor %d after actor %d", a, last)
	}
	return a
}

// packed opens field num, which must come next, as packed varints.
func (r *reader) packed(num int32, message string) reader {
	if !r.next() || int32(r.num) != num {
		r.fail("field %d is missing", num)
		return reader{message: message}
	}
	return reader{message: message, b: r.bytes()}
}

// inner takes over the error of a message inside, or that it was not read to its end.
func (r *reader) inner(in *reader) {
	if err := in.finish(); err != nil {
		r.failWith(err, "inner message")
	}
}

// sum adds counters and fails when they pass the largest.
func (r *reader) sum(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		r.fail("counter overflow")
		return a
	}
	return a + b
}

func appendPacked(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}
