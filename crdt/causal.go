package crdt

import (
	"errors"
	"strings"
)

// Small causal types (flags, the multi-value register) are sets of marks: which dots are live, and what each
// stands for. They share what is here.

// perform prepares op, makes its delta under m and joins it. It panics with *DotReused when m hands out a
// dot that the set has seen, before anything has changed.
func (s *Set[E]) perform(op SetOp[E], m *Minter) *Set[E] {
	return s.commit(s.Prepare(op).Effect(m))
}

func (s *Set[E]) commit(delta *Set[E]) *Set[E] {
	s.mustBeFresh(delta)
	s.Join(delta)
	return delta
}

// mustBeFresh panics with *DotReused when a live dot of the delta is one that the set has seen.
func (s *Set[E]) mustBeFresh(delta *Set[E]) {
	for d := range delta.AllDots() {
		if s.ctx.Contains(d) {
			panic(&DotReused{Dot: d})
		}
	}
}

// liveDots returns the live dots in order.
func (s *Set[E]) liveDots() []Dot {
	var dots []Dot
	for d := range s.AllDots() {
		dots = append(dots, d)
	}
	return dots
}

// digestDots returns a digest that names every live dot, message CausalDigest of crdt.proto: for states
// that have few.
func (s *Set[E]) digestDots() []byte {
	b := appendVersion(nil)
	if s.IsEmpty() {
		return b
	}
	b = appendNested(b, 2, s.ctx.Append)
	if dots := s.liveDots(); len(dots) > 0 {
		b = appendDots(b, 3, dots)
	}
	return b
}

// sinceDots answers digestDots, exactly: what the other has not seen, and of what it holds live the dots
// that are dead here.
func (s *Set[E]) sinceDots(digest []byte) (*Set[E], error) {
	var ctx Context
	var live []Dot
	r := reader{message: "CausalDigest", b: digest}
	r.version()
	for r.next(3) {
		switch r.num {
		case 2:
			ctx = r.context()
		case 3:
			live = r.dots(live)
		default:
			r.unknown()
		}
	}
	r.requireSeen(&ctx, live)
	if err := r.finish(); err != nil {
		return nil, err
	}
	if s.IsEmpty() {
		return nil, nil
	}
	delta := &Set[E]{ctx: s.ctx.minus(&ctx)}
	for _, run := range delta.ctx.runs {
		s.live.within(run, func(d Dot, e E) { delta.live.insert(d, e) })
	}
	var dead Context
	for _, d := range live {
		if _, ok := s.live.get(d); !ok && s.ctx.Contains(d) {
			dead.push(Run{d.Actor, d.Counter, d.Counter})
		}
	}
	delta.ctx.Join(&dead)
	if delta.ctx.IsEmpty() {
		return nil, nil
	}
	return delta, nil
}

// requireSeen fails unless every dot is in the context.
func (r *reader) requireSeen(ctx *Context, dots []Dot) {
	for _, d := range dots {
		if r.err == nil && !ctx.Contains(d) {
			r.fail("live dot %v is not in the context", d)
		}
	}
}

// convert applies f to each element.
func convert[A, B any](in []A, f func(A) B) []B {
	if in == nil {
		return nil
	}
	out := make([]B, len(in))
	for i, a := range in {
		out[i] = f(a)
	}
	return out
}

// renamed names a type that is encoded as another in the errors of decoding it.
func renamed(err error, from, to string) error {
	var e *DecodeError
	if !errors.As(err, &e) {
		return err
	}
	out := *e
	if rest, ok := strings.CutPrefix(e.Message, from); ok {
		out.Message = to + rest
	}
	if e.Err != nil {
		out.Err = renamed(e.Err, from, to)
	}
	return &out
}
