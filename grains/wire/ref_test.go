package wire_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// friend stands for a grain interface and what is generated for it.
type friend interface {
	GrainID() wire.ID
	Greet(ctx context.Context) (int64, error)
}

type friendRef struct{ wire.Ref }

var greet = wire.Method[struct{}, int64]{Number: 1, Name: "Greet", Args: wire.EmptyCodec, Result: wire.IntCodec[int64]()}

func (r friendRef) Greet(ctx context.Context) (int64, error) {
	return wire.Call(ctx, r.Ref, &greet, struct{}{})
}

var refFriend = wire.RefType[friend]{
	Kind: "test.Friend",
	Make: func(r wire.Ref) friend { return friendRef{r} },
	Check: func(key string) error {
		_, err := strconv.ParseInt(key, 10, 64)
		return err
	},
}

// engine is one that is told apart from others.
type engine struct{ wire.Engine }

func (e *engine) caller() wire.AtCaller { return wire.NewCaller(e) }

func TestReferencesTravel(t *testing.T) {
	t.Parallel()
	from, to := &engine{}, &engine{}
	sent := friend(friendRef{wire.NewRef(from.caller(), "test.Friend", "7")})
	got, err := refFriend.Codec().Decode(refFriend.Codec().Append(nil, sent))
	require.NoError(t, err)
	_, err = got.Greet(t.Context())
	require.ErrorIs(t, err, wire.ErrUnbound, "nobody has bound it")
	require.NotEqual(t, sent, got)
	bound := refFriend.Bind(to, got)
	require.True(t, bound == refFriend.Bind(to, sent), "references of one caller to one grain are equal")
	require.True(t, bound != sent, "and those of two callers are not")
	require.Equal(t, "test.Friend/7", bound.(friendRef).String())

	none, err := refFriend.Codec().Decode(refFriend.Codec().Append(nil, nil))
	require.NoError(t, err)
	require.Nil(t, none)
	require.Nil(t, refFriend.Bind(to, none))
	require.Empty(t, refFriend.Append(nil, 3, nil))
}

func TestReferencesInFieldsAndSlices(t *testing.T) {
	t.Parallel()
	e := &engine{}
	at := func(key string) friend { return friendRef{wire.NewRef(e.caller(), "test.Friend", key)} }
	b := refFriend.Append(nil, 1, at("1"))
	for _, f := range []friend{at("2"), nil, at("3")} {
		b = wire.AppendElement(b, 2, f, refFriend.Put)
	}
	var one friend
	var some []friend
	r := wire.NewReader(b, nil)
	for tag := r.Next(); tag != 0; tag = r.Next() {
		f := wire.ReadMessage(&r, refFriend.Take)
		if tag>>3 == 1 {
			one = f
		} else {
			some = append(some, f)
		}
	}
	require.NoError(t, r.Err())
	require.Equal(t, at("1"), refFriend.Bind(e, one))
	for i, f := range some {
		some[i] = refFriend.Bind(e, f)
	}
	require.Equal(t, []friend{at("2"), nil, at("3")}, some)
}

func TestAKeyThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "seven")
	_, err := refFriend.Take(b)
	require.ErrorContains(t, err, "test.Friend")
	_, err = refFriend.Parse((&engine{}).caller(), "test.Friend/seven")
	var wrong *wire.RefError
	require.ErrorAs(t, err, &wrong)
}

func TestReferencesParseAsTheyPrint(t *testing.T) {
	t.Parallel()
	c := (&engine{}).caller()
	rapid.Check(t, func(t *rapid.T) {
		r := wire.NewRef(c, "a.B", rapid.String().Draw(t, "key"))
		got, err := wire.ParseRef(c, "a.B", r.String())
		require.NoError(t, err)
		require.Equal(t, r, got)
	})
	for _, text := range []string{"", "a", "a.Bc", "a.Bc/x", "a.C/x", "/x"} {
		_, err := wire.ParseRef(c, "a.B", text)
		var wrong *wire.RefError
		require.True(t, errors.As(err, &wrong), text)
		require.Contains(t, err.Error(), strconv.Quote(text))
	}
}

func FuzzReference(f *testing.F) {
	f.Add(refFriend.Put(nil, friendRef{wire.NewRef((&engine{}).caller(), "test.Friend", "-5")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := refFriend.Take(b)
		if err != nil || v == nil {
			return
		}
		again, err := refFriend.Take(refFriend.Put(nil, v))
		if err != nil || again.GrainID() != v.GrainID() || !slices.Equal(refFriend.Put(nil, again), refFriend.Put(nil, v)) {
			t.Fatalf("%v became %v, %v", v, again, err)
		}
	})
}
