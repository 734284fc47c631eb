package crdttest

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
)

func minters() []*crdt.Minter {
	ms := make([]*crdt.Minter, Replicas)
	for i := range ms {
		ms[i] = &crdt.Minter{Actor: crdt.Actor(i*7 + 1)}
	}
	return ms
}

func setSubject(spread uint64) Subject[*crdt.Set[uint64]] {
	codec := Uints()
	return Subject[*crdt.Set[uint64]]{
		New: crdt.NewSet[uint64],
		Begin: func() func(*rapid.T, int, *crdt.Set[uint64]) *crdt.Set[uint64] {
			ms := minters()
			element := rapid.Uint64Range(0, spread)
			return func(t *rapid.T, replica int, s *crdt.Set[uint64]) *crdt.Set[uint64] {
				switch rapid.SampledFrom([]string{"add", "add", "more", "remove", "remove", "clear", "op"}).Draw(t, "op") {
				case "add":
					return s.Add(ms[replica], element.Draw(t, "e"))
				case "more":
					return s.Add(ms[replica], rapid.SliceOfN(element, 0, 40).Draw(t, "es")...)
				case "remove":
					return s.Remove(rapid.SliceOfN(element, 0, 5).Draw(t, "es")...)
				case "clear":
					if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
						return nil
					}
					return s.Clear()
				default:
					op := s.Prepare(crdt.SetOp[uint64]{
						Add:    rapid.SliceOfN(element, 0, 3).Draw(t, "add"),
						Remove: rapid.SliceOfN(element, 0, 3).Draw(t, "remove"),
					})
					delta := op.Effect(ms[replica])
					s.Join(delta)
					return delta
				}
			}
		},
		Append:      func(b []byte, s *crdt.Set[uint64]) []byte { return s.Append(b, codec) },
		Decode:      func(b []byte) (*crdt.Set[uint64], error) { return crdt.DecodeSet(b, codec) },
		LooseDigest: true, // where live dots are scattered; the oracle checks the exact case
	}
}

func TestSetLaws(t *testing.T) {
	t.Parallel()
	t.Run("few elements", func(t *testing.T) { t.Parallel(); Laws(t, setSubject(3)) })
	t.Run("many elements", func(t *testing.T) { t.Parallel(); Laws(t, setSubject(60)) })
}

func TestCounterLaws(t *testing.T) {
	t.Parallel()
	Laws(t, Subject[*crdt.Counter]{
		New: crdt.NewCounter,
		Begin: func() func(*rapid.T, int, *crdt.Counter) *crdt.Counter {
			return func(t *rapid.T, replica int, c *crdt.Counter) *crdt.Counter {
				return c.Add(crdt.Actor(replica+1), rapid.Int64Range(-5, 5).Draw(t, "n"))
			}
		},
		Append: func(b []byte, c *crdt.Counter) []byte { return c.Append(b) },
		Decode: crdt.DecodeCounter,
	})
}

func TestRegisterLaws(t *testing.T) {
	t.Parallel()
	codec := Strings()
	type register = *crdt.Register[string]
	Laws(t, Subject[register]{
		New: func() register { return crdt.NewRegister(codec) },
		Begin: func() func(*rapid.T, int, register) register {
			return func(t *rapid.T, replica int, r register) register {
				v := rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "v")
				if rapid.Bool().Draw(t, "prepared") {
					op := r.Prepare(crdt.RegisterOp[string]{Value: v}, rapid.Int64Range(-2, 5).Draw(t, "now"))
					delta := op.Effect(crdt.Actor(replica + 1))
					r.Join(delta)
					return delta
				}
				// Few actors and times: equal stamps with different values happen, as after a clock went back.
				return r.Set(rapid.Int64Range(-2, 2).Draw(t, "ts"), crdt.Actor(rapid.IntRange(1, 2).Draw(t, "actor")), v)
			}
		},
		Append:      func(b []byte, r register) []byte { return r.Append(b, codec) },
		Decode:      func(b []byte) (register, error) { return crdt.DecodeRegister(b, codec) },
		LooseDigest: true, // of two values with one stamp it cannot know the larger
	})
}

func mapSubject(keys uint64) Subject[*crdt.RegisterMap[uint64, string]] {
	kc, vc := Uints(), Strings()
	type regmap = *crdt.RegisterMap[uint64, string]
	return Subject[regmap]{
		New: func() regmap { return crdt.NewRegisterMap(kc, vc) },
		Begin: func() func(*rapid.T, int, regmap) regmap {
			return func(t *rapid.T, replica int, m regmap) regmap {
				k := rapid.Uint64Range(0, keys).Draw(t, "k")
				v := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "v")
				ts := rapid.Int64Range(-2, 2).Draw(t, "ts")
				actor := crdt.Actor(rapid.IntRange(1, 2).Draw(t, "actor"))
				switch rapid.SampledFrom([]string{"set", "remove", "op"}).Draw(t, "op") {
				case "set":
					return m.Set(ts, actor, k, v)
				case "remove":
					return m.Remove(ts, actor, k)
				default:
					op := crdt.RegisterMapOp[uint64, string]{}
					for range rapid.IntRange(0, 300).Draw(t, "sets") {
						op.Set = append(op.Set, crdt.RegisterMapSet[uint64, string]{Key: k, Value: v})
						k = (k*13 + 5) % (keys + 1)
					}
					op.Remove = append(op.Remove, crdt.RegisterMapRemove[uint64]{Key: k})
					delta := m.Prepare(op, ts).Effect(actor)
					m.Join(delta)
					return delta
				}
			}
		},
		Append:      func(b []byte, m regmap) []byte { return m.Append(b, kc, vc) },
		Decode:      func(b []byte) (regmap, error) { return crdt.DecodeRegisterMap(b, kc, vc) },
		LooseDigest: true,
	}
}

func TestRegisterMapLaws(t *testing.T) {
	t.Parallel()
	t.Run("few keys", func(t *testing.T) { t.Parallel(); Laws(t, mapSubject(1)) })
	t.Run("many keys", func(t *testing.T) { t.Parallel(); Laws(t, mapSubject(700)) })
}
