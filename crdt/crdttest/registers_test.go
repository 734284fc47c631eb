package crdttest

import (
	"cmp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
)

func TestMVRegisterLaws(t *testing.T) {
	t.Parallel()
	codec := Strings()
	type register = *crdt.MVRegister[string]
	Laws(t, Subject[register]{
		New: func() register { return crdt.NewMVRegister(codec) },
		Begin: func() func(*rapid.T, int, register) register {
			ms := minters()
			return func(t *rapid.T, replica int, r register) register {
				v := rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "v")
				switch rapid.SampledFrom([]string{"set", "set", "set", "clear", "op"}).Draw(t, "op") {
				case "set":
					return r.Set(ms[replica], v)
				case "clear":
					return r.Clear()
				default:
					delta := r.Prepare(crdt.MVRegisterOp[string]{Value: v, Clear: rapid.Bool().Draw(t, "clear")}).Effect(ms[replica])
					r.Join(delta)
					return delta
				}
			}
		},
		Append: func(b []byte, r register) []byte { return r.Append(b) },
		Decode: func(b []byte) (register, error) { return crdt.DecodeMVRegister(b, codec) },
	})
}

func TestIVarLaws(t *testing.T) {
	t.Parallel()
	codec := Strings()
	type ivar = *crdt.IVar[string]
	Laws(t, Subject[ivar]{
		New: func() ivar { return crdt.NewIVar(codec) },
		Begin: func() func(*rapid.T, int, ivar) ivar {
			return func(t *rapid.T, _ int, x ivar) ivar {
				delta, _ := x.Set(rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "v"))
				return delta
			}
		},
		Append: func(b []byte, x ivar) []byte { return x.Append(b, codec) },
		Decode: func(b []byte) (ivar, error) { return crdt.DecodeIVar(b, codec) },
	})
}

// byLength calls values of one length equal, so that their bytes decide.
func byLength(a, b string) int { return cmp.Compare(len(a), len(b)) }

func TestMaxAndMinRegisterLaws(t *testing.T) {
	t.Parallel()
	uints, strs := Uints(), Strings()
	t.Run("max", func(t *testing.T) {
		t.Parallel()
		type register = *crdt.MaxRegister[uint64]
		Laws(t, Subject[register]{
			New: func() register { return crdt.NewMaxRegister(uints) },
			Begin: func() func(*rapid.T, int, register) register {
				return func(t *rapid.T, _ int, r register) register { return r.Set(rapid.Uint64Range(0, 5).Draw(t, "v")) }
			},
			Append: func(b []byte, r register) []byte { return r.Append(b, uints) },
			Decode: func(b []byte) (register, error) { return crdt.DecodeMaxRegister(b, uints) },
		})
	})
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.Repeat(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "c"), rapid.IntRange(0, 3).Draw(t, "n"))
	})
	t.Run("max in a given order", func(t *testing.T) {
		t.Parallel()
		type register = *crdt.MaxRegister[string]
		Laws(t, Subject[register]{
			New: func() register { return crdt.NewMaxRegisterFunc(strs, byLength) },
			Begin: func() func(*rapid.T, int, register) register {
				return func(t *rapid.T, _ int, r register) register { return r.Set(text.Draw(t, "v")) }
			},
			Append: func(b []byte, r register) []byte { return r.Append(b, strs) },
			Decode: func(b []byte) (register, error) { return crdt.DecodeMaxRegisterFunc(b, strs, byLength) },
		})
	})
	t.Run("min in a given order", func(t *testing.T) {
		t.Parallel()
		type register = *crdt.MinRegister[string]
		Laws(t, Subject[register]{
			New: func() register { return crdt.NewMinRegisterFunc(strs, byLength) },
			Begin: func() func(*rapid.T, int, register) register {
				return func(t *rapid.T, _ int, r register) register { return r.Set(text.Draw(t, "v")) }
			},
			Append: func(b []byte, r register) []byte { return r.Append(b, strs) },
			Decode: func(b []byte) (register, error) { return crdt.DecodeMinRegisterFunc(b, strs, byLength) },
		})
	})
}

func TestFlagLaws(t *testing.T) {
	t.Parallel()
	t.Run("grow-only", func(t *testing.T) {
		t.Parallel()
		Laws(t, Subject[*crdt.GFlag]{
			New: crdt.NewGFlag,
			Begin: func() func(*rapid.T, int, *crdt.GFlag) *crdt.GFlag {
				return func(_ *rapid.T, _ int, f *crdt.GFlag) *crdt.GFlag { return f.Enable() }
			},
			Append: func(b []byte, f *crdt.GFlag) []byte { return f.Append(b) },
			Decode: crdt.DecodeGFlag,
		})
	})
	t.Run("enable wins", func(t *testing.T) {
		t.Parallel()
		Laws(t, Subject[*crdt.EWFlag]{
			New: crdt.NewEWFlag,
			Begin: func() func(*rapid.T, int, *crdt.EWFlag) *crdt.EWFlag {
				ms := minters()
				return func(t *rapid.T, replica int, f *crdt.EWFlag) *crdt.EWFlag {
					switch rapid.IntRange(0, 3).Draw(t, "op") {
					case 0, 1:
						return f.Enable(ms[replica])
					case 2:
						return f.Disable()
					default:
						delta := f.Prepare(crdt.FlagOp{On: rapid.Bool().Draw(t, "on")}).EffectEW(ms[replica])
						f.Join(delta)
						return delta
					}
				}
			},
			Append: func(b []byte, f *crdt.EWFlag) []byte { return f.Append(b) },
			Decode: crdt.DecodeEWFlag,
		})
	})
	t.Run("disable wins", func(t *testing.T) {
		t.Parallel()
		Laws(t, Subject[*crdt.DWFlag]{
			New: crdt.NewDWFlag,
			Begin: func() func(*rapid.T, int, *crdt.DWFlag) *crdt.DWFlag {
				ms := minters()
				return func(t *rapid.T, replica int, f *crdt.DWFlag) *crdt.DWFlag {
					switch rapid.IntRange(0, 3).Draw(t, "op") {
					case 0, 1:
						return f.Enable(ms[replica])
					case 2:
						return f.Disable(ms[replica])
					default:
						delta := f.Prepare(crdt.FlagOp{On: rapid.Bool().Draw(t, "on")}).EffectDW(ms[replica])
						f.Join(delta)
						return delta
					}
				}
			},
			Append: func(b []byte, f *crdt.DWFlag) []byte { return f.Append(b) },
			Decode: crdt.DecodeDWFlag,
		})
	})
}

func rwSetSubject(spread uint64) Subject[*crdt.RWSet[uint64]] {
	codec := Uints()
	type set = *crdt.RWSet[uint64]
	return Subject[set]{
		New: crdt.NewRWSet[uint64],
		Begin: func() func(*rapid.T, int, set) set {
			ms := minters()
			element := rapid.Uint64Range(0, spread)
			return func(t *rapid.T, replica int, s set) set {
				some := rapid.SliceOfN(element, 0, 20)
				switch rapid.SampledFrom([]string{"add", "add", "more", "remove", "remove", "clear", "op"}).Draw(t, "op") {
				case "add":
					return s.Add(ms[replica], element.Draw(t, "e"))
				case "more":
					return s.Add(ms[replica], some.Draw(t, "es")...)
				case "remove":
					return s.Remove(ms[replica], rapid.SliceOfN(element, 0, 5).Draw(t, "es")...)
				case "clear":
					if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
						return nil
					}
					return s.Clear(ms[replica])
				default:
					delta := s.Prepare(crdt.RWSetOp[uint64]{Add: some.Draw(t, "add"), Remove: some.Draw(t, "remove")}).Effect(ms[replica])
					s.Join(delta)
					return delta
				}
			}
		},
		Append:      func(b []byte, s set) []byte { return s.Append(b, codec) },
		Decode:      func(b []byte) (set, error) { return crdt.DecodeRWSet(b, codec) },
		LooseDigest: true, // as the add-wins set's
	}
}

func TestRWSetLaws(t *testing.T) {
	t.Parallel()
	t.Run("few elements", func(t *testing.T) { t.Parallel(); Laws(t, rwSetSubject(2)) })
	t.Run("many elements", func(t *testing.T) { t.Parallel(); Laws(t, rwSetSubject(40)) })
}

func gsetSubject(spread uint64, loose bool) Subject[*crdt.GSet[uint64]] {
	codec := Uints()
	type set = *crdt.GSet[uint64]
	return Subject[set]{
		New: func() set { return crdt.NewGSet(codec) },
		Begin: func() func(*rapid.T, int, set) set {
			return func(t *rapid.T, _ int, s set) set { return s.Add(stride(t, spread)...) }
		},
		Append:      func(b []byte, s set) []byte { return s.Append(b, codec) },
		Decode:      func(b []byte) (set, error) { return crdt.DecodeGSet(b, codec) },
		LooseDigest: loose,
	}
}

// stride draws up to spread elements cheaply.
func stride(t *rapid.T, spread uint64) (es []uint64) {
	e := rapid.Uint64Range(0, spread).Draw(t, "e")
	for range rapid.Uint64Range(0, spread/2).Draw(t, "n") {
		es = append(es, e)
		e = (e*13 + 5) % (spread + 1)
	}
	return es
}

func twoPhaseSubject(spread uint64, loose bool) Subject[*crdt.TwoPhaseSet[uint64]] {
	codec := Uints()
	type set = *crdt.TwoPhaseSet[uint64]
	return Subject[set]{
		New: func() set { return crdt.NewTwoPhaseSet(codec) },
		Begin: func() func(*rapid.T, int, set) set {
			return func(t *rapid.T, _ int, s set) set {
				if rapid.IntRange(0, 2).Draw(t, "op") < 2 {
					return s.Add(stride(t, spread)...)
				}
				return s.Remove(stride(t, spread)...)
			}
		},
		Append:      func(b []byte, s set) []byte { return s.Append(b, codec) },
		Decode:      func(b []byte) (set, error) { return crdt.DecodeTwoPhaseSet(b, codec) },
		LooseDigest: loose,
	}
}

func TestGSetLaws(t *testing.T) {
	t.Parallel()
	t.Run("few elements", func(t *testing.T) { t.Parallel(); Laws(t, gsetSubject(6, false)) })
	t.Run("many elements", func(t *testing.T) { t.Parallel(); Laws(t, gsetSubject(700, true)) })
}

func TestTwoPhaseSetLaws(t *testing.T) {
	t.Parallel()
	t.Run("few elements", func(t *testing.T) { t.Parallel(); Laws(t, twoPhaseSubject(6, false)) })
	t.Run("many elements", func(t *testing.T) { t.Parallel(); Laws(t, twoPhaseSubject(700, true)) })
}
