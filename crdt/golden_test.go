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
