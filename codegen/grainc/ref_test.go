package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/guild"
	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/guild/hall"
	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/wine"
	"github.com/martinelli-go/martinelli/grains/wire"
)

func TestReferencesCompareAndPrint(t *testing.T) {
	t.Parallel()
	c, other := wire.NewCaller(newEngine(true, nil)), wire.NewCaller(newEngine(true, nil))
	alice := wine.GetUser(c, "alice")
	require.Equal(t, "wine.User/alice", fmt.Sprint(alice))
	require.True(t, alice == wine.GetUser(c, "alice"))
	require.False(t, alice == wine.GetUser(c, "bob"))
	require.False(t, alice == wine.GetUser(other, "alice"), "of another caller")
	require.Len(t, map[wine.User]bool{alice: true, wine.GetUser(c, "alice"): true}, 1)
}

func TestReferencesParse(t *testing.T) {
	t.Parallel()
	c := wire.NewCaller(newEngine(true, nil))
	user, err := wine.ParseUser(c, "wine.User/a/b")
	require.NoError(t, err)
	require.True(t, user == wine.GetUser(c, "a/b"))
	bottle := wine.GetCellar(c, wine.Bottle{Wine: `a,\b`, Year: -1})
	cellar, err := wine.ParseCellar(c, fmt.Sprint(bottle))
	require.NoError(t, err)
	require.True(t, cellar == bottle)
	vault := guild.GetVault(c, guild.Seal{1, 2})
	again, err := guild.ParseVault(c, fmt.Sprint(vault))
	require.NoError(t, err)
	require.True(t, again == vault)
	for text, parse := range map[string]func(text string) error{
		"wine.Cellar/a":    func(s string) error { _, err := wine.ParseUser(c, s); return err },
		"wine.Cellar/a,b":  func(s string) error { _, err := wine.ParseCellar(c, s); return err },
		"guild.Member/007": func(s string) error { _, err := guild.ParseMember(c, s); return err },
		"guild.Vault/00":   func(s string) error { _, err := guild.ParseVault(c, s); return err },
		"":                 func(s string) error { _, err := guild.ParseMember(c, s); return err },
	} {
		var bad *wire.RefError
		require.ErrorAs(t, parse(text), &bad, text)
		require.Equal(t, text, bad.Text)
	}
}

// References that are passed on are those of whoever gets them, whether the call goes over the wire or not.
func TestReferencesTravel(t *testing.T) {
	t.Parallel()
	for _, remote := range []bool{false, true} {
		t.Run(fmt.Sprint("remote=", remote), func(t *testing.T) {
			t.Parallel()
			c := wire.NewCaller(newEngine(remote, guild.Grains()))
			smiths := guild.GetMaster(c, "smiths")
			anna := guild.GetMember(c, 7)
			// The master calls the member with itself, which calls back.
			got, err := smiths.Admit(t.Context(), anna, 1)
			require.NoError(t, err)
			require.True(t, got == smiths, "a grain that passes itself on passes a reference")
			_, err = smiths.Admit(t.Context(), nil, 1)
			require.ErrorIs(t, err, guild.ErrNobody)
			require.NoError(t, smiths.Tell(t.Context(), "hello"))
			require.NoError(t, smiths.Warn(t.Context(), anna, "fire"))
			members, err := smiths.Members(t.Context())
			require.NoError(t, err)
			require.Equal(t, []guild.Member{anna, nil}, members)

			charter := guild.Charter{
				Title: "weavers", Members: []guild.Member{anna}, Ranks: map[string]guild.Member{"first": anna, "none": nil},
				Parts: []*guild.Charter{nil, {Master: smiths}},
			}
			back, err := smiths.Found(t.Context(), charter)
			require.NoError(t, err)
			require.Nil(t, charter.Master)
			charter.Master = guild.GetMaster(c, "weavers")
			require.Equal(t, charter, back)

			// The elements of a stream are references too, and errors come in their places.
			var roll []any
			for who, err := range smiths.Roll(t.Context()) {
				roll = append(roll, who, err)
			}
			require.Equal(t, []any{anna, nil, nil, guild.ErrNobody}, roll)
			sum := 0
			for n, err := range smiths.Count(t.Context(), 3, 1000) {
				require.NoError(t, err)
				require.Len(t, n.Marks, n.N%3)
				if sum += n.N; n.N == 500 {
					break
				}
			}
			require.Equal(t, (500*501)/2-3, sum)

			twin, err := smiths.Twin(t.Context())
			require.NoError(t, err)
			require.True(t, *twin == smiths)
			leaders := map[string]guild.Master{"a": smiths, "b": nil}
			follow, err := anna.Follow(t.Context(), leaders)
			require.NoError(t, err)
			require.Equal(t, leaders, follow)
		})
	}
}

func TestReferencesOfOtherPackages(t *testing.T) {
	t.Parallel()
	c := wire.NewCaller(newEngine(true, nil))
	anna := guild.GetMember(c, 7)
	enter := hall.HallMethods()[0].(*wire.Method[guild.Member, guild.Master])
	got, err := enter.Args.Decode(enter.Args.Append(nil, anna))
	require.NoError(t, err)
	_, err = got.Work(t.Context(), nil)
	require.ErrorIs(t, err, wire.ErrUnbound)
	require.True(t, anna == enter.BindArgs(wire.Of(c), got))
	_, err = hall.GetHall(c, "north").Enter(t.Context(), anna)
	require.True(t, errors.Is(err, wire.ErrNoSuchKind))
}
