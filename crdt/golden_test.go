package crdt

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/golden anew")

// requireGolden compares an encoding with testdata/golden/<name>.hex, which earlier releases wrote: what
// differs from it they cannot read. With -update it writes the file.
func requireGolden(t *testing.T, name string, enc []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".hex")
	if *update {
		var b strings.Builder
		for rest := enc; ; rest = rest[32:] {
			if len(rest) <= 32 {
				b.WriteString(hex.EncodeToString(rest) + "\n")
				break
			}
			b.WriteString(hex.EncodeToString(rest[:32]) + "\n")
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
		return
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update to write it")
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	require.NoError(t, err, path)
	require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(enc), "%s: the encoding has changed", path)
}

// TestGoldenEncodingsOfSetsCountersAndRegisters holds the formats that are most in use.
func TestGoldenEncodingsOfSetsCountersAndRegisters(t *testing.T) {
	t.Parallel()
	text, uints := stringCodec(), uintCodec()
	m, n := &Minter{Actor: 1}, &Minter{Actor: 300, Next: 1000}

	s := NewSet[string]()
	s.Add(m, "a", "", "b", "c")
	s.Remove("b")
	s.Add(n, "c", "d")
	requireGolden(t, "Set-few", s.Append(nil, text))
	requireGolden(t, "Set-few-digest", s.Digest())
	requireGolden(t, "Set-empty", NewSet[string]().Append(nil, text))
	requireGolden(t, "Set-empty-digest", NewSet[string]().Digest())
	removed := s.Clone().Clear()
	requireGolden(t, "Set-removes", removed.Append(nil, text))
	requireGolden(t, "SetOp", AppendSetOp(nil, s.Prepare(SetOp[string]{Add: []string{"c", "e"}, Remove: []string{"a"}}), text))
	requireGolden(t, "Context", s.Context().Append(nil))
	requireGolden(t, "Minter", n.Append(nil))

	many := NewSet[uint64]()
	for e := range uint64(600) {
		many.Add(m, e)
	}
	for e := uint64(300); e < 600; e += 3 { // scattered: the digest hashes these blocks
		many.Remove(e)
	}
	requireGolden(t, "Set-many", many.Append(nil, uints))
	requireGolden(t, "Set-many-digest", many.Digest())

	c := NewCounter()
	c.Add(1, 5)
	c.Add(1, -300)
	c.Add(1<<40, -1)
	requireGolden(t, "Counter-two", c.Append(nil))
	requireGolden(t, "Counter-two-digest", c.Digest())
	requireGolden(t, "CounterOp", CounterOp{N: -300}.Append(nil))
	requireGolden(t, "CounterRow", c.Row(1).Append(nil))

	r := NewRegister(text)
	requireGolden(t, "Register-empty", r.Append(nil, text))
	requireGolden(t, "Register-empty-digest", r.Digest())
	r.Set(1_700_000_000_000_000_001, 300, "value")
	requireGolden(t, "Register-value", r.Append(nil, text))
	requireGolden(t, "Register-value-digest", r.Digest())
	require.Equal(t, r.EncodedSize(text), len(r.Append(nil, text)))
	requireGolden(t, "RegisterOp", AppendRegisterOp(nil, r.Prepare(RegisterOp[string]{Value: "v"}, -5), text))

	rm := NewRegisterMap(text, text)
	rm.Set(5, 1, "b", "")
	rm.Set(-5, 2, "a", "x")
	rm.Remove(7, 300, "c")
	requireGolden(t, "RegisterMap-three", rm.Append(nil, text, text))
	requireGolden(t, "RegisterMap-three-digest", rm.Digest())
	require.Equal(t, rm.EncodedSize(text, text), len(rm.Append(nil, text, text)))
	requireGolden(t, "RegisterMapOp", AppendRegisterMapOp(nil, rm.Prepare(RegisterMapOp[string, string]{
		Set:    []RegisterMapSet[string, string]{{Key: "b", Value: "y"}, {Key: "d", Value: "z"}},
		Remove: []RegisterMapRemove[string]{{Key: "a"}},
	}, 6), text, text))
	large := NewRegisterMap(uints, uints)
	for k := range uint64(300) {
		large.Set(int64(k), 1, k, k*k)
	}
	requireGolden(t, "RegisterMap-many-digest", large.Digest())
}

func TestGoldenEncodings(t *testing.T) {
	t.Parallel()
	codec, m, n := stringCodec(), &Minter{Actor: 1}, &Minter{Actor: 300, Next: 1000}
	golden := func(name string, enc, digest []byte) {
		requireGolden(t, name, enc)
		requireGolden(t, name+"-digest", digest)
	}

	mv := NewMVRegister(codec)
	mv.Set(m, "old")
	right := mv.Clone()
	mv.Set(m, "left")
	mv.Join(right.Set(n, "right"))
	golden("MVRegister-two", mv.Append(nil), mv.Digest())
	require.Equal(t, mv.EncodedSize(), len(mv.Append(nil)))
	requireGolden(t, "MVRegisterOp-write", AppendMVRegisterOp(nil, mv.Prepare(MVRegisterOp[string]{Value: "v"}), codec))
	requireGolden(t, "MVRegisterOp-clear", AppendMVRegisterOp(nil, mv.Prepare(MVRegisterOp[string]{Clear: true}), codec))

	x, y := NewIVar(codec), NewIVar(codec)
	_, err := x.Set("value")
	require.NoError(t, err)
	_, err = y.Set("other")
	require.NoError(t, err)
	golden("IVar-value", x.Append(nil, codec), x.Digest())
	y.Join(x)
	golden("IVar-conflict", y.Append(nil, codec), y.Digest())
	require.Equal(t, x.EncodedSize(codec), len(x.Append(nil, codec)))

	most, least := NewMaxRegister(uintCodec()), NewMinRegister(uintCodec())
	most.Set(300)
	least.Set(0)
	golden("MaxRegister-value", most.Append(nil, uintCodec()), most.Digest())
	golden("MinRegister-value", least.Append(nil, uintCodec()), least.Digest())
	require.Equal(t, most.EncodedSize(uintCodec()), least.EncodedSize(uintCodec())+1)

	on := NewGFlag()
	on.Enable()
	golden("GFlag-on", on.Append(nil), on.Digest())
	require.Equal(t, 4, on.EncodedSize())

	ew := NewEWFlag()
	ew.Enable(m)
	ew.Disable()
	ew.Enable(n)
	golden("EWFlag-on", ew.Append(nil), ew.Digest())
	dw := NewDWFlag()
	dw.Enable(m)
	dw.Join(NewDWFlag().Disable(n))
	golden("DWFlag-off", dw.Append(nil), dw.Digest())
	require.Equal(t, dw.EncodedSize(), len(dw.Append(nil)))
	require.Equal(t, ew.EncodedSize(), len(ew.Append(nil)))
	requireGolden(t, "FlagOp-on", dw.Prepare(FlagOp{On: true}).Append(nil))

	g, two := NewGSet(codec), NewTwoPhaseSet(codec)
	g.Add("b", "", "a")
	two.Add("b", "", "a")
	two.Remove("b", "")
	golden("GSet-three", g.Append(nil, codec), g.Digest())
	golden("TwoPhaseSet-three", two.Append(nil, codec), two.Digest())
	require.Equal(t, g.EncodedSize(codec), two.EncodedSize(codec))
	many := NewTwoPhaseSet(uintCodec())
	for e := range uint64(260) {
		many.Add(e)
	}
	many.Remove(7)
	requireGolden(t, "TwoPhaseSet-many-digest", many.Digest())

	rw := NewRWSet[string]()
	rw.Add(m, "a", "b")
	rw.Remove(n, "b", "c")
	golden("RWSet-three", rw.Append(nil, codec), rw.Digest())
	require.Equal(t, rw.EncodedSize(codec), len(rw.Append(nil, codec)))
	requireGolden(t, "RWSetOp", AppendRWSetOp(nil, rw.Prepare(RWSetOp[string]{Add: []string{"c"}, Remove: []string{"a"}}), codec))

	requireGolden(t, "HLC", (&HLC{Last: 1_700_000_000_000_000_001}).Append(nil))
}
