package main

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/rich"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// everything is the generated codec of a struct with a field of every type that can be encoded.
var everything = rich.RichMethods()[0].(*wire.Method[rich.Everything, rich.Everything]).Args

func times(t *rapid.T, name string) time.Time {
	if rapid.Bool().Draw(t, name+" zero") {
		return time.Time{}
	}
	return time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, name), rapid.Int64Range(0, 999_999_999).Draw(t, name+" ns")).UTC()
}

// slice draws nil rather than an empty slice.
func slice[T any](t *rapid.T, name string, draw func(name string) T) []T {
	var s []T
	for i := range rapid.IntRange(0, 3).Draw(t, name) {
		s = append(s, draw(fmt.Sprint(name, i)))
	}
	return s
}

func inner(t *rapid.T, name string) rich.Inner {
	return rich.Inner{A: rapid.Int().Draw(t, name), B: slice(t, name+".B", func(n string) string { return rapid.String().Draw(t, n) })}
}

func tree(t *rapid.T, name string, depth int) rich.Tree {
	v := rich.Tree{Value: rapid.Int().Draw(t, name)}
	if depth == 0 {
		return v
	}
	v.Kids = slice(t, name+".Kids", func(n string) rich.Tree { return tree(t, n, depth-1) })
	for _, k := range slice(t, name+".Named", func(n string) string { return rapid.StringN(0, 3, 9).Draw(t, n) }) {
		if v.Named == nil {
			v.Named = map[string]*rich.Tree{}
		}
		kid := tree(t, name+k, 0)
		v.Named[k] = &kid
	}
	return v
}

func forest(t *rapid.T, name string, depth int) rich.Forest {
	if depth == 0 {
		return nil
	}
	return slice(t, name, func(n string) rich.Forest { return forest(t, n, depth-1) })
}

func maybe[T any](t *rapid.T, name string, v T) *T {
	if rapid.Bool().Draw(t, name+" nil") {
		return nil
	}
	return &v
}

func genEverything(t *rapid.T) rich.Everything {
	return genEverythingOf(t, func(n string) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, n)) })
}

// genEverythingOf makes strings by str.
func genEverythingOf(t *rapid.T, str func(name string) string) rich.Everything {
	num := func(n string) int { return rapid.Int().Draw(t, n) }
	hash := func(n string) (h rich.Digest) {
		copy(h[:], rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, n))
		return h
	}
	bytes := func(n string) []byte {
		return append([]byte(nil), rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, n)...)
	}
	float := func(n string) float64 { return rapid.Float64().Draw(t, n) }
	in := func(n string) rich.Inner { return inner(t, n) }
	e := rich.Everything{
		Bool: rapid.Bool().Draw(t, "Bool"), Flag: rich.Flag(rapid.Bool().Draw(t, "Flag")),
		Int: num("Int"), Small: rich.Small(rapid.Int8().Draw(t, "Small")),
		Uint: rapid.Uint64().Draw(t, "Uint"), Amount: rich.Amount(rapid.Uint16().Draw(t, "Amount")),
		F32: rapid.Float32().Draw(t, "F32"), F64: float("F64"), String: str("String"), Name: rich.Name(str("Name")),
		Bytes: bytes("Bytes"), Blob: bytes("Blob"), Digest: hash("Digest"), When: times(t, "When"),
		Long: time.Duration(num("Long")), Names: slice(t, "Names", func(n string) rich.Name { return rich.Name(str(n)) }),
		Levels: slice(t, "Levels", func(n string) rich.Level { return rich.Level(num(n)) }),
		Floats: slice(t, "Floats", float), Flags: slice(t, "Flags", func(n string) rich.Flag { return rich.Flag(rapid.Bool().Draw(t, n)) }),
		Blobs: slice(t, "Blobs", bytes), Digests: slice(t, "Digests", hash),
		Times: slice(t, "Times", func(n string) time.Time { return times(t, n) }), Inners: slice(t, "Inners", in),
		Pointers: slice(t, "Pointers", func(n string) *rich.Inner { return maybe(t, n, in(n)) }),
		Nested:   slice(t, "Nested", func(n string) []int { return slice(t, n, num) }),
		Inner:    in("Inner"), Pointer: maybe(t, "Pointer", in("Pointer")), Number: maybe(t, "Number", num("Number")),
		Deep: maybe(t, "Deep", maybe(t, "Deeper", str("Deep"))), Tree: maybe(t, "Tree", tree(t, "Tree", 2)),
		Forest: forest(t, "Forest", 3), Pair: flow.Pair[rich.Name, int]{A: rich.Name(str("Pair.A")), B: num("Pair.B")},
	}
	for i := range e.Grid {
		for j := range e.Grid[i] {
			e.Grid[i][j] = rapid.Int32().Draw(t, "Grid")
		}
		e.Two[i] = in("Two")
	}
	copy(e.Hash[:], rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "Hash"))
	for _, k := range slice(t, "Map", str) {
		if e.Map == nil {
			e.Map, e.Keyed, e.MapOfMany = map[rich.Name]int{}, map[rich.Point]map[string]rich.Inner{}, map[int8][]string{}
		}
		e.Map[rich.Name(k)] = num("Map " + k)
		e.Keyed[rich.Point{X: num("X"), Y: num("Y")}] = map[string]rich.Inner{k: in(k), "": in("")}
		e.MapOfMany[rapid.Int8().Draw(t, "MapOfMany")] = slice(t, "MapOfMany", str)
	}
	if rapid.Bool().Draw(t, "Proto") {
		e.Proto = durationpb.New(time.Duration(num("Proto")))
		e.Protos = []*durationpb.Duration{nil, e.Proto, {}}
	}
	if rapid.Bool().Draw(t, "C") {
		c := times(t, "C")
		e.C = &c
	}
	return e
}

// equal compares with reflection what has no == of its own; messages by their own.
func equal(t require.TestingT, want, got rich.Everything) {
	require.True(t, proto.Equal(want.Proto, got.Proto))
	require.Len(t, got.Protos, len(want.Protos))
	for i := range want.Protos {
		require.Equal(t, want.Protos[i] == nil, got.Protos[i] == nil)
		require.True(t, proto.Equal(want.Protos[i], got.Protos[i]))
	}
	want.Proto, got.Proto, want.Protos, got.Protos = nil, nil, nil, nil
	require.Equal(t, want, got)
}

func TestEverythingRoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := genEverything(t)
		b := everything.Append(nil, e)
		got, err := everything.Decode(b)
		require.NoError(t, err)
		equal(t, e, got)
		require.Equal(t, b, everything.Append(nil, got), "canonical")
		require.Equal(t, append([]byte("x"), b...), everything.Append([]byte("x"), e), "appends")
		equal(t, e, everything.Clone(e))
	})
}

// Bytes that were stored or are on their way stay readable: the encoding of a value never changes.
func TestEncodingStays(t *testing.T) {
	t.Parallel()
	number, at := -7, time.Unix(-1, 5)
	b := everything.Append(nil, rich.Everything{
		Bool: true, Int: -3, Small: 5, Uint: 1 << 40, F32: 1.5, F64: -2.25, String: "text", Bytes: []byte{1, 2}, Digest: rich.Digest{9},
		When: time.Unix(1_800_000_000, 7), Names: rich.Names{"a", ""}, Levels: []rich.Level{1, -200}, Floats: []float64{0, 1},
		Flags: []rich.Flag{true, false}, Blobs: [][]byte{nil, {1}}, Times: []time.Time{{}, at}, Inners: []rich.Inner{{}, {A: 1, B: []string{"x"}}},
		Pointers: []*rich.Inner{nil, {}}, Nested: [][]int{nil, {1}}, Map: map[rich.Name]int{"b": 1, "a": 0, "": 2},
		Keyed: map[rich.Point]map[string]rich.Inner{{X: 1}: {"k": {}}}, Pointer: &rich.Inner{}, Number: &number,
		Tree: &rich.Tree{Value: 1, Kids: []rich.Tree{{}}}, Err: rich.ErrRich, Proto: durationpb.New(time.Second),
	})
	require.Equal(t, ""+
		"08011805200a288080808080203d0000c03f4100000000000002c04a04746578745a0201026a2009000000000000000000000000000000000000000000000000000000000000007a080880"+
		"c8ceb40d100e8a01050a030000008a01050a030000009201009201009a0101619a0100a20103028f03aa01100000000000000000000000000000f03fb201020100ba0100ba01030a0101ca"+
		"0100ca01060a040801100ad20100d201050802120178da0100da01020a00e20100e201030a0102ea01060a0012020804ea01070a030a01611200ea01090a030a016212020802f2010f0a02"+
		"080212090a070a030a016b12008202008a0202080d9a020408021200aa02130a037361641a04080112001a06080212020802ba02020801", fmt.Sprintf("%x", b))
}

func TestZeroIsEmpty(t *testing.T) {
	t.Parallel()
	// Arrays of what is no byte are always written in full.
	b := everything.Append(nil, rich.Everything{})
	numbers := map[protowire.Number]bool{}
	require.NoError(t, wire.EachField(b, func(f wire.Field) error { numbers[f.Number] = true; return nil }))
	require.Equal(t, map[protowire.Number]bool{17: true, 18: true}, numbers)
	e, err := everything.Decode(nil)
	require.NoError(t, err)
	require.Equal(t, rich.Everything{}, e)
}

func TestFloatsKeepTheirBits(t *testing.T) {
	t.Parallel()
	for _, f := range []float64{math.Copysign(0, -1), math.NaN(), math.Inf(-1), math.SmallestNonzeroFloat64} {
		e, err := everything.Decode(everything.Append(nil, rich.Everything{F64: f, F32: float32(f)}))
		require.NoError(t, err)
		require.Equal(t, math.Float64bits(f), math.Float64bits(e.F64))
		require.Equal(t, math.Float32bits(float32(f)), math.Float32bits(e.F32))
	}
}

func TestErrorsInsideValues(t *testing.T) {
	t.Parallel()
	e, err := everything.Decode(everything.Append(nil, rich.Everything{
		Err:  fmt.Errorf("while testing: %w", rich.ErrRich),
		Errs: []error{nil, rich.Sad{N: 7}, &rich.Sad{N: 8}, errors.New("plain"), &rich.Wrapped{Err: rich.ErrRich}},
	}))
	require.NoError(t, err)
	require.ErrorIs(t, e.Err, rich.ErrRich)
	require.EqualError(t, e.Err, "while testing: sad")
	require.NoError(t, e.Errs[0])
	require.Equal(t, rich.Sad{N: 7}, e.Errs[1])
	var sad *rich.Sad
	require.ErrorAs(t, e.Errs[2], &sad)
	require.Equal(t, 8, sad.N)
	require.Equal(t, &wire.RemoteError{Text: "plain"}, e.Errs[3])
	require.EqualError(t, e.Errs[4], "wrapped: sad")
}

// A copy shares nothing that can be changed.
func TestCloneIsDeep(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := genEverything(t)
		c := everything.Clone(e)
		shared(t, reflect.ValueOf(e), reflect.ValueOf(c), "Everything", 0)
	})
}

// shared fails for memory that two values have in common.
func shared(t *rapid.T, a, b reflect.Value, path string, depth int) {
	if depth > 12 || a.Type() == reflect.TypeFor[time.Time]() || a.Kind() == reflect.Interface {
		return
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() {
			return
		}
		require.NotEqual(t, a.Pointer(), b.Pointer(), path)
		if _, message := a.Interface().(proto.Message); !message {
			shared(t, a.Elem(), b.Elem(), path, depth+1)
		}
	case reflect.Slice:
		if a.Len() > 0 && a.Type().Elem().Size() > 0 {
			require.NotEqual(t, a.Pointer(), b.Pointer(), path)
		}
		fallthrough
	case reflect.Array:
		for i := range a.Len() {
			shared(t, a.Index(i), b.Index(i), path+"[]", depth+1)
		}
	case reflect.Map:
		if a.IsNil() {
			return
		}
		require.NotEqual(t, a.Pointer(), b.Pointer(), path)
		for _, k := range a.MapKeys() {
			shared(t, a.MapIndex(k), b.MapIndex(k), path+"[]", depth+1)
		}
	case reflect.Struct:
		for i := range a.NumField() {
			shared(t, a.Field(i), b.Field(i), path+"."+a.Type().Field(i).Name, depth+1)
		}
	}
}

func TestImmutableTypesAreNotCopied(t *testing.T) {
	t.Parallel()
	require.Nil(t, rich.RichMethods()[3].(*wire.Method[rich.Level, time.Duration]).Args.Clone)
	require.NotNil(t, everything.Clone)
}

func TestUnknownFieldsAreSkipped(t *testing.T) {
	t.Parallel()
	b := protowire.AppendTag(nil, 7777, protowire.BytesType)
	b = protowire.AppendString(b, "of a newer sender")
	b = everything.Append(b, rich.Everything{Int: 5})
	e, err := everything.Decode(b)
	require.NoError(t, err)
	require.Equal(t, rich.Everything{Int: 5}, e)
}

func TestDecodeSaysWhere(t *testing.T) {
	t.Parallel()
	field := func(n protowire.Number, m []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), m)
	}
	number := func(n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
	}
	for _, c := range []struct {
		b    []byte
		want string
	}{
		{number(9, 5), "Everything.String: byte 0, field 9: wire type 0 where bytes are expected"},
		{append(number(3, 2), number(4, 1000)...), "Everything.Small: byte 2, field 4: 500 does not fit into rich.Small"},
		{number(6, 1<<16), "Everything.Amount: byte 0, field 6: 65536 does not fit into rich.Amount"},
		{number(1, 2), "Everything.Bool: byte 0, field 1: 2 where a boolean is expected"},
		{field(13, make([]byte, 31)), "Everything.Digest: byte 0, field 13: 31 bytes where 32 are expected"},
		{field(31, field(1, nil)), "Everything.Inner.Inner.A: byte 0, field 1: wire type 2 where a varint is expected"},
		{field(26, field(1, nil)), "Everything.Inners.Inner.A: byte 0, field 1"},
		{field(20, []byte{0x80}), "Everything.Levels: byte 0, field 20: packed value 1: unexpected EOF"},
		{field(18, nil), "Everything.Two: 1 elements where 2 are expected"},
		{append(field(18, nil), append(field(18, nil), field(18, nil)...)...), "Everything.Two: byte 6, field 18: more than 2 elements"},
		{field(15, number(2, 1e10)), "Everything.When: byte 0, field 2: 5000000000 nanoseconds are no part of a second"},
		{field(29, field(2, number(2, 1))[:2]), "Everything.Map: byte 0, field"},
		{field(29, field(1, number(1, 1))), "Everything.Map.[key]: byte 0, field 1: wire type 0"},
		{field(39, []byte{0xff}), "Everything.Proto: "},
		{[]byte{0xff}, "byte 0, field 0: bad tag"},
	} {
		_, err := everything.Decode(c.b)
		require.ErrorContains(t, err, c.want)
	}
}

// Bytes that nest a recursive type without end must not exhaust the stack.
func TestDecodeOfDeepNesting(t *testing.T) {
	t.Parallel()
	nest := func(n protowire.Number, depth int) []byte {
		var b []byte
		for range depth {
			b = protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), b)
		}
		return b
	}
	for _, n := range []protowire.Number{1, 2} { // Forest is field 1 of itself, Kids field 2 of Tree
		outer := map[protowire.Number]protowire.Number{1: 36, 2: 35}[n]
		b := protowire.AppendBytes(protowire.AppendTag(nil, outer, protowire.BytesType), nest(n, 500))
		_, err := everything.Decode(b)
		require.NoError(t, err)
		b = protowire.AppendBytes(protowire.AppendTag(nil, outer, protowire.BytesType), nest(n, 2000))
		_, err = everything.Decode(b)
		require.ErrorContains(t, err, "nested too deeply")
		require.Less(t, len(err.Error()), 500)
	}
}

// Hostile bytes give an error or a value, which then round-trips; never a panic.
func TestDecodeOfHostileBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		hostile(t, mutate(t, everything.Append(nil, genEverything(t))))
		hostile(t, rapid.SliceOf(rapid.Byte()).Draw(t, "noise"))
	})
}

func mutate(t *rapid.T, b []byte) []byte {
	for range rapid.IntRange(1, 4).Draw(t, "mutations") {
		if len(b) == 0 {
			break
		}
		i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			b[i] = rapid.Byte().Draw(t, "byte")
		case 1:
			b = b[:i]
		case 2:
			b = append(b[:i], b[i+1:]...)
		}
	}
	return b
}

func hostile(t require.TestingT, b []byte) {
	v, err := everything.Decode(b)
	if err != nil {
		require.Equal(t, rich.Everything{}, v)
		return
	}
	once := everything.Append(nil, v)
	again, err := everything.Decode(once)
	require.NoError(t, err)
	require.Equal(t, once, everything.Append(nil, again))
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add(everything.Append(nil, rich.Everything{Int: 1, Names: []rich.Name{"a"}, Tree: &rich.Tree{Kids: []rich.Tree{{}}}}))
	f.Fuzz(func(t *testing.T, b []byte) { hostile(t, b) })
}

// What a decoder allocates stays within a small multiple of its input.
func TestDecodeAllocatesInProportion(t *testing.T) {
	var before, after runtime.MemStats
	for _, n := range []protowire.Number{19, 20, 23, 25, 26, 27, 28, 36} {
		var b []byte
		for range 100_000 {
			b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), nil)
		}
		runtime.ReadMemStats(&before)
		_, err := everything.Decode(b)
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(100*len(b)), "field %d", n)
	}
}
