package flow

import (
	"fmt"
	"iter"

	"github.com/martinelli-go/martinelli/crdt"
)

// pairing is what an operator with two inputs is, without bytes. Its output is a function of the two
// inputs as they are now, so it does not matter which of them a change came from first.
type pairing[A, B, C comparable] interface {
	// left and right take a change of an input, of which they keep nothing but elements, and return the
	// change of the output; equal elements may repeat in it. After an error, a *WeightError, nothing has
	// changed.
	left(in []Weighted[A], steps *int64) ([]Weighted[C], error)
	right(in []Weighted[B], steps *int64) ([]Weighted[C], error)
	// quiet says whether changes are only held: left and right then return nothing, and look at no pair.
	quiet(bool)
	// has says whether c is in the output; the weight of what is there is 1.
	has(c C) bool
	// keptLeft and keptRight yield the inputs, which are all the state there is.
	keptLeft() iter.Seq[Weighted[A]]
	keptRight() iter.Seq[Weighted[B]]
	all() iter.Seq[Weighted[C]]
	len() int
	entries() int
}

// duo is a pairing between codecs: the engine of operators whose ports 0 and 1 carry different elements.
type duo[A, B, C comparable] struct {
	a      crdt.Codec[A]
	b      crdt.Codec[B]
	out    crdt.Codec[C]
	fresh  func() pairing[A, B, C]
	core   pairing[A, B, C]
	done   Work
	broken bool
	lefts  []Weighted[A] // what a change was decoded into, empty between changes
	rights []Weighted[B]
	room   room
}

// buildDuo returns a Spec's build for an operator with two types of input.
func buildDuo[A, B, C comparable](fresh func() pairing[A, B, C]) func([]any, any) (engine, error) {
	return func(inputs []any, output any) (engine, error) {
		d := &duo[A, B, C]{fresh: fresh, core: fresh()}
		if len(inputs) != 2 {
			return nil, fmt.Errorf("it has %d inputs, not two", len(inputs))
		}
		var err error
		if d.out, err = codecOf[C](output); err != nil {
			return nil, fmt.Errorf("output: %w", err)
		}
		if d.a, err = codecOf[A](inputs[0]); err != nil {
			return nil, fmt.Errorf("input 0: %w", err)
		}
		if d.b, err = codecOf[B](inputs[1]); err != nil {
			return nil, fmt.Errorf("input 1: %w", err)
		}
		return d, nil
	}
}

func (d *duo[A, B, C]) ports() int { return 2 }

// feed decodes a change of one input and gives it to core; after an error core is what it was.
func (d *duo[A, B, C]) feed(core pairing[A, B, C], port int, batch []byte, done *Work) ([]Weighted[C], error) {
	if port == 0 {
		in, err := decodeInput(d.lefts, batch, d.a)
		if err != nil {
			return nil, err
		}
		out, err := core.left(in, &done.Steps)
		if err == nil {
			done.In += int64(len(in))
		}
		d.lefts = emptied(in)
		return out, err
	}
	in, err := decodeInput(d.rights, batch, d.b)
	if err != nil {
		return nil, err
	}
	out, err := core.right(in, &done.Steps)
	if err == nil {
		done.In += int64(len(in))
	}
	d.rights = emptied(in)
	return out, err
}

func (d *duo[A, B, C]) check(port int, batch []byte) (err error) {
	if port == 0 {
		_, err = decodeInput(nil, batch, d.a)
	} else {
		_, err = decodeInput(nil, batch, d.b)
	}
	return err
}

func (d *duo[A, B, C]) apply(port int, batch []byte) ([]byte, error) {
	if d.broken {
		return nil, ErrBroken
	}
	d.broken = true // until it is seen that no function panicked
	out, err := d.feed(d.core, port, batch, &d.done)
	d.broken = false
	if err != nil {
		return nil, err
	}
	encoded, n := appendBatch(nil, out, d.out, &d.room)
	d.done.Out += int64(n)
	return encoded, nil
}

func (d *duo[A, B, C]) replace(inputs [][][]byte) ([]byte, error) {
	if d.broken {
		return nil, ErrBroken
	}
	next, done := d.fresh(), d.done
	next.quiet(true)
	for port, batches := range inputs {
		for i, batch := range batches {
			if _, err := d.feed(next, port, batch, &done); err != nil {
				return nil, fmt.Errorf("port %d, batch %d: %w", port, i, err)
			}
		}
	}
	next.quiet(false)
	var diff []Weighted[C] // never both outputs whole: they may be far larger than the inputs
	for it := range next.all() {
		if !d.core.has(it.Elem) {
			diff = append(diff, it)
		}
	}
	for it := range d.core.all() {
		if !next.has(it.Elem) {
			diff = append(diff, Weighted[C]{it.Elem, -1})
		}
	}
	encoded, n := appendBatch(nil, diff, d.out, &d.room)
	done.Out += int64(n)
	d.core, d.done = next, done
	return encoded, nil
}

func (d *duo[A, B, C]) snapshot() []byte { return encodeAll(d.core.all(), d.out) }

func (d *duo[A, B, C]) state() ([][]byte, error) {
	if d.broken {
		return nil, ErrBroken
	}
	return [][]byte{encodeAll(d.core.keptLeft(), d.a), encodeAll(d.core.keptRight(), d.b)}, nil
}

func (d *duo[A, B, C]) restore(state [][]byte) error {
	if len(state) != 2 {
		return fmt.Errorf("%d inputs are held, not two", len(state))
	}
	next, done := d.fresh(), d.done
	next.quiet(true)
	for port, batch := range state {
		if _, err := d.feed(next, port, batch, &done); err != nil {
			return fmt.Errorf("input %d: %w", port, err)
		}
	}
	next.quiet(false)
	done.In = d.done.In
	d.core, d.done, d.broken = next, done, false
	return nil
}

func (d *duo[A, B, C]) len() int { return d.core.len() }

func (d *duo[A, B, C]) work() Work {
	w := d.done
	w.Entries = d.core.entries()
	return w
}

// encodeAll returns the canonical batch of what seq yields.
func encodeAll[E any](seq iter.Seq[Weighted[E]], c crdt.Codec[E]) []byte {
	var items []Weighted[E]
	for it := range seq {
		items = append(items, it)
	}
	return AppendBatch(nil, items, c)
}
