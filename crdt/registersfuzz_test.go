package crdt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// fuzzLattice feeds bytes to a decoder and to Since: they give a *DecodeError, or a state whose only
// encoding they are and which can be used beside the seeds.
func fuzzLattice[L Lattice[L]](f *testing.F, seeds []L, encode func([]byte, L) []byte, decode func([]byte) (L, error), ops func(*testing.T, []byte)) {
	for _, s := range seeds {
		f.Add(encode(nil, s))
		f.Add(s.Digest())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := decode(b); check(t, err) {
			require.Equal(t, string(b), string(encode(nil, got)))
			require.NotEmpty(t, got.String())
			for _, s := range seeds {
				both := s.Clone()
				novelty := both.Join(got)
				require.True(t, got.LessOrEqual(both) && s.LessOrEqual(both) && novelty.LessOrEqual(both))
				answer, err := got.Since(both.Digest())
				require.NoError(t, err)
				require.True(t, answer.LessOrEqual(both))
			}
		}
		for _, s := range seeds {
			if answer, err := s.Since(b); check(t, err) {
				require.True(t, answer.LessOrEqual(s), "an answer makes nothing up")
			}
		}
		if ops != nil {
			ops(t, b)
		}
	})
}

func FuzzDecodeMVRegister(f *testing.F) {
	codec, m := stringCodec(), &Minter{Actor: 1}
	r := NewMVRegister(codec)
	one := r.Set(m, "one")
	r.Join(NewMVRegister(codec).Set(&Minter{Actor: 1 << 63, Next: 1 << 40}, "two"))
	cleared := r.Clone()
	op := r.Prepare(MVRegisterOp[string]{Value: "v"})
	f.Add(AppendMVRegisterOp(nil, op, codec))
	cleared.Clear()
	fuzzLattice(f, []*MVRegister[string]{one, r, cleared},
		func(b []byte, r *MVRegister[string]) []byte { return r.Append(b) },
		func(b []byte) (*MVRegister[string], error) { return DecodeMVRegister(b, codec) },
		func(t *testing.T, b []byte) {
			if op, err := DecodeMVRegisterOp(b, codec); check(t, err) {
				require.Equal(t, string(b), string(AppendMVRegisterOp(nil, op, codec)))
				op.Effect(&Minter{Actor: 1})
			}
		})
}

func FuzzDecodeIVar(f *testing.F) {
	codec := stringCodec()
	empty, x, y := NewIVar(codec), NewIVar(codec), NewIVar(codec)
	_, err := x.Set("x")
	require.NoError(f, err)
	_, err = y.Set("")
	require.NoError(f, err)
	conflict := x.Clone()
	conflict.Join(y)
	fuzzLattice(f, []*IVar[string]{empty, x, y, conflict},
		func(b []byte, x *IVar[string]) []byte { return x.Append(b, codec) },
		func(b []byte) (*IVar[string], error) { return DecodeIVar(b, codec) }, nil)
}

func FuzzDecodeMaxAndMinRegister(f *testing.F) {
	codec := uintCodec()
	least := NewMinRegister(codec)
	least.Set(300)
	fuzzLattice(f, []*MaxRegister[uint64]{NewMaxRegister(codec), NewMaxRegister(codec).Set(0), NewMaxRegister(codec).Set(1 << 40)},
		func(b []byte, r *MaxRegister[uint64]) []byte { return r.Append(b, codec) },
		func(b []byte) (*MaxRegister[uint64], error) { return DecodeMaxRegister(b, codec) },
		func(t *testing.T, b []byte) {
			if got, err := DecodeMinRegister(b, codec); check(t, err) {
				require.Equal(t, string(b), string(got.Append(nil, codec)))
				got.Join(least)
				require.True(t, least.LessOrEqual(got))
			}
		})
}

func FuzzDecodeEWFlag(f *testing.F) {
	m := &Minter{Actor: 1}
	flag := NewEWFlag()
	on := flag.Enable(m)
	flag.Join(NewEWFlag().Enable(&Minter{Actor: 1 << 63, Next: 1 << 40}))
	off := flag.Clone()
	off.Disable()
	f.Add(flag.Prepare(FlagOp{On: true}).Append(nil))
	f.Add(NewGFlag().Enable().Append(nil))
	f.Add((&HLC{Last: -5}).Append(nil))
	fuzzLattice(f, []*EWFlag{on, flag, off}, func(b []byte, f *EWFlag) []byte { return f.Append(b) }, DecodeEWFlag,
		func(t *testing.T, b []byte) {
			if op, err := DecodeFlagOp(b); check(t, err) {
				require.Equal(t, string(b), string(op.Append(nil)))
				op.EffectEW(&Minter{Actor: 1})
				op.EffectDW(&Minter{Actor: 1})
			}
			if g, err := DecodeGFlag(b); check(t, err) {
				require.Equal(t, string(b), string(g.Append(nil)))
			}
			if c, err := DecodeHLC(b); check(t, err) {
				require.Equal(t, string(b), string(c.Append(nil)))
			}
		})
}

func FuzzDecodeDWFlag(f *testing.F) {
	m := &Minter{Actor: 1}
	flag := NewDWFlag()
	on := flag.Enable(m)
	flag.Join(NewDWFlag().Disable(&Minter{Actor: 1 << 63, Next: 1 << 40}))
	off := on.Clone()
	off.Disable(m)
	fuzzLattice(f, []*DWFlag{on, flag, off}, func(b []byte, f *DWFlag) []byte { return f.Append(b) }, DecodeDWFlag, nil)
}

func FuzzDecodeGSet(f *testing.F) {
	codec := uintCodec()
	some, many := NewGSet(codec), NewGSet(codec)
	some.Add(1, 2, 300)
	for e := range uint64(300) {
		many.Add(e * 7)
	}
	fuzzLattice(f, []*GSet[uint64]{NewGSet(codec), some, many},
		func(b []byte, s *GSet[uint64]) []byte { return s.Append(b, codec) },
		func(b []byte) (*GSet[uint64], error) { return DecodeGSet(b, codec) }, nil)
}

func FuzzDecodeTwoPhaseSet(f *testing.F) {
	codec := uintCodec()
	some, many := NewTwoPhaseSet(codec), NewTwoPhaseSet(codec)
	some.Add(1, 2, 300)
	some.Remove(2)
	for e := range uint64(300) {
		many.Add(e * 7)
	}
	many.Remove(0, 7, 21)
	fuzzLattice(f, []*TwoPhaseSet[uint64]{some, many},
		func(b []byte, s *TwoPhaseSet[uint64]) []byte { return s.Append(b, codec) },
		func(b []byte) (*TwoPhaseSet[uint64], error) { return DecodeTwoPhaseSet(b, codec) }, nil)
}

func FuzzDecodeRWSet(f *testing.F) {
	codec, m := uintCodec(), &Minter{Actor: 1}
	some, many := NewRWSet[uint64](), NewRWSet[uint64]()
	some.Add(m, 1, 2, 300)
	some.Remove(m, 2, 5)
	for e := range uint64(300) {
		many.Add(m, e*7)
		if e%3 == 0 {
			many.Remove(m, e)
		}
	}
	f.Add(AppendRWSetOp(nil, some.Prepare(RWSetOp[uint64]{Add: []uint64{2, 3}, Remove: []uint64{1}}), codec))
	fuzzLattice(f, []*RWSet[uint64]{some, many},
		func(b []byte, s *RWSet[uint64]) []byte { return s.Append(b, codec) },
		func(b []byte) (*RWSet[uint64], error) { return DecodeRWSet(b, codec) },
		func(t *testing.T, b []byte) {
			if op, err := DecodeRWSetOp(b, codec); check(t, err) {
				require.Equal(t, string(b), string(AppendRWSetOp(nil, op, codec)))
				op.Effect(&Minter{Actor: 1})
			}
		})
}
