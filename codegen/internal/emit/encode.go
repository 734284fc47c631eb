package emit

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/check"
)

// need notes that t needs the functions appendT, readT and, if it is mutable, cloneT.
func (e *emitter) need(t *check.Type) {
	if e.functions[t] {
		return
	}
	e.functions[t] = true
	e.queue = append(e.queue, t)
}

// needEncode notes that t needs encodeT, needDecode that it needs decodeT.
func (e *emitter) needEncode(t *check.Type) string {
	e.need(t)
	e.encodes[t] = true
	return "encode" + t.Name
}

func (e *emitter) needDecode(t *check.Type) string {
	e.need(t)
	e.decodes[t] = true
	return "decode" + t.Name
}

// encoders writes the functions of all types that need them.
func (e *emitter) encoders() {
	for len(e.queue) > 0 || e.valueErrors {
		if len(e.queue) == 0 {
			e.valueErrors = false
			if !e.declared["valueErrorTable"] {
				e.valueTable()
			}
			continue
		}
		t := e.queue[0]
		e.queue = e.queue[1:]
		switch t.Class {
		case check.Struct:
			e.structFunctions(t, e.typ(t.Go), false)
		case check.Proto:
			e.protoFunctions(t)
		default:
			e.valueFunctions(t)
		}
	}
}

// structFunctions writes the functions of a struct. With codec it returns an expression for its codec.
func (e *emitter) structFunctions(t *check.Type, typ string, codec bool) string {
	e.p("func append%s(b []byte, v *%s) []byte {", e.declareFuncs(t), typ)
	for _, f := range t.Fields {
		e.appendField(f.Number, "v."+goName(t, f, codec), f.Type)
	}
	if t.Unknown != "" {
		e.p("b = v.%s.Append(b)", t.Unknown)
	}
	e.p("return b\n}\n")
	e.readFunction(t, typ, fieldsOf(t, codec))
	if t.Mutable {
		e.p("func clone%s(v %s) %s {", t.Name, typ, typ)
		for _, f := range t.Fields {
			if f.Type.Mutable {
				name := "v." + goName(t, f, codec)
				e.p("%s = %s", name, e.cloned(f.Type, name))
			}
		}
		e.p("return v\n}\n")
	}
	if !codec {
		return ""
	}
	e.whole(t, typ, true, true)
	clone := ""
	if t.Mutable {
		clone = ", Clone: clone" + t.Name
	}
	return fmt.Sprintf("%s.Codec[%s]{Append: encode%s, Decode: decode%s%s}", e.wire(), typ, t.Name, t.Name, clone)
}

// wholes writes the functions that encode and decode values for codecs and maps.
func (e *emitter) wholes() {
	for _, t := range e.m.Types.All {
		if e.encodes[t] || e.decodes[t] {
			e.whole(t, e.typ(t.Go), e.encodes[t], e.decodes[t])
		}
	}
}

// whole writes encodeT and decodeT.
func (e *emitter) whole(t *check.Type, typ string, encode, decode bool) {
	if encode {
		v := "v"
		if t.Class == check.Struct {
			v = "&v"
		}
		e.p("func %s(b []byte, v %s) []byte {", e.declare("encode"+t.Name), typ)
		e.p("if b != nil {\nreturn append%s(b, %s)\n}", t.Name, v)
		e.p("s := %s.NewScratch()\nreturn s.Copy(append%s(s.Bytes(), %s))\n}\n", e.wire(), t.Name, v)
	}
	if decode {
		depth := ""
		if t.Recursive {
			depth = ", 0"
		}
		e.p("func %s(b []byte) (v %s, err error) {", e.declare("decode"+t.Name), typ)
		e.p("if err := read%s(b, &v%s); err != nil {", t.Name, depth)
		e.p("var none %s // a value that was decoded in part is not given away\nreturn none, err\n}\nreturn v, nil\n}\n", typ)
	}
}

func (e *emitter) declareFuncs(t *check.Type) string {
	e.declare("append" + t.Name)
	e.declare("read" + t.Name)
	if t.Mutable {
		e.declare("clone" + t.Name)
	}
	return t.Name
}

// goName is a field's name in Go: structs of arguments have generated names, and their fields' names are
// the parameters', for errors to show.
func goName(t *check.Type, f *check.Field, args bool) string {
	if !args {
		return f.Name
	}
	return fmt.Sprintf("A%d", f.Number)
}

// part is a field of a message, as the decoder needs it.
type part struct {
	number uint32
	target string
	path   string
	typ    *check.Type
}

func fieldsOf(t *check.Type, args bool) []part {
	var all []part
	for _, f := range t.Fields {
		path := f.Name
		if !args {
			path = t.Name + "." + f.Name
		}
		all = append(all, part{f.Number, "v." + goName(t, f, args), path, f.Type})
	}
	return all
}

// valueFunctions writes the functions of a type that is no struct: field 1 of a message.
func (e *emitter) valueFunctions(t *check.Type) {
	typ := e.typ(t.Go)
	e.p("func append%s(b []byte, v %s) []byte {", e.declareFuncs(t), typ)
	e.appendField(1, "v", t)
	e.p("return b\n}\n")
	e.readFunction(t, typ, []part{{1, "*v", t.Name, t}})
	if t.Mutable {
		e.p("func clone%s(v %s) %s {\nreturn %s\n}\n", t.Name, typ, typ, e.clonedInline(t, "v"))
	}
}

// protoFunctions writes the functions of a protobuf message: nil is absent.
func (e *emitter) protoFunctions(t *check.Type) {
	typ := e.typ(t.Go)
	proto := e.use("google.golang.org/protobuf/proto", "proto")
	name := e.declareFuncs(t)
	e.declare("marshal" + name)
	e.declare("unmarshal" + name)
	e.p("// marshal%s panics if the message cannot be encoded: a string in it is no UTF-8.", name)
	e.p("func marshal%s(b []byte, v %s) []byte {", name, typ)
	e.p("b, err := (%s.MarshalOptions{Deterministic: true, AllowPartial: true}).MarshalAppend(b, v)", proto)
	e.p("if err != nil {\npanic(err)\n}\nreturn b\n}\n")
	e.p("func unmarshal%s(b []byte) (%s, error) {", name, typ)
	e.p("v := new(%s)", strings.TrimPrefix(typ, "*"))
	e.p("return v, (%s.UnmarshalOptions{AllowPartial: true, RecursionLimit: 1000}).Unmarshal(b, v)\n}\n", proto)
	e.p("func append%s(b []byte, v %s) []byte {", name, typ)
	e.appendField(1, "v", t)
	e.p("return b\n}\n")
	e.readFunction(t, typ, []part{{1, "*v", name, t}})
	e.p("func clone%s(v %s) %s {\nif v == nil {\nreturn nil\n}\nreturn %s.CloneOf(v)\n}\n", name, typ, typ, proto)
}

// Wire types, as in package protowire.
const (
	varintType  = 0
	fixed64Type = 1
	bytesType   = 2
	fixed32Type = 5
)

func wireType(t *check.Type) uint64 {
	switch t.Class {
	case check.Bool, check.Int, check.Uint:
		return varintType
	case check.Float32:
		return fixed32Type
	case check.Float64:
		return fixed64Type
	}
	return bytesType
}

func tag(number uint32, typ uint64) uint64 { return uint64(number)<<3 | typ }

// head writes the bytes of a tag, as arguments of append.
func head(number uint32, typ uint64) string {
	var all []string
	for _, c := range binary.AppendUvarint(nil, tag(number, typ)) {
		all = append(all, fmt.Sprintf("%#02x", c))
	}
	return strings.Join(all, ", ")
}

// appendField writes the statements that append a field.
func (e *emitter) appendField(number uint32, v string, t *check.Type) {
	w := e.wire()
	h := head(number, wireType(t))
	size := len(strings.Split(h, ","))
	// message writes the element el, whose length is known when it is written.
	message := func(el *check.Type, v string) {
		e.p("b = %s.Sealed(%s, len(b)+%d)", w, e.appended(el, "append(b, "+h+", 0)", v), size+1)
	}
	switch t.Class {
	case check.Bool:
		e.p("if %s {\nb = append(b, %s, 1)\n}", v, h)
	case check.Int:
		e.p("if %s != 0 {\nb = %s.AppendVarint(append(b, %s), %s.ZigZag(%s))\n}", v, w, h, w, v)
	case check.Uint:
		e.p("if %s != 0 {\nb = %s.AppendVarint(append(b, %s), uint64(%s))\n}", v, w, h, v)
	case check.Float32:
		e.p("if x := %s.Bits32(%s); x != 0 {\nb = %s.Append32(append(b, %s), x)\n}", w, v, w, h)
	case check.Float64:
		e.p("if x := %s.Bits64(%s); x != 0 {\nb = %s.Append64(append(b, %s), x)\n}", w, v, w, h)
	case check.String, check.Bytes:
		e.p("if len(%s) > 0 {\nb = %s.AppendText(append(b, %s), %s)\n}", v, w, h, v)
	case check.ByteArray:
		e.p("if %s != (%s{}) {\nb = %s.AppendText(append(b, %s), %s[:])\n}", v, e.typ(t.Go), w, h, v)
	case check.Time:
		e.p("if !%s.IsZero() {\nb = %s.AppendMoment(append(b, %s), %s)\n}", v, w, h, v)
	case check.Ref:
		e.p("b = %s.Append(b, %d, %s)", e.ref(t), number, v)
	case check.Error:
		e.p("b = %s.AppendErrorField(b, %d, %s, %s)", w, number, v, e.tableName())
	case check.Proto:
		e.need(t)
		e.p("if %s != nil {\nb = %s.Sealed(marshal%s(append(b, %s, 0), %s), len(b)+%d)\n}", v, w, t.Name, h, v, size+1)
	case check.Struct:
		e.p("b = %s.SealedUnlessEmpty(%s, len(b), %d)", w, e.appended(t, "append(b, "+h+", 0)", v), size+1)
	case check.Pointer:
		e.p("if %s != nil {", v)
		message(t.Elem, "(*"+v+")")
		e.p("}")
	case check.Slice, check.Array:
		slice := v
		if t.Class == check.Array {
			slice += "[:]"
		}
		switch {
		case t.Elem.Class.Number():
			pack := fmt.Sprintf("b = %s.Sealed(%s.Pack%ss(append(b, %s, 0), %s), len(b)+%d)", w, w, verb(t.Elem), h, slice, size+1)
			if t.Class == check.Slice || t.Len == 0 {
				pack = fmt.Sprintf("if len(%s) > 0 {\n%s\n}", v, pack)
			}
			e.p("%s", pack)
		case t.Elem.Class == check.String:
			e.p("for _, x := range %s {\nb = %s.AppendText(append(b, %s), x)\n}", v, w, h)
		default:
			e.p("for i := range %s {", v)
			message(t.Elem, v+"[i]")
			e.p("}")
		}
	case check.Map:
		e.p("b = %s.AppendMap(b, %d, %s, %s, %s)", w, number, v, e.put(t.Key), e.put(t.Elem))
	}
}

// ready says whether a value of t that stands alone is encoded by package wire.
func ready(t *check.Type) bool { return t.Class.Scalar() || t.Class == check.Ref }

// appended returns an expression that appends v, a variable of type t, to b.
func (e *emitter) appended(t *check.Type, b, v string) string {
	if ready(t) {
		return e.put(t) + "(" + b + ", " + v + ")"
	}
	e.need(t)
	if t.Class == check.Struct {
		if strings.HasPrefix(v, "(*") {
			v = strings.TrimSuffix(strings.TrimPrefix(v, "(*"), ")")
		} else {
			v = "&" + v
		}
	}
	return "append" + t.Name + "(" + b + ", " + v + ")"
}

// put returns the function that appends a value of t that stands alone.
func (e *emitter) put(t *check.Type) string {
	if t.Class == check.Ref {
		return e.ref(t) + ".Put"
	}
	if t.Class.Scalar() {
		if t.Class == check.Time {
			return e.wire() + ".PutTime"
		}
		return fmt.Sprintf("%s.Put%s[%s]", e.wire(), verb(t), e.typ(t.Go))
	}
	e.need(t)
	if t.Class == check.Struct {
		return fmt.Sprintf("func(b []byte, v %s) []byte { return append%s(b, &v) }", e.typ(t.Go), t.Name)
	}
	return "append" + t.Name
}

// take returns the function that decodes a value of t that stands alone, within the function of in.
func (e *emitter) take(t, in *check.Type) string {
	if t.Class == check.Ref {
		return e.ref(t) + ".Take"
	}
	if t.Class.Scalar() {
		if t.Class == check.Time {
			return e.wire() + ".TakeTime"
		}
		return fmt.Sprintf("%s.Take%s[%s]", e.wire(), verb(t), e.typ(t.Go))
	}
	if t.Recursive && in.Recursive {
		e.need(t)
		return fmt.Sprintf("func(b []byte) (v %s, err error) { return v, read%s(b, &v, depth+1) }", e.typ(t.Go), t.Name)
	}
	return e.needDecode(t)
}

// read writes the statement that reads a value of t, which stands alone in the field at hand, into the variable v.
func (e *emitter) read(t, in *check.Type, v string) {
	if ready(t) {
		e.p("%s = %s.ReadMessage(&r, %s)", v, e.wire(), e.take(t, in))
		return
	}
	e.need(t)
	depth := ""
	switch {
	case t.Recursive && in.Recursive:
		depth = ", depth+1"
	case t.Recursive:
		depth = ", 0"
	}
	if strings.HasPrefix(v, "*") {
		v = v[1:]
	} else {
		v = "&" + v
	}
	e.p("r.Fail(read%s(r.Message(), %s%s))", t.Name, v, depth)
}

// readFunction writes readT. That of a recursive type counts how deep it is.
func (e *emitter) readFunction(t *check.Type, typ string, fields []part) {
	w := e.wire()
	names := e.declare("fieldsOf" + t.Name)
	e.p("var %s = %s.Fields{", names, w)
	for _, f := range fields {
		e.p("{%#02x, %q},", tag(f.number, wireType(f.typ)), f.path)
	}
	e.p("}\n")
	if t.Recursive {
		e.p("func read%s(b []byte, v *%s, depth int) error {", t.Name, typ)
		e.p("if err := %s.Deeper(depth); err != nil {\nreturn err\n}", w)
	} else {
		e.p("func read%s(b []byte, v *%s) error {", t.Name, typ)
	}
	var arrays []part
	for _, f := range fields {
		if f.typ.Class == check.Array {
			arrays = append(arrays, f)
			e.p("var a%d []%s", f.number, e.typ(f.typ.Elem.Go))
		}
	}
	e.p("r := %s.NewReader(b, %s)\nfor {\nswitch r.Next() {\ncase 0:", w, names)
	if len(arrays) == 0 {
		e.p("return r.Err()")
	} else {
		e.p("if err := r.Err(); err != nil {\nreturn err\n}")
		for i, f := range arrays {
			fill := fmt.Sprintf("%s.At(%q, %s.FillArray(%s[:], a%d))", w, f.path, w, deref(f.target), f.number)
			if i == len(arrays)-1 {
				e.p("return %s", fill)
			} else {
				e.p("if err := %s; err != nil {\nreturn err\n}", fill)
			}
		}
	}
	for _, f := range fields {
		e.p("case %#02x: // %s", tag(f.number, wireType(f.typ)), f.path)
		e.readField(f, t)
	}
	if t.Unknown != "" {
		e.p("default:\nv.%s.Keep(&r)\n}\n}\n}\n", t.Unknown)
		return
	}
	e.p("default:\nr.Skip()\n}\n}\n}\n")
}

// deref writes a variable so that an index may follow.
func deref(v string) string {
	if strings.HasPrefix(v, "*") {
		return "(" + v + ")"
	}
	return v
}

// readField writes the statements that read a field.
func (e *emitter) readField(f part, in *check.Type) {
	t, w, v := f.typ, e.wire(), f.target
	typ := func() string { return e.typ(t.Go) }
	switch t.Class {
	case check.Bool, check.Float32, check.Float64:
		e.p("%s = %s", v, converted(t, typ(), "r."+verb(t)+"()"))
	case check.Int, check.Uint:
		e.p("%s = %s.Read%s[%s](&r)", v, w, verb(t), typ())
	case check.String:
		e.p("%s = %s", v, converted(t, typ(), "r.Text()"))
	case check.Bytes:
		e.p("%s = r.Blob()", v)
	case check.ByteArray:
		e.p("r.ByteArray(%s[:])", deref(v))
	case check.Time:
		e.p("%s = r.Time()", v)
	case check.Ref:
		e.p("%s = %s.ReadMessage(&r, %s.Take)", v, w, e.ref(t))
	case check.Error:
		e.p("%s = %s.ReadError(&r, %s)", v, w, e.tableName())
	case check.Proto:
		e.need(t)
		e.p("%s = %s.ReadMessage(&r, unmarshal%s)", v, w, t.Name)
	case check.Struct:
		e.p("%s = %s{}", v, typ())
		e.read(t, in, v)
	case check.Pointer:
		e.p("%s = new(%s)", v, e.typ(t.Elem.Go))
		e.read(t.Elem, in, "*"+v)
	case check.Slice, check.Array:
		if t.Class == check.Array {
			v = fmt.Sprintf("a%d", f.number)
			e.p("if len(%s) >= %d {\nr.Refuse(%q)\nbreak\n}", v, t.Len, fmt.Sprintf("more than %d elements", t.Len))
		}
		switch {
		case t.Elem.Class.Number():
			e.p("%s = %s.Read%ss(&r, %s)", v, w, verb(t.Elem), v)
		case t.Elem.Class == check.String:
			e.p("%s = append(%s.Room(&r, %s), %s)", v, w, v, converted(t.Elem, e.typ(t.Elem.Go), "r.Text()"))
		default:
			e.p("%s = %s.More(&r, %s)", v, w, v)
			e.read(t.Elem, in, fmt.Sprintf("%s[len(%s)-1]", deref(v), v))
		}
	case check.Map:
		e.p("%s = %s.ReadMap(&r, %s, %s, %s)", v, w, v, e.take(t.Key, in), e.take(t.Elem, in))
	}
}

// converted writes a conversion to a type, unless it is that which package wire gives.
func converted(t *check.Type, typ, v string) string {
	if strings.ToLower(verb(t)) == typ {
		return v
	}
	return typ + "(" + v + ")"
}

// clone returns the function that copies a mutable t.
func (e *emitter) clone(t *check.Type) string {
	if t.Class == check.Bytes {
		return fmt.Sprintf("%s.CloneBytes[%s]", e.wire(), e.typ(t.Go))
	}
	e.need(t)
	return "clone" + t.Name
}

// cloned writes a copy of v. What has no function of its own is copied in place.
func (e *emitter) cloned(t *check.Type, v string) string {
	switch t.Class {
	case check.Slice, check.Map, check.Pointer:
		if !t.Recursive {
			return e.clonedInline(t, v)
		}
	}
	return e.clone(t) + "(" + v + ")"
}

func (e *emitter) clonedInline(t *check.Type, v string) string {
	elem := "nil"
	if t.Elem != nil && t.Elem.Mutable {
		elem = e.clone(t.Elem)
	}
	switch t.Class {
	case check.Slice:
		return fmt.Sprintf("%s.CloneSlice(%s, %s)", e.wire(), v, elem)
	case check.Map:
		return fmt.Sprintf("%s.CloneMap(%s, %s)", e.wire(), v, elem)
	case check.Pointer:
		return fmt.Sprintf("%s.ClonePointer(%s, %s)", e.wire(), v, elem)
	case check.Array:
		if t.Len == 0 { // the compiler cannot do with the assignment below
			return v
		}
		return fmt.Sprintf("func() (c %s) {\nfor i := range %s {\nc[i] = %s(%s[i])\n}\nreturn c\n}()", e.typ(t.Go), v, elem, v)
	case check.Bytes:
		return fmt.Sprintf("%s.CloneBytes(%s)", e.wire(), v)
	}
	return v
}
