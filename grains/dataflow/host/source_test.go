package host

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// oddHandle is a handle that says that it is a collection, and whose kind has no feed.
type oddHandle struct{ flow.Of[string] }

// What is no source is refused with the reason.
func TestWhatIsNoSourceIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	type declared struct{ flow.Declared[*oddHandle] }
	from := flow.From(declared{flow.Declared[*oddHandle]{Name: "odd-one"}})
	shout := wire.NewNode(flow.Map("shout", from, func(s string) string { return s + "!" }), text, 1)
	set := variable.SetKind(extra, text).Variable()

	_, err := compile(kinds(shout))
	require.ErrorContains(t, err, "the variable that it reads is no source here")
	_, err = compile(kinds(shout, wire.NewVariable("odd-one", wire.VariableKind{Lattice: set.Lattice})))
	require.ErrorContains(t, err, "sets, counters, registers and maps are")

	fed := wire.NewVariable("odd-one", wire.VariableKind{Lattice: set.Lattice, Source: wire.BindNode(from, text, 0)})
	w := newWorld(t, 1, 1, shout, fed)
	_, err = w.nodes["addr-0"].host.station("odd-one")
	require.ErrorContains(t, err, "whose type is no collection that graphs read")

	bound := wire.NewNode(from, text, 0)
	w = newWorld(t, 1, 1, shout, bound)
	_, err = w.nodes["addr-0"].host.station("odd-one")
	require.ErrorContains(t, err, "is no variable that this silo was given")
}
