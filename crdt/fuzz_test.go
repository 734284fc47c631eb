package crdt

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each target checks that hostile bytes give a *DecodeError or a state whose only encoding they are, and
// that a state that passed can be used.

func seedSets() []*Set[uint64] {
	m, n := &Minter{Actor: 1}, &Minter{Actor: 1 << 63, Next: 1 << 62}
	small, large, gaps := NewSet[uint64](), NewSet[uint64](), NewSet[uint64]()
	small.Add(m, 1, 2, 3)
	small.Remove(2)
	for i := range uint64(600) {
		d := large.Add(n, i%500)
		if i%3 == 0 {
			gaps.Join(d)
		}
	}
	return []*Set[uint64]{nil, small, large, gaps}
}

func check(t *testing.T, err error) bool {
	if err == nil {
		return true
	}
	var e *DecodeError
	require.True(t, errors.As(err, &e), "%v", err)
	require.NotEmpty(t, e.Error())
	return false
}

func FuzzDecodeSet(f *testing.F) {
	sets := seedSets()
	for _, s := range sets {
		f.Add(s.Append(nil, uintCodec()))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSet(b, uintCodec())
		if !check(t, err) {
			return
		}
		require.Equal(t, string(b), string(s.Append(nil, uintCodec())))
		requireSound(t, s)
		other := sets[1].Clone()
		other.Join(s)
		answer, err := s.Since(other.Digest())
		require.NoError(t, err)
		require.Nil(t, answer)
	})
}

func FuzzSetSince(f *testing.F) {
	for _, s := range seedSets() {
		f.Add(s.Digest())
	}
	sets := seedSets()
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range sets {
			d, err := s.Since(b)
			if check(t, err) {
				require.True(t, d.LessOrEqual(s), "an answer makes nothing up")
			}
		}
	})
}

func FuzzDecodeContext(f *testing.F) {
	sets := seedSets()
	for _, s := range sets {
		f.Add(s.Context().Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeContext(b)
		if !check(t, err) {
			return
		}
		require.Equal(t, string(b), string(c.Append(nil)))
		require.LessOrEqual(t, c.NumRuns(), len(b))
		other := *sets[3].Context().Clone()
		diff := c.minus(&other)
		other.Join(&c)
		require.True(t, c.LessOrEqual(&other) && diff.LessOrEqual(&c))
	})
}

func FuzzDecodeCounter(f *testing.F) {
	c := NewCounter()
	f.Add(c.Append(nil))
	c.Add(1, 5)
	c.Add(1<<40, -7)
	f.Add(c.Append(nil))
	f.Add(CounterOp{N: -9}.Append(nil))
	f.Add(CounterRow{P: 1, N: 1 << 63}.Append(nil))
	f.Add(Minter{Actor: 5, Next: 300}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := DecodeCounter(b); check(t, err) {
			require.Equal(t, string(b), string(got.Append(nil)))
			require.True(t, got.LessOrEqual(join(got, c)))
		}
		if op, err := DecodeCounterOp(b); check(t, err) {
			require.Equal(t, string(b), string(op.Append(nil)))
		}
		if row, err := DecodeCounterRow(b); check(t, err) {
			require.Equal(t, string(b), string(row.Append(nil)))
		}
		if m, err := DecodeMinter(b); check(t, err) {
			require.Equal(t, string(b), string(m.Append(nil)))
		}
	})
}

func join(a, b *Counter) *Counter {
	a = a.Clone()
	a.Join(b)
	return a
}

func FuzzDecodeRegister(f *testing.F) {
	codec := stringCodec()
	r := NewRegister(codec)
	f.Add(r.Append(nil, codec))
	r.Set(-1, 7, "value")
	f.Add(r.Append(nil, codec))
	f.Add(r.Digest())
	f.Add(AppendRegisterOp(nil, RegisterOp[string]{Value: "v", Timestamp: 3}, codec))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := DecodeRegister(b, codec); check(t, err) {
			require.Equal(t, string(b), string(got.Append(nil, codec)))
			got.Join(r)
			require.True(t, r.LessOrEqual(got))
		}
		if op, err := DecodeRegisterOp(b, codec); check(t, err) {
			require.Equal(t, string(b), string(AppendRegisterOp(nil, op, codec)))
		}
		_, err := r.Since(b)
		check(t, err)
	})
}

func FuzzDecodeRegisterMap(f *testing.F) {
	kc, vc := uintCodec(), stringCodec()
	m := NewRegisterMap(kc, vc)
	f.Add(m.Append(nil, kc, vc))
	f.Add(m.Digest())
	for i := range uint64(300) {
		m.Set(int64(i)-5, Actor(i%3), i, "v")
		if i == 3 || i == 299 {
			m.Remove(1<<40, 1, i)
			f.Add(m.Append(nil, kc, vc))
			f.Add(m.Digest())
		}
	}
	f.Add(AppendRegisterMapOp(nil, m.Prepare(RegisterMapOp[uint64, string]{
		Set:    []RegisterMapSet[uint64, string]{{Key: 1, Value: "x"}},
		Remove: []RegisterMapRemove[uint64]{{Key: 2}},
	}, 5), kc, vc))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := DecodeRegisterMap(b, kc, vc); check(t, err) {
			require.Equal(t, string(b), string(got.Append(nil, kc, vc)))
			got.Join(m)
			require.True(t, m.LessOrEqual(got))
		}
		if op, err := DecodeRegisterMapOp(b, kc, vc); check(t, err) {
			require.Equal(t, string(b), string(AppendRegisterMapOp(nil, op, kc, vc)))
		}
		d, err := m.Since(b)
		if check(t, err) {
			require.True(t, d.LessOrEqual(m))
		}
	})
}

func FuzzDecodeSetOp(f *testing.F) {
	op := SetOp[uint64]{Add: []uint64{1, 2}, Remove: []uint64{2}, Observed: []Dot{{1, 1}, {1, 9}, {7, 300}}}
	f.Add(AppendSetOp(nil, op, uintCodec()))
	f.Add(AppendSetOp(nil, SetOp[uint64]{}, uintCodec()))
	f.Fuzz(func(t *testing.T, b []byte) {
		op, err := DecodeSetOp(b, uintCodec())
		if !check(t, err) {
			return
		}
		require.Equal(t, string(b), string(AppendSetOp(nil, op, uintCodec())))
		op.Effect(&Minter{Actor: 1})
	})
}
