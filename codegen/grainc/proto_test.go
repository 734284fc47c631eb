package main

import (
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/guild"
	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/rich"
	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/shop"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// described are the golden packages with a .proto file beside them.
var described = []string{"rich", "guild", "shop"}

func TestProtoFilesAreUpToDate(t *testing.T) {
	t.Parallel()
	for _, name := range described {
		dir := filepath.Join(golden, name)
		code, _, errs := command(t, dir, "-check", "-proto", name+".proto")
		require.Empty(t, errs, "run go run ./codegen/grainc -proto %s.proto in %s and look at the difference", name, dir)
		require.Zero(t, code)
	}
}

func TestProtoIsForOnePackageWithInterfaces(t *testing.T) {
	t.Parallel()
	code, _, errs := command(t, golden, "-check", "-proto", "x.proto", "./rich", "./shop")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "-proto describes one package, and ./rich ./shop are 2: name one")
	code, _, errs = command(t, golden, "-check", "-proto", "x.proto", "./club")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "has no grain interface to describe")
}

// compile reads the .proto file of a golden package.
func compile(t *testing.T, name string) protoreflect.FileDescriptor {
	t.Helper()
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{filepath.Join(golden, name)}})}
	files, err := c.Compile(context.Background(), name+".proto")
	require.NoError(t, err)
	return files[0]
}

// GRAINC_PROTOC asks for the real protoc too.
func TestProtocAccepts(t *testing.T) {
	t.Parallel()
	for _, name := range described {
		require.Equal(t, name, string(compile(t, name).Package()))
		if os.Getenv("GRAINC_PROTOC") == "" {
			continue
		}
		out, err := exec.CommandContext(t.Context(), "protoc", "-I", filepath.Join(golden, name), "--fatal_warnings", "--descriptor_set_out", os.DevNull, name+".proto").CombinedOutput()
		require.NoError(t, err, string(out))
	}
}

// cross decodes what our encoder wrote by the description, encodes it again by protobuf's own rules, and returns
// that for our decoder.
func cross(t require.TestingT, of protoreflect.MessageDescriptor, b []byte) (theirs *dynamicpb.Message, again []byte) {
	theirs = dynamicpb.NewMessage(of)
	require.NoError(t, proto.Unmarshal(b, theirs))
	unknown(t, theirs)
	again, err := proto.Marshal(theirs)
	require.NoError(t, err)
	return theirs, again
}

// unknown fails for fields that the description does not have.
func unknown(t require.TestingT, m protoreflect.Message) {
	require.Empty(t, m.GetUnknown(), m.Descriptor().FullName())
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Message() == nil {
			return true
		}
		if !f.IsList() {
			unknown(t, v.Message())
			return true
		}
		for i := range v.List().Len() {
			unknown(t, v.List().Get(i).Message())
		}
		return true
	})
}

// Another language reads what we write and writes what we read, for every type that can be encoded.
func TestOtherLanguagesReadAndWrite(t *testing.T) {
	t.Parallel()
	file := compile(t, "rich")
	method := file.Services().ByName("Rich").Methods().ByName("Echo")
	rapid.Check(t, func(t *rapid.T) {
		// Strings of other languages are UTF-8.
		e := genEverythingOf(t, func(n string) string { return rapid.String().Draw(t, n) })
		for _, of := range []protoreflect.MessageDescriptor{method.Input(), method.Output()} {
			_, again := cross(t, of, everything.Append(nil, e))
			got, err := everything.Decode(again)
			require.NoError(t, err)
			equal(t, e, got)
		}
	})
}

// What another language reads is what was meant, by the names that the description gives.
func TestOtherLanguagesUnderstand(t *testing.T) {
	t.Parallel()
	number := 9
	b := everything.Append(nil, rich.Everything{
		Int: -5, Small: -8, Amount: math.MaxUint16, F64: 0.5, Name: "n", Digest: rich.Digest{1}, When: time.Unix(7, 8),
		Long: 3, Levels: []rich.Level{1, -1}, Map: map[rich.Name]int{"k": 2}, Number: &number, Err: rich.ErrRich,
		Inners: []rich.Inner{{A: 1}, {}}, Proto: durationpb.New(time.Second), Forest: rich.Forest{nil, {nil}},
	})
	theirs, _ := cross(t, compile(t, "rich").Messages().ByName("Everything"), b)
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(theirs)
	require.NoError(t, err)
	require.JSONEq(t, `{"int": "-5", "small": "-8", "amount": "65535", "f64": 0.5, "name": "n",
		"digest": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "when": {"seconds": "7", "nanoseconds": "8"}, "long": "3",
		"grid": [{"value": ["0", "0", "0"]}, {"value": ["0", "0", "0"]}], "two": [{}, {}], "levels": ["1", "-1"], "inners": [{"a": "1"}, {}],
		"map": [{"key": {"value": "k"}, "value": {"value": "2"}}], "number": {"value": "9"},
		"forest": [{}, {"value": [{}]}],
		"err": {"text": "sad", "known": [{"number": "1"}, {"number": "2", "value": "CAI="}]}, "proto": "1s"}`, string(text))
}

// The numbers of a method's request are those of its arguments' encoder, and a stub's call is such a request.
func TestOtherLanguagesCall(t *testing.T) {
	t.Parallel()
	pay := shop.TillMethods()[0]
	request := dynamicpb.NewMessage(compile(t, "shop").Services().ByName("Till").Methods().ByName("Pay").Input())
	require.NoError(t, protojson.Unmarshal([]byte(`{"cents": "-12", "text": "x"}`), request))
	args, err := proto.Marshal(request)
	require.NoError(t, err)
	var got []any
	_, err = pay.Serve(t.Context(), payer{pay: func(cents int64, text string) { got = append(got, cents, text) }}, args, nil)
	require.NoError(t, err)
	require.Equal(t, []any{int64(-12), "x"}, got)

	file := compile(t, "guild")
	c := wire.NewCaller(newEngine(true, nil))
	found := file.Services().ByName("Master").Methods().ByName("Found")
	codec := foundMethod(t).Args
	charter := guild.Charter{Title: "t", Members: []guild.Member{guild.GetMember(c, 0), nil}, Parts: []*guild.Charter{nil, {}}, Master: guild.GetMaster(c, "")}
	theirs, again := cross(t, found.Input(), codec.Append(nil, charter))
	back, err := codec.Decode(again)
	require.NoError(t, err)
	require.Equal(t, charter, foundMethod(t).BindArgs(wire.Of(c), back))
	text, err := protojson.Marshal(theirs)
	require.NoError(t, err)
	require.JSONEq(t, `{"master": {"key": ""}, "members": [{"key": "0"}, {}], "parts": [{}, {"value": {}}], "title": "t"}`, string(text))
}

func foundMethod(t *testing.T) *wire.Method[guild.Charter, guild.Charter] {
	for _, m := range guild.MasterMethods() {
		if found, ok := m.(*wire.Method[guild.Charter, guild.Charter]); ok {
			return found
		}
	}
	t.Fatal("no method Found")
	return nil
}

// payer is a till without a silo.
type payer struct {
	shop.Till
	pay func(cents int64, text string)
}

func (p payer) Pay(_ context.Context, cents int64, text string) error {
	p.pay(cents, text)
	return nil
}

// Numbers that were given up are reserved, names that protobuf takes for one are kept apart.
func TestProtoNames(t *testing.T) {
	t.Parallel()
	dir, _ := scratch(t)
	write(t, `package odd

import (
	"context"

	"github.com/martinelli-go/martinelli/grains"
)

type Odd interface {
	grains.Keyed[string]
	Order(ctx context.Context, o Order) (Order, error)
	Time(ctx context.Context, t Time, _ int, Ärger string) (map[Time]OddTimeRequest, error)
}

type Order struct {
	URLOfID, UrlOfId, URL_of_ID int
	Größe                       string
	HTTP2                       bool
}

type Time struct{ A int }

type OddTimeRequest struct{ Kept, Of int }
`, dir, "odd.go")
	write(t, "struct OddTimeRequest\n\t1 Gone int // retired\n\t2 Lost int\n\t3 Of int\n", dir, "grain_gen.lock")
	code, _, errs := command(t, dir, "-proto", "sub.proto")
	require.Zero(t, code, errs)
	text := read(t, dir, "sub.proto")
	require.Contains(t, text, "message OddTimeRequest {\n  reserved 1, 2;\n  sint64 of = 3;\n  sint64 kept = 4;\n}\n")
	require.Contains(t, text, "message Order {\n  sint64 url_of_id = 1;\n  sint64 url_of_id2 = 2;\n  sint64 url_of_id3 = 3;\n")
	require.Contains(t, text, "message OddTimeRequest2 {\n  Time t = 1;\n  sint64 a2 = 2;\n")
	_, err := (&protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{dir}})}).Compile(t.Context(), "sub.proto")
	require.NoError(t, err, text)
}
