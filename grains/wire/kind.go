package wire

import (
	"context"
	"time"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
)

// Kind is anything that is hosted: a grain, a variable or a family of them, an operator, a process.
// Exactly one of its parts is set.
type Kind struct {
	name     string
	grain    *GrainKind
	variable *VariableKind
	node     *NodeKind
	process  *ProcessKind
}

// Name is the kind's qualified name, "package.Name"; it is unique in a cluster.
func (k Kind) Name() string { return k.name }

// Grain returns what is needed to host a grain, nil if k is none.
func (k Kind) Grain() *GrainKind { return k.grain }

// Variable returns what is needed to host a variable, nil if k is none.
func (k Kind) Variable() *VariableKind { return k.variable }

// Node returns what is needed to host an operator, nil if k is none. A variable is the operator, without
// inputs, that is the source of graphs over it.
func (k Kind) Node() *NodeKind {
	if k.variable != nil {
		return k.variable.Source
	}
	return k.node
}

// Process returns what is needed to host a process, nil if k is none.
func (k Kind) Process() *ProcessKind { return k.process }

// GrainKind is how a silo makes and calls grains of a kind.
type GrainKind struct {
	KindOptions
	// New makes an instance for g, its fields bound; what it returns implements the grain's interface.
	New func(g *Grain) any
	// Methods by number; a number that was retired is nil.
	Methods []Handler
	// Of is the interface as this build knows it, nil where generated code does not say.
	Of *Interface
}

// Method returns the method of that number, nil if there is none.
func (k *GrainKind) Method(number uint32) Handler {
	if int(number) >= len(k.Methods) {
		return nil
	}
	return k.Methods[number]
}

// KindOptions are what the directives of an implementation say of its grains.
type KindOptions struct {
	// IdleAfter is how long an activation is kept without calls; 0: as long as the silo's Config says.
	IdleAfter time.Duration
}

// NewKind returns the kind of a grain.
func NewKind[G interface{ attach(*Grain) }](name string, o KindOptions, build func(*Grain) G, methods ...Handler) Kind {
	k := &GrainKind{KindOptions: o, New: func(g *Grain) any {
		impl := build(g)
		impl.attach(g)
		return impl
	}}
	for _, m := range methods {
		info := m.Info()
		if k.Of == nil {
			k.Of = info.Of
		}
		n := int(info.Number)
		for len(k.Methods) <= n {
			k.Methods = append(k.Methods, nil)
		}
		k.Methods[n] = m
	}
	return Kind{name: name, grain: k}
}

// Lattice is what hosts know of a variable's type. Operations, deltas, digests and states are bytes in
// the type's own encoding. Its methods may be called from any goroutine.
type Lattice interface {
	// New returns an empty state.
	New() Object
	// Effect turns a prepared operation into the delta that actor's doing it makes, nil for none. own is what actor
	// keeps for this variable (its dot counter, its row of a counter), nil before the first time; newOwn
	// takes its place and must be durable before the delta is shown to anybody.
	Effect(actor crdt.Actor, own, op []byte) (delta, newOwn []byte, err error)
}

// Object is the state of one variable. It is not safe for concurrent use.
type Object interface {
	// Prepare adds to an operation what it observes: dots, or a timestamp not before now (nanoseconds
	// since 1970). It does not change the state.
	Prepare(now int64, op []byte) ([]byte, error)
	// Join merges a delta and returns the part of it that was new, nil for none. After an error the
	// state is as it was.
	Join(delta []byte) (novelty []byte, err error)
	// Hash is equal for equal states.
	Hash() uint64
	// Digest and Since: Since(d) is the smallest delta that a replica whose Digest is d lacks, nil for
	// none.
	Digest() []byte
	Since(digest []byte) (delta []byte, err error)
	// State is the delta that is the whole state, in canonical encoding.
	State() []byte
	// Empty says whether the state holds no value that a reader could see.
	Empty() bool
	String() string
}

// VariableKind is how a silo hosts a variable.
type VariableKind struct {
	Lattice Lattice
	// Replicas is on how many silos each variable is kept: 0 stands for 3, Everywhere for all.
	Replicas int
	// Family says that there is one variable for each key.
	Family bool
	// Source is the variable as a source of graphs, and NewFeed makes what feeds it; both are nil where
	// the lattice has no elements.
	Source  *NodeKind
	NewFeed func() flow.Feed
	// Problem is what is wrong with the declaration, for the node that is given the kind to refuse.
	Problem error
}

// Everywhere as a number of replicas stands for all silos.
const Everywhere = -1

// NewVariable returns the kind of a variable or family.
func NewVariable(name string, v VariableKind) Kind { return Kind{name: name, variable: &v} }

// NodeKind is an operator of a graph.
type NodeKind struct {
	Bound flow.Bound
	// Materialize makes an empty copy of the operator's output, for readers.
	Materialize func() Materialized
}

// Materialized is what hosts know of a *flow.Materialized: a reader's copy of an operator's output.
type Materialized interface {
	// Apply joins a change, and returns what it brought and took, each a slice of the element type.
	Apply(batch []byte) (born, died any, err error)
	// Replace makes the copy what the batches say.
	Replace(batches [][]byte) (born, died any, err error)
	// All is the whole copy as a slice of the element type.
	All() any
	// Typed is the *flow.Materialized.
	Typed() any
}

// NewNode returns the kind of an operator: n, with the codec of its elements and the fingerprint of the
// functions in it.
func NewNode[E comparable](n flow.Node[E], codec Codec[E], fingerprint uint64) Kind {
	return Kind{name: n.Spec().Name, node: BindNode(n, codec, fingerprint)}
}

// BindNode returns what is needed to host n.
func BindNode[E comparable](n flow.Node[E], codec Codec[E], fingerprint uint64) *NodeKind {
	return &NodeKind{Bound: flow.Bind(n, codec, fingerprint), Materialize: func() Materialized {
		return &materialized[E]{*flow.NewMaterialized(codec)}
	}}
}

type materialized[E comparable] struct{ flow.Materialized[E] }

func (m *materialized[E]) Apply(batch []byte) (born, died any, err error) {
	return m.Materialized.Apply(batch)
}

func (m *materialized[E]) Replace(batches [][]byte) (born, died any, err error) {
	return m.Materialized.Reset(batches)
}

func (m *materialized[E]) All() any {
	all := make([]E, 0, m.Len())
	for e := range m.Materialized.All() {
		all = append(all, e)
	}
	return all
}

func (m *materialized[E]) Typed() any { return &m.Materialized }

// ProcessKind is a function that reads variables and views, writes variables, and runs again when what
// it read has changed.
type ProcessKind struct {
	// Of is the family for each of whose keys the process runs; "" for a process that runs once.
	Of string
	// Round is the least time between two runs because of views; changes of variables start a run at
	// once.
	Round time.Duration
	// Run is one run, for key, on the engine of the turn.
	Run func(ctx context.Context, turn Engine, key string) error
}

// NewProcess returns the kind of a process.
func NewProcess(name string, p ProcessKind) Kind { return Kind{name: name, process: &p} }

// GeneratedCodeAndModuleDisagree_RunGoGenerate_2 is referred to by generated code as an assertion: code that an older or newer grainc
// wrote than this module goes with fails to compile, at this name.
const GeneratedCodeAndModuleDisagree_RunGoGenerate_2 = 2
