package flow

import (
	"errors"
	"fmt"
	"iter"

	"github.com/martinelli-go/martinelli/crdt"
)

// ErrBroken is what an operator, a gate and a network answer after a change that was not made whole, because
// a function panicked (Panicked) or a node in the middle of the graph refused its input: what they hold is in
// doubt. Make a new one and give it its inputs again, or Restore a state.
var ErrBroken = errors.New("a function panicked, or a change was refused, in the middle of a change; make it anew and give it its inputs again, or restore a state")

// Panicked is what an operator panics with when one of its functions did.
type Panicked struct {
	Node  string // whose function it was
	Place string // file:line of the node's declaration
	Value any    // what the function panicked with
}

// Error says which node it was; the stack is that of the panic.
func (p *Panicked) Error() string {
	return fmt.Sprintf("flow: a function of node %q at %s panicked: %v", p.Node, p.Place, p.Value)
}

// Unwrap returns the value of the panic when it is an error.
func (p *Panicked) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// Work counts what an operator has done since it was made. It is exact, not sampled, and the same for
// the same sequence of calls up to the order in which groups are visited.
type Work struct {
	In      int64 // weighted elements that came in
	Out     int64 // weighted elements that went out
	Steps   int64 // accesses to an index; in an ordered one each node on the way counts
	Entries int   // held in indexes and in the output view now
}

// Operator is one instance of a node's operator, for hosts. It takes and gives encoded batches, knows
// its element types by itself, and is pure state: the same inputs in the same order give the same bytes.
// It must not be used by two goroutines at once.
type Operator struct {
	node NodeInfo
	e    engine
}

// engine is an operator whose element types are hidden.
type engine interface {
	ports() int
	apply(port int, batch []byte) ([]byte, error)
	check(port int, batch []byte) error // what apply would answer, without its effect
	replace(inputs [][][]byte) ([]byte, error)
	snapshot() []byte
	state() ([][]byte, error)     // batches from which restore makes the same state
	restore(state [][]byte) error // nothing has changed after an error
	len() int
	work() Work
}

// Node describes what o is an instance of.
func (o *Operator) Node() NodeInfo { return o.node }

// Ports returns how many inputs o has; a source has one, its feed.
func (o *Operator) Ports() int { return o.e.ports() }

// Apply takes a change of the input at port, encoded with that input's codec (a source's own), and
// returns the change of the output, encoded with the node's codec, nil when nothing changed. After an
// error that wraps a *BatchError or a *WeightError the state is what it was; ErrBroken, wrapped, says that
// it is in doubt since an earlier change. When a function of the node panics, so does Apply, with a
// *Panicked, and the operator is broken. The output does not alias the batch. Its cost is O(change) index
// accesses; see the function that declared the node.
func (o *Operator) Apply(port int, batch []byte) ([]byte, error) {
	if port < 0 || port >= o.e.ports() {
		return nil, noPort(o.node.Name, port, o.e.ports())
	}
	defer o.named()
	out, err := o.e.apply(port, batch)
	if err != nil {
		return nil, fmt.Errorf("flow: node %q, port %d: %w", o.node.Name, port, err)
	}
	return out, nil
}

// Replace puts new inputs in the place of all that came before, because an upstream was reset:
// inputs[port] holds the batches of that port's snapshot. It returns the difference between the new and
// the old output as one batch (see SplitBatch), nil when there is none. Errors and panics are those of
// Apply; after a panic, too, the state is what it was. It costs O(inputs + old output).
func (o *Operator) Replace(inputs [][][]byte) ([]byte, error) {
	if len(inputs) != o.e.ports() {
		return nil, fmt.Errorf("flow: node %q has %d ports, %d inputs are given", o.node.Name, o.e.ports(), len(inputs))
	}
	defer o.named()
	out, err := o.e.replace(inputs)
	if err != nil {
		return nil, fmt.Errorf("flow: node %q, replacing inputs: %w", o.node.Name, err)
	}
	return out, nil
}

// named gives a panic the name of the node.
func (o *Operator) named() {
	if p := recover(); p != nil {
		panic(&Panicked{o.node.Name, o.node.Place, p})
	}
}

// noPort says which ports a node has.
func noPort(node string, port, ports int) error {
	has := "it has port 0 alone"
	if ports > 1 {
		has = fmt.Sprintf("it has ports 0 to %d", ports-1)
	}
	if ports == 2 {
		has = "it has ports 0 and 1"
	}
	return fmt.Errorf("flow: node %q has no port %d: %s", node, port, has)
}

// Len returns how many elements are in the output.
func (o *Operator) Len() int { return o.e.len() }

// Snapshot returns the whole output, as it is at the call, as batches of at most limit bytes (an element
// longer than that travels alone; 0 and less mean one batch). The order is that of the encoded elements,
// so equal outputs give equal bytes. It costs O(n log n) and holds the encoded output in memory while
// the sequence is in use.
func (o *Operator) Snapshot(limit int) iter.Seq[[]byte] {
	return SplitBatch(o.e.snapshot(), limit)
}

// Work returns the counters.
func (o *Operator) Work() Work { return o.e.work() }

// core is what an operator is, without bytes. All of its ports carry A. Its state is either its input,
// which it then yields (kept), or its view, which it then takes (load).
type core[A, B comparable] interface {
	// apply takes a change, of which it keeps nothing but elements, and returns the change of the output;
	// equal elements may repeat in it. After an error, a *WeightError, nothing has changed.
	apply(in []Weighted[A], steps *int64) ([]Weighted[B], error)
	all() iter.Seq[Weighted[B]]
	len() int
	entries() int
}

// stage is a core between codecs.
type stage[A, B comparable] struct {
	in     []crdt.Codec[A]
	out    crdt.Codec[B]
	fresh  func() core[A, B]
	core   core[A, B]
	done   Work
	broken bool
	items  []Weighted[A] // what a change was decoded into, empty between changes
	room   room
}

// buildStage returns a Spec's build for an operator with one type of input.
func buildStage[A, B comparable](fresh func() core[A, B]) func([]any, any) (engine, error) {
	return func(inputs []any, output any) (engine, error) {
		s := &stage[A, B]{fresh: fresh, core: fresh()}
		var err error
		if s.out, err = codecOf[B](output); err != nil {
			return nil, fmt.Errorf("output: %w", err)
		}
		for i, in := range inputs {
			c, err := codecOf[A](in)
			if err != nil {
				return nil, fmt.Errorf("input %d: %w", i, err)
			}
			s.in = append(s.in, c)
		}
		s.bind(s.core)
		return s, nil
	}
}

// buildSource is buildStage for a source, whose only port carries its own elements.
func buildSource[E comparable](_ []any, output any) (engine, error) {
	return buildStage(identity[E])([]any{output}, output)
}

// bind gives the codecs to a core that orders elements by their bytes.
func (s *stage[A, B]) bind(c core[A, B]) {
	if o, ok := c.(interface {
		bind(crdt.Codec[A], crdt.Codec[B])
	}); ok {
		o.bind(s.in[0], s.out)
	}
}

func codecOf[E any](c any) (crdt.Codec[E], error) {
	codec, ok := c.(crdt.Codec[E])
	if !ok {
		return codec, fmt.Errorf("it is bound with a %T, not a %T", c, codec)
	}
	return codec, nil
}

func (s *stage[A, B]) ports() int { return len(s.in) }

func (s *stage[A, B]) apply(port int, batch []byte) ([]byte, error) {
	if s.broken {
		return nil, ErrBroken
	}
	in, err := decodeInput(s.items, batch, s.in[port])
	if err != nil {
		return nil, err
	}
	s.broken = true
	out, err := s.core.apply(in, &s.done.Steps)
	if _, ok := itself(out); !ok {
		panic(notItself("the operator"))
	}
	s.broken = false
	if err != nil {
		return nil, err
	}
	encoded, n := appendBatch(nil, out, s.out, &s.room)
	s.done.In += int64(len(in))
	s.done.Out += int64(n)
	s.items = emptied(in)
	return encoded, nil
}

// emptied returns items for the next change, holding none of them; nothing when they were many.
func emptied[E any](items []Weighted[E]) []Weighted[E] {
	if cap(items) > roomKept {
		return nil
	}
	clear(items)
	return items[:0]
}

func (s *stage[A, B]) replace(inputs [][][]byte) ([]byte, error) {
	if s.broken {
		return nil, ErrBroken
	}
	next := s.fresh()
	s.bind(next)
	done := s.done
	for port, batches := range inputs {
		for i, batch := range batches {
			in, err := decodeInput(nil, batch, s.in[port])
			if err == nil {
				_, err = next.apply(in, &done.Steps)
			}
			if err != nil {
				return nil, fmt.Errorf("port %d, batch %d: %w", port, i, err)
			}
			done.In += int64(len(in))
		}
	}
	diff := make([]Weighted[B], 0, next.entries())
	for it := range next.all() {
		diff = append(diff, it)
	}
	if _, ok := itself(diff); !ok {
		panic(notItself("the operator"))
	}
	for it := range s.core.all() {
		diff = append(diff, Weighted[B]{it.Elem, -it.Weight})
	}
	encoded, n := appendBatch(nil, diff, s.out, &s.room)
	done.Out += int64(n)
	s.core, s.done = next, done
	return encoded, nil
}

func (s *stage[A, B]) snapshot() []byte { return encodeAll(s.core.all(), s.out) }

func (s *stage[A, B]) check(port int, batch []byte) error {
	_, err := decodeInput(nil, batch, s.in[port])
	return err
}

func (s *stage[A, B]) state() ([][]byte, error) {
	if s.broken {
		return nil, ErrBroken
	}
	if k, ok := s.core.(interface{ kept() iter.Seq[Weighted[A]] }); ok {
		return [][]byte{encodeAll(k.kept(), s.in[0])}, nil
	}
	return [][]byte{s.snapshot()}, nil
}

func (s *stage[A, B]) restore(state [][]byte) error {
	if len(state) != 1 {
		return fmt.Errorf("%d collections are held, not one", len(state))
	}
	next, done := s.fresh(), s.done
	s.bind(next)
	if l, ok := next.(interface{ load([]Weighted[B]) error }); ok {
		view, err := decodeInput(nil, state[0], s.out)
		if err == nil {
			err = l.load(view)
		}
		if err != nil {
			return fmt.Errorf("the view: %w", err)
		}
	} else {
		in, err := decodeInput(nil, state[0], s.in[0])
		if err == nil {
			_, err = next.apply(in, &done.Steps)
		}
		if err != nil {
			return fmt.Errorf("the input: %w", err)
		}
	}
	s.core, s.done, s.broken = next, done, false
	return nil
}

func (s *stage[A, B]) len() int { return s.core.len() }

func (s *stage[A, B]) work() Work {
	w := s.done
	w.Entries = s.core.entries()
	return w
}
