package flow

import (
	"fmt"
	"runtime"
)

// Node is the output of an operator: a collection of E that changes. It has no mutators. Nodes are
// declared once, in package-level variables; declaring one does nothing but describe it, and what is
// wrong with it is reported by Compile.
type Node[E any] struct{ spec *Spec }

// Spec describes n, for hosts and generated code. It is nil for the zero Node.
func (n Node[E]) Spec() *Spec { return n.spec }

// Spec describes one node, for hosts and generated code. It is not to be changed.
type Spec struct {
	Name   string  // unique in a graph
	Op     string  // from, each, input, or the function that declared it: map, flat-map, count-by …
	Inputs []*Spec // none for a source
	Source string  // the variable or family that From or Each reads, else empty
	Keyed  bool    // the source is a family
	Place  string  // file:line of the declaration

	param    string // what the fingerprint must know besides the functions
	problems []string
	// build makes an empty instance from the codecs, each a crdt.Codec of the type at that place. The
	// codecs are untyped here only: nothing on the path of an update looks at a type.
	build func(inputs []any, output any) (engine, error)
}

// declare describes a node on behalf of an exported function, whose caller is the place.
func declare(op, name string, inputs ...*Spec) *Spec {
	s := &Spec{Name: name, Op: op, Inputs: inputs, Place: "unknown place"}
	if _, file, line, ok := runtime.Caller(2); ok {
		s.Place = fmt.Sprintf("%s:%d", file, line)
	}
	s.refuse(name == "", "it has no name; give it one that is unique in the graph")
	for i, in := range inputs {
		s.refuse(in == nil, fmt.Sprintf("its input %d is the zero Node, which nobody declared", i))
	}
	return s
}

func (s *Spec) refuse(wrong bool, problem string) {
	if wrong {
		s.problems = append(s.problems, problem)
	}
}

// Of is embedded by handles of variables: their element is E.
type Of[E any] struct{}

func (Of[E]) element() (e E) { return e }

// Collection is any handle whose element is E: one that embeds Of[E].
type Collection[E any] interface{ element() E }

// Declared is embedded by declarations of variables whose handle is H.
type Declared[H any] struct {
	// Name is the variable's.
	Name string
}

func (d Declared[H]) declared() (name string, h H) { return d.Name, h }

// Family is embedded by declarations of families of variables: keys are K, handles H.
type Family[K, H any] struct {
	// Name is the family's.
	Name string
}

func (f Family[K, H]) family() (name string, k K, h H) { return f.Name, k, h }

type source[H any] interface{ declared() (string, H) }

type keyed[K, H any] interface{ family() (string, K, H) }

// From is the collection that the variable v holds. Its name is the variable's; several nodes from one
// variable are one source. A variable whose handle is no Collection is refused by the compiler. What it puts
// out is made by a Feed: births and deaths of dots as changes of weight, after the causal stores of "Delta State
// Replicated Data Types" (Almeida, Shoker, Baquero, 2018), which say what a join makes live and dead.
func From[H Collection[E], E comparable](v source[H]) Node[E] {
	var name string
	if v != nil {
		name, _ = v.declared()
	}
	s := declare("from", name)
	s.refuse(v == nil, "it reads no variable, but nil")
	s.Source = name
	s.build = buildSource[E]
	return Node[E]{s}
}

// Each is the collection of what the variables of the family f hold, each element under its key. Its
// name is the family's; several nodes from one family are one source, which is as in From.
func Each[K comparable, H Collection[E], E comparable](f keyed[K, H]) Node[Entry[K, E]] {
	var name string
	if f != nil {
		name, _, _ = f.family()
	}
	s := declare("each", name)
	s.refuse(f == nil, "it reads no family, but nil")
	s.Source, s.Keyed = name, true
	s.build = buildSource[Entry[K, E]]
	return Node[Entry[K, E]]{s}
}

// Input is a source that is no variable: a test, or a program without a cluster, feeds it, with batches of its
// own or with those that a Feed of a type of package crdt makes (NewFeed).
func Input[E comparable](name string) Node[E] {
	s := declare("input", name)
	s.build = buildSource[E]
	return Node[E]{s}
}
