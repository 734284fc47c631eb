package crdt

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

func floatCodec() Codec[float64] {
	return Codec[float64]{
		Append: func(b []byte, f float64) []byte { return protowire.AppendFixed64(b, math.Float64bits(f)) },
		Decode: func(b []byte) (float64, error) {
			v, n := protowire.ConsumeFixed64(b)
			if n != len(b) {
				return 0, &DecodeError{Message: "float64", Reason: "not 8 bytes"}
			}
			return math.Float64frombits(v), nil
		},
	}
}

// nanCodec writes a NaN in place of every number.
func nanCodec() Codec[float64] {
	c := floatCodec()
	c.Append = func(b []byte, _ float64) []byte { return floatCodec().Append(b, math.NaN()) }
	return c
}

const notItself = "is not equal to itself"

// A NaN as a key would be a new one at each join, and gossip for ever.
func TestKeysThatAreNotEqualToThemselvesAreRefused(t *testing.T) {
	t.Parallel()
	nan, m, floats, text := math.NaN(), &Minter{Actor: 1}, floatCodec(), stringCodec()
	add := func(s *SetStore[int]) Change[*SetStore[int]] { return s.Add(m, 1) }
	for name, f := range map[string]func(){
		"ORMap":         func() { NewORMap[float64, *SetStore[int]]().Update(nan, add) },
		"GMap":          func() { NewGMap(floats, NewCounter).Update(nan, func(c *Counter) *Counter { return c.Add(1, 1) }) },
		"RegisterMap":   func() { NewRegisterMap(floats, text).Set(1, 1, nan, "x") },
		"removed":       func() { NewRegisterMap(floats, text).Remove(1, 1, nan) },
		"RegisterMapOp": func() { prepareSet(NewRegisterMap(floats, text), nan) },
		"GSet":          func() { NewGSet(floats).Add(1, nan) },
		"RWSet":         func() { NewRWSet[float64]().Add(m, nan) },
		"RWSet removed": func() { NewRWSet[float64]().Remove(m, nan) },
		"TwoPhaseSet":   func() { NewTwoPhaseSet(floats).Add(nan) },
		"Graph":         func() { NewGraph[float64]().AddVertex(m, nan) },
		"TwoPhaseGraph": func() { _, _ = NewTwoPhaseGraph(floats).AddVertex(nan) },
		"PartialOrder":  func() { _, _ = NewPartialOrder(floats).Add(nan, Start[float64](), End[float64]()) },
		"a struct":      func() { NewGSet(Codec[[2]float64]{}).Add([2]float64{1, nan}) },
	} {
		require.PanicsWithValue(t, refusal(name, nan), f, name)
	}
}

func prepareSet(m *RegisterMap[float64, string], k float64) {
	m.Prepare(RegisterMapOp[float64, string]{Set: []RegisterMapSet[float64, string]{{Key: k}}}, 1)
}

func refusal(name string, nan float64) string {
	shown := "NaN"
	if name == "a struct" {
		shown = "[1 NaN]"
	}
	return "crdt: " + shown + " " + notItself + ", so nobody would find it again: take keys and elements that are, no NaN"
}

func TestDecodedKeysThatAreNotEqualToThemselvesAreRefused(t *testing.T) {
	t.Parallel()
	m, floats, nans, text := &Minter{Actor: 1}, floatCodec(), nanCodec(), stringCodec()
	refused := func(name string, err error) {
		require.ErrorContains(t, err, notItself, name)
		var e *DecodeError
		require.ErrorAs(t, err, &e, name)
	}

	or, sets := NewORMap[float64, *SetStore[uint64]](), SetStoreCodec(uintCodec())
	or.Update(1, func(s *SetStore[uint64]) Change[*SetStore[uint64]] { return s.Add(m, 1) })
	_, err := DecodeORMap(or.Append(nil, nans, sets), floats, sets)
	refused("ORMap", err)

	counters := CodecOf(DecodeCounter)
	g := NewGMap(floats, NewCounter)
	g.Update(1, func(c *Counter) *Counter { return c.Add(1, 1) })
	_, err = DecodeGMap(g.Append(nil, nans, counters), floats, counters, NewCounter)
	refused("GMap", err)

	rm := NewRegisterMap(floats, text)
	rm.Set(1, 1, 1, "x")
	_, err = DecodeRegisterMap(rm.Append(nil, nans, text), floats, text)
	refused("RegisterMap", err)
	op := rm.Prepare(RegisterMapOp[float64, string]{Remove: []RegisterMapRemove[float64]{{Key: 1}}}, 1)
	_, err = DecodeRegisterMapOp(AppendRegisterMapOp(nil, op, nans, text), floats, text)
	refused("RegisterMapOp", err)

	gs := NewGSet(floats)
	gs.Add(1)
	_, err = DecodeGSet(gs.Append(nil, nans), floats)
	refused("GSet", err)

	rw := NewRWSet[float64]()
	rw.Add(m, 1)
	_, err = DecodeRWSet(rw.Append(nil, nans), floats)
	refused("RWSet", err)

	graph := NewGraph[float64]()
	graph.AddVertex(m, 1)
	_, err = DecodeGraph(graph.Append(nil, nans), floats)
	refused("Graph", err)
}

// The elements of a Set are told apart by their dots.
func TestSetOfNaNsIsEqualToItsClone(t *testing.T) {
	t.Parallel()
	s, m := NewSet[float64](), &Minter{Actor: 1}
	s.Add(m, math.NaN(), 1)
	require.True(t, s.Equal(s.Clone()))
	require.True(t, s.Clone().LessOrEqual(s))
	require.Nil(t, s.Join(s.Clone()))
	other := s.Clone()
	other.live.remove(Dot{1, 1})
	other.live.insert(Dot{1, 1}, 2)
	require.False(t, s.Equal(other), "a NaN is no number")
}
