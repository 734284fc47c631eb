package emit

import (
	"bytes"
	"fmt"
	"go/types"
	"maps"
	"slices"
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/check"
	"github.com/martinelli-go/martinelli/codegen/internal/load"
	"github.com/martinelli-go/martinelli/codegen/internal/lock"
)

// protoHead says how another language makes a call with the messages of the file.
const protoHead = `//
// These messages are what the encoders in grain_gen.go write and read. A call of a method is the message
// Envelope of actor/envelope.proto in a frame, for service 5 (calls), whose payload is a CallRequest; the
// payload of the answer is a CallReply:
//
//   message GrainID     { string kind = 1; string key = 2; }
//   message CallRequest { GrainID to = 1; uint32 method = 2; bytes args = 3; bytes of = 16; }
//   message CallReply   { uint32 status = 1; bytes result = 2; bytes error = 3; string detail = 4; }
//
// A method that returns a stream is called again and again, with a Pull for args and a Batch for result:
//
//   message Pull  { uint64 id = 1; uint64 seq = 2; uint64 want = 3; bool over = 4; bytes args = 5; }
//   message Batch { uint64 status = 1; repeated bytes element = 2; repeated bytes error = 3; bool end = 4; string detail = 5; }
//
// args is the method's request message, result its response. of is the interface that the caller was built
// for: fingerprint and lineage, 8 bytes each, the least first, and the version as a varint. Status 1 is a
// result, 2 an error that the method returned, which is the message of errors; all others say in detail why
// the method was not called, or that nobody knows. The documentation of grainc, which is
// "go doc github.com/martinelli-go/martinelli/codegen/grainc", has the rest.
//
// A field that is left out is zero. Strings are UTF-8; bytes of a stated length have it, or are left out.
`

// wellKnown are the protobuf messages that come with every protobuf compiler, by the path of their Go
// package; their files are named as the last element, without "pb".
var wellKnown = map[string]string{
	"google.golang.org/protobuf/types/known/durationpb":  "google/protobuf/duration.proto",
	"google.golang.org/protobuf/types/known/timestamppb": "google/protobuf/timestamp.proto",
	"google.golang.org/protobuf/types/known/anypb":       "google/protobuf/any.proto",
	"google.golang.org/protobuf/types/known/emptypb":     "google/protobuf/empty.proto",
	"google.golang.org/protobuf/types/known/fieldmaskpb": "google/protobuf/field_mask.proto",
	"google.golang.org/protobuf/types/known/structpb":    "google/protobuf/struct.proto",
	"google.golang.org/protobuf/types/known/wrapperspb":  "google/protobuf/wrappers.proto",
}

type protoEmitter struct {
	m       *check.Model
	lock    *lock.File
	pkg     string
	imports map[string]bool
	taken   map[string]bool          // names of messages and services
	named   map[*check.Type]string   // of messages
	helpers map[string]string        // names of messages that no type stands for
	texts   map[string]*bytes.Buffer // messages by name
}

// Proto returns the file that describes a package's interfaces to other languages. The model has its numbers
// from the lock file.
func Proto(m *check.Model, numbers *lock.File) []byte {
	e := &protoEmitter{
		m: m, lock: numbers, pkg: ascii(m.Prefix), imports: map[string]bool{}, taken: map[string]bool{},
		named: map[*check.Type]string{}, helpers: map[string]string{}, texts: map[string]*bytes.Buffer{},
	}
	for _, i := range m.Interfaces {
		e.taken[ascii(i.Name)] = true
	}
	for _, t := range m.Types.All {
		// Declared structs come first, so that they have the names that people know.
		if t.Class == check.Struct && !e.taken[ascii(t.Name)] {
			e.named[t] = e.claim(t.Name)
		}
	}
	var services bytes.Buffer
	for _, i := range m.Interfaces {
		e.service(&services, i)
	}
	errors := e.errors()

	var file bytes.Buffer
	file.WriteString(Header + protoHead + "\nsyntax = \"proto3\";\n\npackage " + e.pkg + ";\n")
	for n, path := range slices.Sorted(maps.Keys(e.imports)) {
		if n == 0 {
			file.WriteByte('\n')
		}
		fmt.Fprintf(&file, "import %q;\n", path)
	}
	file.Write(services.Bytes())
	file.WriteString(errors)
	for _, name := range slices.Sorted(maps.Keys(e.texts)) {
		file.WriteByte('\n')
		file.Write(e.texts[name].Bytes())
	}
	return file.Bytes()
}

func (e *protoEmitter) service(b *bytes.Buffer, i *check.Interface) {
	fmt.Fprintf(b, "\n// %s is the kind %q, with keys that are %s.\n", ascii(i.Name), i.Kind, keyText(i.Key))
	fmt.Fprintf(b, "// It has fingerprint %#016x, lineage %#016x, version %d.\n", i.Fingerprint, i.Lineage, i.Version)
	fmt.Fprintf(b, "service %s {\n", ascii(i.Name))
	methods := slices.Clone(i.Methods)
	slices.SortFunc(methods, func(a, b *check.Method) int { return int(a.Number) - int(b.Number) })
	for _, m := range methods {
		fmt.Fprintf(b, "  // Method %d", m.Number)
		for _, trait := range m.Traits.Names() {
			b.WriteString(", " + strings.ToLower(trait))
		}
		fmt.Fprintf(b, ".\n  rpc %s(.%s.%s) returns (", ascii(m.Name), e.pkg, e.request(i, m))
		if m.Stream {
			b.WriteString("stream ")
		}
		fmt.Fprintf(b, ".%s.%s);\n", e.pkg, e.response(i, m))
	}
	b.WriteString("}\n")
}

// keyText says how the text of a key is made.
func keyText(k types.Type) string {
	switch u := k.Underlying().(type) {
	case *types.Basic:
		if u.Kind() == types.String {
			return "strings"
		}
		return "decimal numbers of 64 bits"
	case *types.Array:
		return "16 bytes in lower-case hex"
	case *types.Struct:
		var all []string
		for f := range u.Fields() {
			all = append(all, f.Name())
		}
		return `the fields ` + strings.Join(all, ", ") + `, joined by "," (of which, as of "\", one in a string has a "\" before it)`
	}
	return k.String()
}

func (e *protoEmitter) request(i *check.Interface, m *check.Method) string {
	name := i.Name + load.Upper(m.Name) + "Request"
	if len(m.Params) == 1 {
		return e.alone(m.Params[0].Type, name, m.Params[0].Name)
	}
	t := &check.Type{Class: check.Struct, Name: name}
	for n, p := range m.Params {
		field := p.Name
		if field == "" || field == "_" {
			field = fmt.Sprintf("a%d", n+1)
		}
		t.Fields = append(t.Fields, &check.Field{Name: field, Type: p.Type, Number: uint32(n + 1)})
	}
	e.named[t] = e.claim(name)
	return e.message(t)
}

func (e *protoEmitter) response(i *check.Interface, m *check.Method) string {
	name := i.Name + load.Upper(m.Name) + "Response"
	if m.Result == nil {
		t := &check.Type{Class: check.Struct, Name: name}
		e.named[t] = e.claim(name)
		return e.message(t)
	}
	return e.alone(m.Result, name, "value")
}

// alone returns the message of a value that is by itself in a request or a response: that of a struct or a
// reference, or one of its own with the value as field 1.
func (e *protoEmitter) alone(t *check.Type, name, field string) string {
	if t.Class == check.Struct || t.Class == check.Ref {
		return e.message(t)
	}
	if field == "" || field == "_" {
		field = "value"
	}
	one := &check.Type{Class: check.Struct, Name: name, Fields: []*check.Field{{Name: field, Type: t, Number: 1}}}
	e.named[one] = e.claim(name)
	return e.message(one)
}

// claim returns a name that no other message has.
func (e *protoEmitter) claim(name string) string {
	name = ascii(name)
	claimed := name
	for n := 2; e.taken[claimed]; n++ {
		claimed = fmt.Sprintf("%s%d", name, n)
	}
	e.taken[claimed] = true
	return claimed
}

// message returns the name of the message that a value of t is where it stands alone, and writes it.
func (e *protoEmitter) message(t *check.Type) string {
	name := e.named[t]
	if name == "" {
		name = t.Name
		if t.Class == check.Ref {
			name += "Ref"
		}
		name = e.claim(name)
		e.named[t] = name
	}
	if e.texts[name] != nil {
		return name
	}
	b := &bytes.Buffer{}
	e.texts[name] = b
	switch t.Class {
	case check.Ref:
		fmt.Fprintf(b, "// %s is a reference to a grain by its key; without a key it is to none.\nmessage %s {\n  optional string key = 1;\n}\n", name, name)
	case check.Struct:
		e.structMessage(b, t, name)
	default:
		fmt.Fprintf(b, "message %s {\n", name)
		e.field(b, &check.Field{Name: "value", Type: t, Number: 1}, "value")
		b.WriteString("}\n")
	}
	return name
}

func (e *protoEmitter) structMessage(b *bytes.Buffer, t *check.Type, name string) {
	fmt.Fprintf(b, "message %s {\n", name)
	if t.Go != nil {
		if retired := e.lock.Retired("struct " + e.m.Types.Title(t)); len(retired) > 0 {
			fmt.Fprintf(b, "  reserved %s;\n", strings.Trim(strings.ReplaceAll(fmt.Sprint(retired), " ", ", "), "[]"))
		}
	}
	fields := slices.Clone(t.Fields)
	slices.SortFunc(fields, func(a, b *check.Field) int { return int(a.Number) - int(b.Number) })
	taken := map[string]bool{}
	for _, f := range fields {
		name := snake(f.Name)
		// Names that differ in underscores alone are one in JSON.
		for n := 2; taken[strings.ReplaceAll(name, "_", "")]; n++ {
			name = fmt.Sprintf("%s%d", snake(f.Name), n)
		}
		taken[strings.ReplaceAll(name, "_", "")] = true
		e.field(b, f, name)
	}
	b.WriteString("}\n")
}

// field writes one field of a message.
func (e *protoEmitter) field(b *bytes.Buffer, f *check.Field, name string) {
	text, comment := e.fieldType(f.Type)
	if comment != "" {
		comment = " // " + comment
	}
	fmt.Fprintf(b, "  %s %s = %d;%s\n", text, name, f.Number, comment)
}

var protoScalars = map[check.Class]string{
	check.Bool: "bool", check.Int: "sint64", check.Uint: "uint64", check.Float32: "float", check.Float64: "double",
	check.String: "string", check.Bytes: "bytes", check.ByteArray: "bytes",
}

// fieldType returns how a field of type t is written, and what else is to be said of it.
func (e *protoEmitter) fieldType(t *check.Type) (text, comment string) {
	switch t.Class {
	case check.ByteArray:
		return "bytes", fmt.Sprintf("%d of them", t.Len)
	case check.Bool, check.Int, check.Uint, check.Float32, check.Float64, check.String, check.Bytes:
		if basic, ok := t.Go.Underlying().(*types.Basic); ok {
			switch basic.Kind() {
			case types.Int8, types.Int16, types.Int32, types.Uint8, types.Uint16, types.Uint32:
				comment = basic.Name()
			}
		}
		if _, duration := load.Is(t.Go, "time", "Duration"); duration {
			comment = "nanoseconds"
		}
		return protoScalars[t.Class], comment
	case check.Time:
		return e.helper("Time", "is seconds and nanoseconds since 1970 UTC.", "  sint64 seconds = 1;\n  sint64 nanoseconds = 2;\n"), ""
	case check.Error:
		return e.errorMessage(), ""
	case check.Proto:
		return e.foreign(t)
	case check.Pointer:
		return e.message(t.Elem), ""
	case check.Slice, check.Array:
		if t.Class == check.Array {
			comment = fmt.Sprintf("%d of them", t.Len)
		}
		if t.Elem.Class.Number() || t.Elem.Class == check.String {
			return "repeated " + protoScalars[t.Elem.Class], comment
		}
		return "repeated " + e.message(t.Elem), comment
	case check.Map:
		return "repeated " + e.entry(t), "each key once"
	}
	return e.message(t), ""
}

// helper writes a message that is no Go type's, and returns its name.
func (e *protoEmitter) helper(name, doc, fields string) string {
	if e.helpers[name] == "" {
		claimed := e.claim(name)
		e.helpers[name] = claimed
		b := &bytes.Buffer{}
		fmt.Fprintf(b, "// %s %s\nmessage %s {\n%s}\n", claimed, doc, claimed, fields)
		e.texts[claimed] = b
	}
	return e.helpers[name]
}

// entry returns the message of a map's keys with their values.
func (e *protoEmitter) entry(t *check.Type) string {
	name := "EntryOf" + t.Name
	if e.helpers[name] == "" {
		claimed := e.claim(name)
		e.helpers[name] = claimed
		b := &bytes.Buffer{}
		e.texts[claimed] = b
		fmt.Fprintf(b, "message %s {\n  %s key = 1;\n  %s value = 2;\n}\n", claimed, e.message(t.Key), e.message(t.Elem))
	}
	return e.helpers[name]
}

func (e *protoEmitter) errorMessage() string {
	known := e.helper("KnownError", "is an error of the package by its number, with what it holds.", "  uint64 number = 1;\n  bytes value = 2;\n")
	block := e.helper("BlockID", "names an atomic block, or a call.", "  uint64 client = 1;\n  uint64 seq = 2;\n")
	return e.helper("Error", "is an error: its text, and what it is or wraps, by numbers.",
		fmt.Sprintf("  string text = 1;\n  repeated uint64 framework = 2 [packed = false];\n  repeated %s known = 3;\n  repeated %s in_doubt = 4;\n  repeated %s call = 5;\n", known, block, block))
}

// foreign returns a protobuf message that is declared elsewhere: as itself where every compiler has it, else
// as bytes, which is the same on the wire.
func (e *protoEmitter) foreign(t *check.Type) (text, comment string) {
	o := types.Unalias(t.Go.(*types.Pointer).Elem()).(*types.Named).Obj()
	if path := wellKnown[o.Pkg().Path()]; path != "" {
		e.imports[path] = true
		return ".google.protobuf." + o.Name(), ""
	}
	return "bytes", "an encoded message, in Go " + o.Pkg().Name() + "." + o.Name()
}

// errors says which number stands for which error.
func (e *protoEmitter) errors() string {
	if len(e.m.Errors) == 0 || len(e.m.Interfaces) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n// Errors that methods return are %s; those of this package have these numbers:\n//\n", e.errorMessage())
	for _, d := range e.m.Errors {
		fmt.Fprintf(&b, "//   %d %s", d.Number, d.Name)
		if d.Type != nil {
			fmt.Fprintf(&b, ", value is a %s", e.message(d.Type))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// snake is a name of Go in the manner of protobuf: WineID becomes wine_id.
func snake(name string) string {
	var b strings.Builder
	s := ascii(name)
	upper := func(i int) bool { return 'A' <= s[i] && s[i] <= 'Z' }
	for i := range len(s) {
		if upper(i) && i > 0 && s[i-1] != '_' && (!upper(i-1) || i+1 < len(s) && !upper(i+1) && s[i+1] != '_' && !('0' <= s[i+1] && s[i+1] <= '9')) {
			b.WriteByte('_')
		}
		b.WriteByte(s[i])
	}
	return strings.ToLower(b.String())
}

// ascii is a name with what protobuf does not know in names written out.
func ascii(name string) string {
	var b strings.Builder
	for i, r := range name {
		switch {
		case r < 0x80 && (r != '_' || i > 0):
			if r != '_' && !('0' <= r && r <= '9') && !('a' <= r && r <= 'z') && !('A' <= r && r <= 'Z') {
				r = '_'
			}
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "U%04X", r)
		}
	}
	return b.String()
}
