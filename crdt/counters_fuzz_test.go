package crdt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// fuzzed says of bytes what each fuzz target does: a *DecodeError, or a state whose only encoding they are,
// and which can be joined, compared, repaired and printed.
func fuzzed[L Lattice[L]](t *testing.T, b []byte, sample L, append func([]byte, L) []byte, decode func([]byte) (L, error)) {
	got, err := decode(b)
	if check(t, err) {
		require.Equal(t, string(b), string(append(nil, got)))
		require.NotEmpty(t, got.String())
		require.LessOrEqual(t, got.Size(), len(b))
		both := sample.Clone()
		both.Join(got)
		require.True(t, got.LessOrEqual(both) && sample.LessOrEqual(both))
		lacking, err := both.Since(got.Digest())
		require.NoError(t, err)
		if !lacking.IsEmpty() {
			got.Join(lacking)
		}
		require.True(t, got.Equal(both))
	}
	lacking, err := sample.Since(b)
	if check(t, err) {
		require.True(t, lacking.LessOrEqual(sample), "an answer makes nothing up")
	}
}

func FuzzDecodeGCounter(f *testing.F) {
	f.Add(NewGCounter().Append(nil))
	f.Add(sampleGCounter().Append(nil))
	f.Add(GCounterOp{N: 300}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzed(t, b, sampleGCounter(), func(b []byte, c *GCounter) []byte { return c.Append(b) }, DecodeGCounter)
		if op, err := DecodeGCounterOp(b); check(t, err) {
			require.Equal(t, string(b), string(op.Append(nil)))
		}
	})
}

func FuzzDecodeLexCounter(f *testing.F) {
	f.Add(NewLexCounter().Append(nil))
	f.Add(sampleLexCounter().Append(nil))
	f.Add(LexCounterOp{N: -300}.Append(nil))
	f.Add(LexRow{Epoch: 3, V: -9}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzed(t, b, sampleLexCounter(), func(b []byte, c *LexCounter) []byte { return c.Append(b) }, DecodeLexCounter)
		if op, err := DecodeLexCounterOp(b); check(t, err) {
			require.Equal(t, string(b), string(op.Append(nil)))
		}
		if row, err := DecodeLexRow(b); check(t, err) {
			require.Equal(t, string(b), string(row.Append(nil)))
		}
	})
}

func FuzzDecodeBoundedCounter(f *testing.F) {
	f.Add(NewBoundedCounter().Append(nil))
	f.Add(sampleBounded(f).Append(nil))
	f.Add(BoundedCounterOp{Inc: 1, Dec: 2, Give: 3, To: 300}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzed(t, b, sampleBounded(t), func(b []byte, c *BoundedCounter) []byte { return c.Append(b) }, DecodeBoundedCounter)
		if c, err := DecodeBoundedCounter(b); err == nil { // whatever rows claim, a refusal changes nothing
			before, rights := c.Clone(), c.Rights(1)
			if delta, err := c.Dec(1, 7); err != nil {
				require.Nil(t, delta)
				require.Less(t, rights, uint64(7))
				require.True(t, before.Equal(c))
			}
		}
		if op, err := DecodeBoundedCounterOp(b); check(t, err) {
			require.Equal(t, string(b), string(op.Append(nil)))
			_, _ = op.Effect(1, sampleBounded(t))
		}
	})
}

func FuzzDecodeResetCounter(f *testing.F) {
	f.Add(NewResetCounter().Append(nil))
	f.Add(sampleReset().Append(nil))
	f.Add(sampleReset().Prepare(ResetCounterOp{Reset: true, N: -1}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzed(t, b, sampleReset(), func(b []byte, c *ResetCounter) []byte { return c.Append(b) }, DecodeResetCounter)
		if c, err := DecodeResetCounter(b); err == nil {
			c.Reset()
			require.Zero(t, c.Value())
		}
		if op, err := DecodeResetCounterOp(b); check(t, err) {
			require.Equal(t, string(b), string(op.Append(nil)))
			op.Effect(1, &CounterRow{})
		}
	})
}

func FuzzDecodeComposed(f *testing.F) {
	first, second, lex := gcounterPart(), SetCodec(stringCodec()), CodecOf(DecodeLexCounter)
	f.Add(pairSample().Append(nil, first, second))
	f.Add(pairSample().Digest())
	f.Add(lexPairSample().Append(nil, lex, first))
	f.Add(lexPairSample().Digest())
	f.Add(sampleLayout.Append(nil, structSample()))
	f.Add(sampleLayout.Digest(structSample()))
	f.Fuzz(func(t *testing.T, b []byte) {
		pair := PairCodec(first, second)
		p, err := pair.Decode(b)
		if check(t, err) {
			require.Equal(t, string(b), string(pair.Append(nil, p)))
			p.Join(pairSample())
			require.True(t, pairSample().LessOrEqual(p))
		}
		lp := LexPairCodec(first, first)
		fuzzed(t, b, NewLexPair(sampleGCounter(), sampleGCounter()), lp.Append, lp.Decode)
		d, err := pairSample().Since(b)
		if check(t, err) {
			require.True(t, d.LessOrEqual(pairSample()))
		}
		s, err := sampleLayout.Decode(b)
		if check(t, err) {
			require.Equal(t, string(b), string(sampleLayout.Append(nil, s)))
			sampleLayout.Join(s, structSample())
			require.True(t, sampleLayout.LessOrEqual(structSample(), s))
		}
		lacking, err := sampleLayout.Since(structSample(), b)
		if check(t, err) {
			require.True(t, sampleLayout.LessOrEqual(lacking, structSample()))
		}
	})
}

func TestOnlyCanonicalCountersDecode(t *testing.T) {
	t.Parallel()
	g := func(b []byte) error { _, err := DecodeGCounter(b); return err }
	gop := func(b []byte) error { _, err := DecodeGCounterOp(b); return err }
	lex := func(b []byte) error { _, err := DecodeLexCounter(b); return err }
	lexRow := func(b []byte) error { _, err := DecodeLexRow(b); return err }
	lexOp := func(b []byte) error { _, err := DecodeLexCounterOp(b); return err }
	bounded := func(b []byte) error { _, err := DecodeBoundedCounter(b); return err }
	boundedOp := func(b []byte) error { _, err := DecodeBoundedCounterOp(b); return err }
	reset := func(b []byte) error { _, err := DecodeResetCounter(b); return err }
	resetOp := func(b []byte) error { _, err := DecodeResetCounterOp(b); return err }
	pair := func(b []byte) error { _, err := DecodePair(b, gcounterPart(), gcounterPart()); return err }
	pairDigest := func(b []byte) error { _, err := NewPair(NewGCounter(), NewGCounter()).Since(b); return err }
	lexPair := func(b []byte) error { _, err := DecodeLexPair(b, gcounterPart(), gcounterPart()); return err }
	lexDigest := func(b []byte) error { _, err := NewLexPair(NewGCounter(), NewGCounter()).Since(b); return err }
	layout := func(b []byte) error { _, err := sampleLayout.Decode(b); return err }
	layoutDigest := func(b []byte) error { _, err := sampleLayout.Since(nil, b); return err }

	const v = "\x08\x01"
	const row = v + "\x12\x04\x08\x01\x10\x05" // a counter whose actor 1 has 5
	for _, c := range []struct {
		name   string
		decode func([]byte) error
		bytes  string
		reason string // "" when the bytes are good
	}{
		{"grow-only", g, row, ""},
		{"grow-only, no count", g, v + "\x12\x02\x08\x01", "without a count"},
		{"grow-only, nobody's", g, v + "\x12\x02\x10\x01", "actor is missing"},
		{"grow-only, actor twice", g, row + "\x12\x04\x08\x01\x10\x05", "actor 1 after actor 1"},
		{"grow-only, unknown field", g, v + "\x18\x01", "unknown field 3"},
		{"grow-only, unknown in row", g, v + "\x12\x04\x08\x01\x18\x05", "unknown field 3"},
		{"grow-only, operation", gop, v + "\x18\x01", "unknown field 3"},
		{"lexicographic", lex, v + "\x12\x06\x08\x01\x10\x05\x18\x03", ""},
		{"lexicographic, negative in epoch 0", lex, v + "\x12\x04\x08\x01\x18\x03", "negative row in epoch 0"},
		{"lexicographic, no counts", lex, v + "\x12\x02\x08\x01", "without counts"},
		{"lexicographic, unknown field", lex, v + "\x18\x01", "unknown field 3"},
		{"lexicographic, row", lexRow, v + "\x20\x01", "unknown field 4"},
		{"lexicographic, operation", lexOp, v + "\x18\x01", "unknown field 3"},
		{"bounded", bounded, v + "\x12\x0a\x08\x01\x10\x05\x22\x04\x08\x02\x10\x01", ""},
		{"bounded, to itself", bounded, v + "\x12\x0a\x08\x01\x10\x05\x22\x04\x08\x01\x10\x01", "gives to itself"},
		{"bounded, nothing given", bounded, v + "\x12\x08\x08\x01\x10\x05\x22\x02\x08\x02", "nothing is given"},
		{"bounded, to nobody", bounded, v + "\x12\x08\x08\x01\x10\x05\x22\x02\x10\x02", "actor is missing"},
		{"bounded, gifts out of order", bounded, v + "\x12\x0e\x08\x01\x22\x04\x08\x03\x10\x01\x22\x04\x08\x02\x10\x01", "actor 2 after actor 3"},
		{"bounded, unknown in gift", bounded, v + "\x12\x0a\x08\x01\x10\x05\x22\x04\x08\x02\x18\x01", "unknown field 3"},
		{"bounded, no counts", bounded, v + "\x12\x02\x08\x01", "without counts"},
		{"bounded, unknown in row", bounded, v + "\x12\x04\x08\x01\x28\x01", "unknown field 5"},
		{"bounded, unknown field", bounded, v + "\x18\x01", "unknown field 3"},
		{"bounded, gift to nobody", boundedOp, v + "\x20\x01", "whom it goes to"},
		{"bounded, gift of nothing", boundedOp, v + "\x28\x01", "whom it goes to"},
		{"bounded, operation", boundedOp, v + "\x30\x01", "unknown field 6"},
		{"reset", reset, v + "\x12\x06\x08\x01\x10\x05\x28\x03", ""},
		{"reset, no counts", reset, v + "\x12\x02\x08\x01", "without counts"},
		{"reset, unknown in row", reset, v + "\x12\x04\x08\x01\x30\x01", "unknown field 6"},
		{"reset, unknown field", reset, v + "\x18\x01", "unknown field 3"},
		{"reset, neither", resetOp, v + "\x10\x02", "neither false nor true"},
		{"reset, observed and no reset", resetOp, v + "\x22\x04\x08\x01\x10\x01", "no reset"},
		{"reset, observed nothing", resetOp, v + "\x10\x01\x22\x02\x08\x01", "without counts"},
		{"reset, unknown in operation", resetOp, v + "\x28\x01", "unknown field 5"},
		{"pair", pair, v + "\x12\x08" + row, ""},
		{"pair, empty part", pair, v + "\x12\x02" + v, "should be left out"},
		{"pair, part that is none", pair, v + "\x12\x01\x08", "field 2"},
		{"pair, unknown field", pair, v + "\x20\x01", "unknown field 4"},
		{"pair, digest", pairDigest, v + "\x12\x02" + v + "\x1a\x02" + v, ""},
		{"pair, digest of one", pairDigest, v + "\x12\x02" + v, "1 digests of 2"},
		{"pair, digest of three", pairDigest, v + "\x12\x02" + v + "\x1a\x02" + v + "\x22\x02" + v, "not the digest of the next"},
		{"pair, digest that is none", pairDigest, v + "\x12\x00\x1a\x02" + v, "digest of field 2"},
		{"pair, second digest that is none", pairDigest, v + "\x12\x02" + v + "\x1a\x00", "digest of field 3"},
		{"lexicographic pair", lexPair, v + "\x1a\x08" + row, ""},
		{"lexicographic pair, empty part", lexPair, v + "\x1a\x02" + v, "should be left out"},
		{"lexicographic pair, no hash", lexDigest, v + "\x12\x02" + v + "\x1a\x02" + v, "2 fields of 3"},
		{"lexicographic pair, digest that is none", lexDigest, v + "\x12\x00\x1a\x02" + v + "\x21\x00\x00\x00\x00\x00\x00\x00\x00", "digest of field 2"},
		{"lexicographic pair, second that is none", lexDigest, v + "\x12\x02" + v + "\x1a\x00\x21\x00\x00\x00\x00\x00\x00\x00\x00", "digest of field 3"},
		{"lexicographic pair, unknown field", lexDigest, v + "\x28\x01", "unknown field 5"},
		{"struct", layout, v + "\x12\x08" + row, ""},
		{"struct, empty part", layout, v + "\x12\x02" + v, "should be left out"},
		{"struct, unknown field", layout, v + "\x1a\x08" + row, "unknown field 3"},
		{"struct, unknown last field", layout, v + "\x2a\x08" + row, "unknown field 5"},
		{"struct, part of the digest", layoutDigest, v + "\x12\x02" + v, "field 4 is missing"},
		{"struct, digest cut short", layoutDigest, v + "\x12\x08" + v, "cut short"},
		{"struct, digest that is none", layoutDigest, v + "\x12\x00", "digest of field 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.decode([]byte(c.bytes))
			if c.reason == "" {
				require.NoError(t, err)
				return
			}
			require.False(t, check(t, err))
			require.ErrorContains(t, err, c.reason)
		})
	}
}
