package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/grains/wire"
)

type (
	name   string
	number int64
	hash   [16]byte
	inner  struct {
		Name   name
		Number number
	}
	compound struct {
		A     string
		Inner inner
		Hash  hash
		B     string
	}
)

func genCompound(t *rapid.T) (k compound) {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[,\\a]{0,5}`))
	k.A, k.B = text.Draw(t, "A"), text.Draw(t, "B")
	k.Inner = inner{name(text.Draw(t, "Name")), number(rapid.Int64().Draw(t, "Number"))}
	copy(k.Hash[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "Hash"))
	return k
}

func keyRoundTrip[K comparable](t *testing.T, draw func(*rapid.T) K) {
	t.Helper()
	c, err := wire.KeyCodecFor[K]()
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t), draw(t)
		back, err := c.Parse(c.Text(a))
		require.NoError(t, err)
		require.Equal(t, a, back)
		require.Equal(t, a == b, c.Text(a) == c.Text(b), "injective")
	})
}

func TestKeysRoundTrip(t *testing.T) {
	t.Parallel()
	keyRoundTrip(t, func(t *rapid.T) string { return rapid.String().Draw(t, "s") })
	keyRoundTrip(t, func(t *rapid.T) name { return name(rapid.String().Draw(t, "s")) })
	keyRoundTrip(t, func(t *rapid.T) int64 { return rapid.Int64().Draw(t, "n") })
	keyRoundTrip(t, func(t *rapid.T) number { return number(rapid.Int64().Draw(t, "n")) })
	keyRoundTrip(t, func(t *rapid.T) hash { return genCompound(t).Hash })
	keyRoundTrip(t, func(t *rapid.T) [16]byte { return genCompound(t).Hash })
	keyRoundTrip(t, func(t *rapid.T) inner { return genCompound(t).Inner })
	keyRoundTrip(t, genCompound)
}

func TestKeyTexts(t *testing.T) {
	t.Parallel()
	require.Equal(t, `a\,b,x,-5,000102000000000000000000000000ff,\\`, wire.MustKeyCodec[compound]().Text(
		compound{"a,b", inner{"x", -5}, hash{0, 1, 2, 15: 255}, `\`}))
	require.Equal(t, "-5", wire.MustKeyCodec[number]().Text(-5))
}

// A text that no key has is refused: it would be a second name for one key.
func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	var bad *wire.KeyError
	for _, s := range []string{"", "07", "+7", "7 ", "9223372036854775808", "x", "-0"} {
		_, err := wire.MustKeyCodec[number]().Parse(s)
		require.ErrorAs(t, err, &bad, s)
		_, err = wire.MustKeyCodec[int64]().Parse(s)
		require.ErrorAs(t, err, &bad, s)
	}
	for _, s := range []string{"", "00", "000102000000000000000000000000FF", "000102000000000000000000000000fg"} {
		_, err := wire.MustKeyCodec[hash]().Parse(s)
		require.ErrorAs(t, err, &bad, s)
	}
	for _, s := range []string{"", "a", "a,b", "a,7,", `a\x,7`, `a,7\`, "a,07", ",,,,,,,,,,"} {
		k, err := wire.MustKeyCodec[inner]().Parse(s)
		require.ErrorAs(t, err, &bad, s)
		require.Zero(t, k)
	}
}

func TestKeyParseOfNoise(t *testing.T) {
	t.Parallel()
	c := wire.MustKeyCodec[compound]()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`([a0,\\-]{0,3}|[0-9a-f]{32}|,){0,9}`).Draw(t, "s")
		if k, err := c.Parse(s); err == nil {
			require.Equal(t, s, c.Text(k))
		}
	})
}

func TestTypesThatAreNoKeys(t *testing.T) {
	t.Parallel()
	_, err := wire.KeyCodecFor[float64]()
	require.ErrorContains(t, err, "float64 cannot be a key: a key is a string")
	_, err = wire.KeyCodecFor[struct{ a string }]()
	require.ErrorContains(t, err, "its field a is not exported")
	_, err = wire.KeyCodecFor[struct{}]()
	require.Error(t, err)
	_, err = wire.KeyCodecFor[[8]byte]()
	require.Error(t, err)
	require.Panics(t, func() { wire.MustKeyCodec[bool]() })
}

func BenchmarkKeyText(b *testing.B) {
	c := wire.MustKeyCodec[name]()
	b.ReportAllocs()
	for b.Loop() {
		_ = c.Text("alice")
	}
}
