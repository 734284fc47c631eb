package emit

import (
	"fmt"
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/check"
)

// need notes that t needs the functions appendT, decodeT and, if it is mutable, cloneT.
func (e *emitter) need(t *check.Type) {
	if e.functions[t] {
		return
	}
	e.functions[t] = true
	e.queue = append(e.queue, t)
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
		case check.Ref:
			e.refFunctions(t)
		default:
			e.valueFunctions(t)
		}
	}
}

// structFunctions writes the functions of a struct. With codec it returns an expression for its codec.
func (e *emitter) structFunctions(t *check.Type, typ string, codec bool) string {
	e.p("func append%s(b []byte, v %s) []byte {", e.declareFuncs(t), typ)
	for _, f := range t.Fields {
		e.appendField(f.Number, "v."+goName(t, f, codec), f.Type)
	}
	e.p("return b\n}\n")
	e.decodeFunction(t, typ, fieldsOf(t, codec))
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
	clone := ""
	if t.Mutable {
		clone = ", Clone: clone" + t.Name
	}
	return fmt.Sprintf("%s.Codec[%s]{Append: append%s, Decode: decode%s%s}", e.wire(), typ, t.Name, t.Name, clone)
}

func (e *emitter) declareFuncs(t *check.Type) string {
	e.declare("append" + t.Name)
	e.declare("decode" + t.Name)
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
	e.decodeFunction(t, typ, []part{{1, "v", t.Name, t}})
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
	e.decodeFunction(t, typ, []part{{1, "v", name, t}})
	e.p("func clone%s(v %s) %s {\nif v == nil {\nreturn nil\n}\nreturn %s.CloneOf(v)\n}\n", name, typ, typ, proto)
}

// appendField writes the statement that appends a field.
func (e *emitter) appendField(number uint32, v string, t *check.Type) {
	w := e.wire()
	set := func(format string, args ...any) { e.p("b = "+w+"."+format, args...) }
	switch t.Class {
	case check.ByteArray:
		set("AppendByteArray(b, %d, %s[:])", number, v)
	case check.Ref:
		e.p("b = %s.Append(b, %d, %s)", e.ref(t), number, v)
	case check.Error:
		set("AppendErrorField(b, %d, %s, %s)", number, v, e.tableName())
	case check.Proto:
		e.need(t)
		e.p("if %s != nil {", v)
		set("AppendElement(b, %d, %s, marshal%s)\n}", number, v, t.Name)
	case check.Struct:
		set("AppendMessage(b, %d, %s, %s)", number, v, e.put(t))
	case check.Pointer:
		set("AppendPointer(b, %d, %s, %s)", number, v, e.put(t.Elem))
	case check.Slice, check.Array:
		if t.Class == check.Array {
			v += "[:]"
		}
		switch {
		case t.Elem.Class.Number():
			set("Append%ss(b, %d, %s)", verb(t.Elem), number, v)
		case t.Elem.Class == check.String:
			set("AppendStrings(b, %d, %s)", number, v)
		default:
			set("AppendRepeated(b, %d, %s, %s)", number, v, e.put(t.Elem))
		}
	case check.Map:
		set("AppendMap(b, %d, %s, %s, %s)", number, v, e.put(t.Key), e.put(t.Elem))
	default:
		set("Append%s(b, %d, %s)", verb(t), number, v)
	}
}

// put returns the function that appends a value of t that stands alone.
func (e *emitter) put(t *check.Type) string {
	if t.Class.Scalar() {
		if t.Class == check.Time {
			return e.wire() + ".PutTime"
		}
		return fmt.Sprintf("%s.Put%s[%s]", e.wire(), verb(t), e.typ(t.Go))
	}
	e.need(t)
	return "append" + t.Name
}

// take returns the function that decodes a value of t that stands alone, within the function of in.
func (e *emitter) take(t, in *check.Type) string {
	if t.Class.Scalar() {
		if t.Class == check.Time {
			return e.wire() + ".TakeTime"
		}
		return fmt.Sprintf("%s.Take%s[%s]", e.wire(), verb(t), e.typ(t.Go))
	}
	e.need(t)
	if t.Recursive && in.Recursive {
		return fmt.Sprintf("func(b []byte) (%s, error) { return decode%sAt(b, depth+1) }", e.typ(t.Go), t.Name)
	}
	return "decode" + t.Name
}

// decodeFunction writes decodeT. That of a recursive type counts how deep it is.
func (e *emitter) decodeFunction(t *check.Type, typ string, fields []part) {
	if t.Recursive {
		e.declare("decode" + t.Name + "At")
		e.p("func decode%s(b []byte) (%s, error) { return decode%sAt(b, 0) }\n", t.Name, typ, t.Name)
		e.p("func decode%sAt(b []byte, depth int) (v %s, err error) {", t.Name, typ)
		e.p("if err := %s.Deeper(depth); err != nil {\nreturn v, err\n}", e.wire())
	} else {
		e.p("func decode%s(b []byte) (v %s, err error) {", t.Name, typ)
	}
	if len(fields) == 0 {
		e.p("return v, %s.EachField(b, func(%s.Field) error { return nil })\n}\n", e.wire(), e.wire())
		return
	}
	for _, f := range fields {
		if f.typ.Class == check.Array {
			e.p("var a%d []%s", f.number, e.typ(f.typ.Elem.Go))
		}
	}
	e.p("err = %s.EachField(b, func(f %s.Field) (err error) {\nswitch f.Number {", e.wire(), e.wire())
	for _, f := range fields {
		e.p("case %d:", f.number)
		e.decodeField(f, t)
	}
	e.p("}\nreturn err\n})")
	for _, f := range fields {
		if f.typ.Class == check.Array {
			e.p("if err == nil {\nerr = %s.At(%q, %s.FillArray(%s[:], a%d))\n}", e.wire(), f.path, e.wire(), f.target, f.number)
		}
	}
	// A value that was decoded in part is not given away.
	e.p("if err != nil {\nvar none %s\nreturn none, err\n}\nreturn v, nil\n}\n", typ)
}

// decodeField writes the statements that read a field.
func (e *emitter) decodeField(f part, in *check.Type) {
	t, w := f.typ, e.wire()
	target := "&" + f.target
	switch t.Class {
	case check.ByteArray:
		e.p("err = %s.At(%q, %s.DecodeByteArray(f, %s[:]))", w, f.path, w, f.target)
	case check.Error:
		e.p("err = %s.At(%q, %s.DecodeErrorField(f, %s, %s))", w, f.path, w, target, e.tableName())
	case check.Slice, check.Array:
		if t.Class == check.Array {
			target = fmt.Sprintf("&a%d", f.number)
			e.p("if len(a%d) >= %d {\nreturn %s.At(%q, f.Errorf(%q))\n}", f.number, t.Len, w, f.path, fmt.Sprintf("more than %d elements", t.Len))
		}
		call := fmt.Sprintf("DecodeRepeated(f, %s, %s)", target, "%s")
		switch {
		case t.Elem.Class.Number():
			call = fmt.Sprintf("Decode%ss(f, %s)", verb(t.Elem), target)
		case t.Elem.Class == check.String:
			call = fmt.Sprintf("DecodeStrings(f, %s)", target)
		default:
			call = fmt.Sprintf(call, e.take(t.Elem, in))
		}
		e.p("err = %s.At(%q, %s.%s)", w, f.path, w, call)
	case check.Map:
		e.p("err = %s.At(%q, %s.DecodeMap(f, %s, %s, %s))", w, f.path, w, target, e.take(t.Key, in), e.take(t.Elem, in))
	default:
		call := ""
		switch t.Class {
		case check.Proto:
			e.need(t)
			call = fmt.Sprintf("DecodeMessage(f, unmarshal%s)", t.Name)
		case check.Struct:
			call = fmt.Sprintf("DecodeMessage(f, %s)", e.take(t, in))
		case check.Pointer:
			call = fmt.Sprintf("DecodePointer(f, %s)", e.take(t.Elem, in))
		case check.Time:
			call = "DecodeTime(f)"
		case check.Ref:
			e.p("if %s, err = %s.Decode(f); err != nil {\nreturn %s.At(%q, err)\n}", f.target, e.ref(t), w, f.path)
			return
		default:
			call = fmt.Sprintf("Decode%s[%s](f)", verb(t), e.typ(t.Go))
		}
		e.p("if %s, err = %s.%s; err != nil {\nreturn %s.At(%q, err)\n}", f.target, w, call, w, f.path)
	}
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
		return fmt.Sprintf("func() (c %s) {\nfor i := range %s {\nc[i] = %s(%s[i])\n}\nreturn c\n}()", e.typ(t.Go), v, elem, v)
	case check.Bytes:
		return fmt.Sprintf("%s.CloneBytes(%s)", e.wire(), v)
	}
	return v
}
