package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/guild"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// An old build that reads what a new one wrote, changes what it knows and writes it back, loses nothing.
func TestUnknownFieldsAreKept(t *testing.T) {
	t.Parallel()
	store := guild.VaultMethods()[1].(*wire.Method[guild.Kept, guild.Wide])
	var part func(t *rapid.T, depth int) guild.WidePart
	part = func(t *rapid.T, depth int) guild.WidePart {
		p := guild.WidePart{Flag: rapid.Bool().Draw(t, "Flag")}
		for range rapid.IntRange(0, depth).Draw(t, "More") {
			p.More = append(p.More, part(t, depth-1))
		}
		return p
	}
	rapid.Check(t, func(t *rapid.T) {
		wide := guild.Wide{
			N: rapid.Int().Draw(t, "N"), Part: part(t, 3), Text: rapid.String().Draw(t, "Text"), Float: rapid.Float32().Draw(t, "Float"),
			Exact: rapid.Float64().Draw(t, "Exact"), Some: rapid.SliceOfN(rapid.Int(), 1, 5).Draw(t, "Some"),
		}
		b := store.Result.Append(nil, wide)
		old, err := store.Args.Decode(b)
		require.NoError(t, err)
		require.Equal(t, wide.N, old.N)
		require.Equal(t, b, store.Args.Append(nil, old))
		require.Positive(t, old.Unknown.Len())

		copied := store.Args.Copy(old)
		copied.N = rapid.Int().Draw(t, "new N")
		again, err := store.Result.Decode(store.Args.Append(nil, copied))
		require.NoError(t, err)
		wide.N = copied.N
		require.Equal(t, wide, again)
	})
	kept, err := store.Args.Decode(nil)
	require.NoError(t, err)
	require.Equal(t, guild.Kept{}, kept)
	require.Zero(t, kept.Unknown.Len())
}
