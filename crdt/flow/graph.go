package flow

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/martinelli-go/martinelli/crdt"
)

// Bound is a node together with what only generated code knows of it.
type Bound struct {
	spec        *Spec
	codec       any // crdt.Codec[E]
	usable      bool
	fingerprint uint64
}

// Bind gives the node n the codec of its elements and the fingerprint of its functions and of what they
// call. For a source the fingerprint is that of its element type. It is meant for generated code.
func Bind[E comparable](n Node[E], c crdt.Codec[E], fingerprint uint64) Bound {
	return Bound{n.spec, c, c.Append != nil && c.Decode != nil, fingerprint}
}

// Spec describes the node that is bound.
func (b Bound) Spec() *Spec { return b.spec }

// NodeInfo describes a node of a compiled graph.
type NodeInfo struct {
	Name   string
	Op     string
	Inputs []string // names, by port; none for a source
	Source string   // the variable or family of a From or Each, else empty
	Keyed  bool     // the source is a family
	Place  string   // file:line of the declaration
	// Fingerprint covers the node's operator, functions and parameters and those of all nodes before
	// it: two views whose fingerprints differ were made by different code and must not be mixed.
	Fingerprint uint64
}

// Problem is one thing that is wrong with a graph.
type Problem struct {
	Node  string // the node's name, empty when it has none
	Place string // file:line of its declaration
	What  string
}

// GraphError lists everything that is wrong with a graph.
type GraphError struct{ Problems []Problem }

func (e *GraphError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("flow: node %q at %s: %s", p.Node, p.Place, p.What)
	}
	return strings.Join(lines, "\n")
}

// Graph is a closed, checked set of nodes. It is immutable and safe for concurrent use.
type Graph struct {
	order []*vertex
	named map[string]*vertex
}

type vertex struct {
	info   NodeInfo
	spec   *Spec
	inputs []any // codecs
	codec  any
}

// Compile checks that nodes are whole and closed: every node has a name of its own, its functions and
// its codec, and the inputs of every node are among nodes. Sources of one variable or family are one
// node, and binding a node twice in the same way is harmless. Cycles cannot be written down. What is
// wrong comes back as one *GraphError that lists all of it.
func Compile(nodes []Bound) (*Graph, error) {
	c := compiler{
		bound: make(map[*Spec]Bound),
		named: make(map[string]*Spec),
		done:  make(map[*Spec]*vertex),
		graph: &Graph{named: make(map[string]*vertex)},
	}
	for i, b := range nodes {
		if b.spec == nil {
			c.report(&Spec{Place: "unknown place"}, fmt.Sprintf("bound node %d is the zero Node, which nobody declared", i))
			continue
		}
		c.bind(b)
	}
	// By name, so that the order does not depend on that of the list.
	roots := make([]*Spec, 0, len(c.bound))
	for s := range c.bound {
		roots = append(roots, s)
	}
	slices.SortFunc(roots, func(a, b *Spec) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Place, b.Place)) })
	for _, s := range roots {
		c.visit(s)
	}
	if len(c.problems) > 0 {
		return nil, &GraphError{c.problems}
	}
	return c.graph, nil
}

type compiler struct {
	bound    map[*Spec]Bound
	named    map[string]*Spec // the one that stands for its name
	done     map[*Spec]*vertex
	graph    *Graph
	problems []Problem
}

func (c *compiler) report(s *Spec, what string) {
	p := Problem{s.Name, s.Place, what}
	if !slices.Contains(c.problems, p) {
		c.problems = append(c.problems, p)
	}
}

// canonical returns the node that stands for s: the first source of the same variable, else s itself.
func (c *compiler) canonical(s *Spec) *Spec {
	if s.Name == "" {
		return s
	}
	first, ok := c.named[s.Name]
	if !ok {
		c.named[s.Name] = s
		return s
	}
	if first != s && (s.Source == "" || first.Op != s.Op) {
		c.report(s, fmt.Sprintf("its name is taken by the %s at %s; give one of them another", first.Op, first.Place))
		return s
	}
	return first
}

func (c *compiler) bind(b Bound) {
	s := c.canonical(b.spec)
	if !b.usable {
		c.report(s, "it is bound with the zero Codec; run the generator again")
		return
	}
	old, ok := c.bound[s]
	if !ok {
		c.bound[s] = b
		return
	}
	if _, err := s.build(nil, b.codec); err != nil {
		c.report(b.spec, fmt.Sprintf("it and the node at %s read one source as different types of element: %v", s.Place, err))
		return
	}
	if old.fingerprint != b.fingerprint {
		c.report(s, fmt.Sprintf("it is bound twice with different fingerprints (%#x, %#x); run the generator again in every package", old.fingerprint, b.fingerprint))
	}
}

// visit places s after its inputs; nil when that is impossible, which has then been reported.
func (c *compiler) visit(s *Spec) *vertex {
	s = c.canonical(s)
	if v, ok := c.done[s]; ok {
		return v
	}
	c.done[s] = nil
	whole := len(s.problems) == 0
	for _, what := range s.problems {
		c.report(s, what)
	}
	b, ok := c.bound[s]
	if !ok {
		what := "it has no codec: Bind it, or, where generated code shall do that, assign it to a package-level variable and run the generator"
		if s.Source != "" {
			what = "the variable that it reads is no source here: either its type is no collection that graphs read (sets, counters, registers and maps are), or this node was not given the kinds of its package"
		}
		c.report(s, what)
		whole = false
	}
	v := &vertex{spec: s, codec: b.codec, info: NodeInfo{
		Name: s.Name, Op: s.Op, Source: s.Source, Keyed: s.Keyed, Place: s.Place,
	}}
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %q %q %q", s.Op, s.Name, s.Source, s.param)
	writeUint64(h, b.fingerprint)
	for _, in := range s.Inputs {
		if in == nil {
			continue // reported with the problems
		}
		u := c.visit(in)
		if u == nil {
			whole = false
			continue
		}
		v.inputs = append(v.inputs, u.codec)
		v.info.Inputs = append(v.info.Inputs, u.info.Name)
		writeUint64(h, u.info.Fingerprint)
	}
	if !whole {
		return nil
	}
	v.info.Fingerprint = h.Sum64()
	if _, err := s.build(v.inputs, v.codec); err != nil {
		c.report(s, err.Error())
		return nil
	}
	c.done[s] = v
	c.graph.order = append(c.graph.order, v)
	c.graph.named[s.Name] = v
	return v
}

func writeUint64(w interface{ Write([]byte) (int, error) }, v uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v)
	_, _ = w.Write(b[:]) // a hash does not fail
}

// Nodes returns the nodes, each after its inputs, in an order that depends on the graph alone.
func (g *Graph) Nodes() []NodeInfo {
	infos := make([]NodeInfo, len(g.order))
	for i, v := range g.order {
		infos[i] = v.info
		infos[i].Inputs = slices.Clone(v.info.Inputs)
	}
	return infos
}

// Node describes the node of that name.
func (g *Graph) Node(name string) (NodeInfo, bool) {
	v, ok := g.named[name]
	if !ok {
		return NodeInfo{}, false
	}
	info := v.info
	info.Inputs = slices.Clone(v.info.Inputs)
	return info, true
}

// New makes an operator of the node of that name, whose inputs are empty.
func (g *Graph) New(name string) (*Operator, error) {
	info, ok := g.Node(name)
	if !ok {
		return nil, fmt.Errorf("flow: the graph has no node %q; it has %s", name, g.names())
	}
	v := g.named[name]
	e, err := v.spec.build(v.inputs, v.codec)
	if err != nil {
		return nil, fmt.Errorf("flow: node %q at %s: %w", name, info.Place, err)
	}
	return &Operator{info, e}, nil
}

// CodecOf returns the codec that the node n is bound with in g, for hosts that make its Materialized.
func CodecOf[E any](g *Graph, n Node[E]) (crdt.Codec[E], error) {
	var none crdt.Codec[E]
	if n.spec == nil {
		return none, errors.New("flow: the zero Node, which nobody declared, has no codec")
	}
	v, ok := g.named[n.spec.Name]
	if !ok || v.spec != n.spec && (n.spec.Source == "" || v.spec.Op != n.spec.Op) {
		return none, fmt.Errorf("flow: node %q at %s is not in the graph; it has %s", n.spec.Name, n.spec.Place, g.names())
	}
	c, err := codecOf[E](v.codec)
	if err != nil {
		return none, fmt.Errorf("flow: node %q at %s: %w", n.spec.Name, n.spec.Place, err)
	}
	return c, nil
}

func (g *Graph) names() string {
	if len(g.order) == 0 {
		return "none"
	}
	names := make([]string, len(g.order))
	for i, v := range g.order {
		names[i] = v.info.Name
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
