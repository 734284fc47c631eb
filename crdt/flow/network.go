package flow

import (
	"errors"
	"fmt"
	"maps"

	"google.golang.org/protobuf/encoding/protowire"
)

// Network runs a whole graph in one place, without glitches: numbered batches of the sources go in,
// every node fires at the common frontier of its inputs (see [Gate]), and what it puts out is stamped
// with its frontier. It is pure; who calls Step decides in which order changes travel, and the views at
// equal frontiers do not depend on it. It is not safe for use by two goroutines at once.
type Network struct {
	graph *Graph
	nodes []*netNode // each after its inputs
	named map[string]*netNode
	edges []*edge
	fired []Fired // since they were last handed out
	// broken is the node at which a change was lost on its way, empty while none was.
	broken string
}

type netNode struct {
	gate *Gate
	out  []*edge
}

// edge is the way from one node's output to a port of another.
type edge struct {
	to    *netNode
	port  int
	queue []Change
}

// Fired is one firing of a node.
type Fired struct {
	Node   string
	Change Change // of the node's output; not to be changed
}

// ErrUnsettled is what Network.AppendState answers while changes are on their way; Run first.
var ErrUnsettled = errors.New("flow: changes are on their way in the network; let it run before taking its state")

// NewNetwork makes a network of all nodes of g. All collections are empty, at number 0 of every source.
func (g *Graph) NewNetwork() (*Network, error) {
	n := &Network{graph: g, named: make(map[string]*netNode)}
	for _, v := range g.order {
		gate, err := g.NewGate(v.info.Name)
		if err != nil {
			return nil, err
		}
		to := &netNode{gate: gate}
		n.nodes = append(n.nodes, to)
		n.named[v.info.Name] = to
		for port, in := range v.info.Inputs {
			e := &edge{to: to, port: port}
			n.edges = append(n.edges, e)
			n.named[in].out = append(n.named[in].out, e)
		}
	}
	return n, nil
}

// Node returns the gate of the node of that name, to be read, nil when there is none.
func (n *Network) Node(name string) *Gate {
	if node, ok := n.named[name]; ok {
		return node.gate
	}
	return nil
}

// Push gives the source its batch of that number, and lets nothing travel yet. An empty batch counts. A
// number that the source has passed is a repetition: it is dropped and counted (Gate.Repeated). One that
// is not the next is refused with a *GapError, bytes that are not a batch with a wrapped *BatchError, and
// weights out of range with a wrapped *WeightError; nothing has changed then. A broken network answers
// ErrBroken, wrapped (Run).
func (n *Network) Push(source string, number uint64, batch []byte) error {
	if err := n.sound(); err != nil {
		return err
	}
	node, ok := n.named[source]
	if !ok || len(node.gate.op.node.Inputs) > 0 {
		return fmt.Errorf("flow: the network has no source %q", source)
	}
	if number == 0 {
		return fmt.Errorf("flow: source %q: numbers begin at 1", source)
	}
	return n.take(node, 0, Change{Frontier{source: number - 1}, Frontier{source: number}, batch})
}

// sound returns ErrBroken, wrapped, when a change was lost.
func (n *Network) sound() error {
	if n.broken == "" {
		return nil
	}
	return fmt.Errorf("flow: the network lost a change at node %q: %w", n.broken, ErrBroken)
}

// arrive takes the oldest change of an edge off it and gives it to the node that it leads to. When that
// refuses it or panics, the change is lost and the network broken.
func (n *Network) arrive(e *edge) error {
	c := e.queue[0]
	e.queue = e.queue[1:]
	n.broken = e.to.gate.op.node.Name
	if err := n.take(e.to, e.port, c); err != nil {
		return err
	}
	n.broken = ""
	return nil
}

func (n *Network) take(node *netNode, port int, c Change) error {
	out, fired, err := node.gate.Take(port, c)
	if err != nil || !fired {
		return err
	}
	for _, e := range node.out {
		e.queue = append(e.queue, out)
	}
	n.fired = append(n.fired, Fired{node.gate.op.node.Name, out})
	return nil
}

// Pending returns on how many edges changes are on their way.
func (n *Network) Pending() int {
	count := 0
	for _, e := range n.edges {
		if len(e.queue) > 0 {
			count++
		}
	}
	return count
}

// Step lets the oldest change of the i-th of the pending edges arrive, and returns who fired since the
// last Step or Run, in order. Errors other than for i, and panics, are those of Run.
func (n *Network) Step(i int) ([]Fired, error) {
	if err := n.sound(); err != nil {
		return n.handOut(), err
	}
	for _, e := range n.edges {
		if len(e.queue) == 0 {
			continue
		}
		if i--; i >= 0 {
			continue
		}
		err := n.arrive(e)
		return n.handOut(), err
	}
	return nil, fmt.Errorf("flow: Step asks for pending edge number %d of %d", i+n.Pending(), n.Pending())
}

// Run lets everything arrive, and returns who fired since the last Step or Run, in order. Afterwards
// every node is at the numbers that its sources were pushed, and nothing waits.
//
// When a node refuses what arrives (an error that wraps a *WeightError or a *BatchError), and when a function
// of one panics, as Run then does with a *Panicked, the network is broken: what it holds is in doubt, and
// everything but Restore answers ErrBroken, wrapped. Make a new one and push all again, or Restore a state.
func (n *Network) Run() ([]Fired, error) {
	if err := n.sound(); err != nil {
		return n.handOut(), err
	}
	// Edges are in the order of the nodes that they lead to, so one pass is enough.
	for _, e := range n.edges {
		for len(e.queue) > 0 {
			if err := n.arrive(e); err != nil {
				return n.handOut(), err
			}
		}
		e.queue = nil
	}
	return n.handOut(), nil
}

func (n *Network) handOut() []Fired {
	fired := n.fired
	n.fired = nil
	return fired
}

// On the wire the state of a network is
//
//	message Network { uint32 version = 1; repeated Node node = 2; }
//	message Node    { uint64 number = 1; bytes state = 2; }
//
// with the nodes in the order of Graph.Nodes; number is a source's, and 0 for the others.

// AppendState appends the state of every node to b. It answers ErrUnsettled while changes are on their
// way, and ErrBroken, wrapped, after a change was lost. Equal states give equal bytes.
func (n *Network) AppendState(b []byte) ([]byte, error) {
	if err := n.sound(); err != nil {
		return b, err
	}
	if n.Pending() > 0 {
		return b, ErrUnsettled
	}
	whole := protowire.AppendTag(nil, 1, protowire.VarintType)
	whole = protowire.AppendVarint(whole, stateVersion)
	for _, node := range n.nodes {
		info := node.gate.op.node
		number := uint64(0)
		if len(info.Inputs) == 0 {
			number = node.gate.at[info.Name]
		}
		state, err := node.gate.op.AppendState(nil)
		if err != nil {
			return b, err
		}
		field := protowire.AppendTag(nil, 1, protowire.VarintType)
		field = protowire.AppendVarint(field, number)
		field = protowire.AppendTag(field, 2, protowire.BytesType)
		field = protowire.AppendBytes(field, state)
		whole = protowire.AppendTag(whole, 2, protowire.BytesType)
		whole = protowire.AppendBytes(whole, field)
	}
	return append(b, whole...), nil
}

// Restore puts a state that AppendState made in the place of everything that n holds, and mends a network
// that is broken. It refuses, with a *StateError and without any change, what is malformed and what another
// graph or other code made.
func (n *Network) Restore(state []byte) error {
	r := reader{b: state}
	if v := r.varint(1); r.err == nil && v != stateVersion {
		r.fail(fmt.Sprintf("its version is %d, not %d", v, stateVersion))
	}
	next, err := n.graph.NewNetwork()
	if err != nil {
		return err
	}
	for _, node := range next.nodes {
		if err := next.restoreNode(&r, node); err != nil {
			return err
		}
	}
	if r.more() {
		r.fail("more follows than the nodes of this graph")
	}
	if r.err != nil {
		return r.err
	}
	next.fired = n.fired
	*n = *next
	return nil
}

// restoreNode reads one node, whose inputs have been read.
func (n *Network) restoreNode(r *reader, node *netNode) error {
	field := r.bytes(2)
	if r.err != nil {
		return r.err
	}
	gate := node.gate
	in := reader{b: field, node: gate.op.node.Name}
	number, state := in.varint(1), in.bytes(2)
	if in.more() {
		in.fail("more follows than a node")
	}
	source := len(gate.op.node.Inputs) == 0
	if in.err == nil && !source && number != 0 {
		in.fail("a node that is no source has a number")
	}
	if in.err != nil {
		return in.err
	}
	if err := gate.op.Restore(state); err != nil {
		return err
	}
	if source {
		gate.at = Frontier{gate.op.node.Name: number}
		gate.ports[0].held = maps.Clone(gate.at)
		return nil
	}
	for i, input := range gate.op.node.Inputs {
		gate.ports[i].held = maps.Clone(n.named[input].gate.at)
		maps.Copy(gate.at, gate.ports[i].held)
	}
	return nil
}
