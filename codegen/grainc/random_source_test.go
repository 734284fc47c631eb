package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// randomPackage is a package that is being written.
type randomPackage struct {
	*world
	name  string
	names map[string]bool // that are declared, in upper case
	// decls are the declarations, whose order does not matter.
	decls   []string
	imports map[string]bool
	// types are the declared types that may be part of any other, keys those that are comparable too; with
	// references in them they are refs. later are structs that are declared after the one at hand.
	types, keys, refs, later []string
	ifaces, awkward          []randomInterface
	bases                    []string // grain interfaces that others embed
	sentinels, structs       []string // errors
	impls                    bool
}

type randomInterface struct {
	name, key string
	methods   []randomMethod
}

type randomMethod struct {
	name, result, stream string
	params               []string
}

// words make names: those of methods and interfaces, one after the other, are often ambiguous, and some are
// what generated code or its packages are called.
var words = []string{
	"User", "Role", "Add", "Item", "Line", "Key", "Map", "Of", "Error", "Wire", "Context", "Args", "Slice", "Int", "Time", "Bytes", "To", "String",
	"Number", "Method", "Call", "Of", "Empty", "Codec", "Pointer", "Kind",
}

// taken begin the names of what generated code declares.
var taken = []string{
	"append", "args", "bind", "clone", "codec", "decode", "encode", "error", "fields", "get", "interface", "key", "method", "parse", "read", "ref", "value",
}

func (p *randomPackage) pick(all ...string) string { return all[p.r.IntN(len(all))] }

func (p *randomPackage) word() string {
	n := p.pick(words...)
	for range p.r.IntN(3) {
		n += p.pick(words...)
	}
	return n
}

// newName declares a name; with private it may be one that is not exported.
func (p *randomPackage) newName(private bool) string {
	for {
		n := p.word()
		reserved := []string{"Ref", "RefType", "Methods"}
		if p.names[n] || slices.ContainsFunc(reserved, func(end string) bool { return strings.HasSuffix(n, end) }) || n == "Context" {
			continue
		}
		p.names[n] = true
		lower := strings.ToLower(n[:1]) + n[1:]
		if private && p.one(3) && len(n) > 6 && !slices.ContainsFunc(taken, func(begin string) bool { return strings.HasPrefix(lower, begin) }) {
			return lower
		}
		return n
	}
}

func (p *randomPackage) private() bool { return p != p.pkgs[0] }

func (p *randomPackage) declare(format string, args ...any) {
	p.decls = append(p.decls, fmt.Sprintf(format, args...))
}

// key is a type that can be the key of a map.
func (p *randomPackage) keyOf(depth int) string {
	switch n := p.r.IntN(10); {
	case n < 5 || depth > 3:
		return p.pick("string", "int", "int8", "uint16", "int64", "bool", "byte", "rune", "uint64", "[16]byte", "[3]byte", p.use("time")+".Duration")
	case n == 5:
		return fmt.Sprintf("[%d]%s", p.r.IntN(4), p.keyOf(depth+1))
	case len(p.keys) > 0:
		return p.pick(p.keys...)
	}
	return "string"
}

// use imports a package of the standard library or of the module.
func (p *randomPackage) use(path string) string {
	p.imports[path] = true
	return path[strings.LastIndexByte(path, '/')+1:]
}

const modulePath = "github.com/martinelli-go/martinelli/"

// any is a type that can be encoded; with refs it may hold references.
func (p *randomPackage) any(depth int, refs bool) string {
	if refs && p.one(6) {
		if ref := p.reference(); ref != "" {
			return ref
		}
	}
	named := p.types
	if refs && p.one(2) {
		named = append(slices.Clone(named), p.refs...)
	}
	switch n := p.r.IntN(24); {
	case n < 6 && len(named) > 0:
		return p.pick(named...)
	case n < 13 || depth > 3:
		return p.pick("string", "int", "bool", "uint8", "int16", "uint32", "int64", "float32", "float64", "error", "[]byte", "[5]byte", "uint", "[0]byte",
			p.use("time")+".Time", p.use("time")+".Duration", "string", "struct{}")
	case n < 16:
		return "[]" + p.behind(depth+1, refs)
	case n == 16:
		return fmt.Sprintf("[%d]%s", p.r.IntN(4), p.any(depth+1, refs))
	case n < 19:
		return "map[" + p.keyOf(depth) + "]" + p.behind(depth+1, refs)
	case n < 22:
		return "*" + p.behind(depth+1, refs)
	case n == 22:
		return "*" + p.use("google.golang.org/protobuf/types/known/durationpb") + ".Duration"
	}
	return fmt.Sprintf("Pair[%s, %s]", p.any(depth+1, refs), p.keyOf(depth))
}

// behind is any, or a struct that is declared later: what is behind a slice, a map or a pointer may be recursive.
func (p *randomPackage) behind(depth int, refs bool) string {
	if len(p.later) > 0 && p.one(3) {
		return p.pick(p.later...)
	}
	return p.any(depth, refs)
}

// reference is a grain interface, of this package or of the first.
func (p *randomPackage) reference() string {
	if base := p.pkgs[0]; p != base && p.one(3) {
		return p.use(p.path+"/"+base.name) + "." + p.pick(base.interfaces()...)
	}
	if all := p.interfaces(); len(all) > 0 {
		return p.pick(all...)
	}
	return ""
}

func (p *randomPackage) interfaces() (all []string) {
	for _, i := range p.ifaces {
		all = append(all, i.name)
	}
	return all
}

// foreign adds the types of the first package to those that may be used.
func (p *randomPackage) foreign() {
	base := p.pkgs[0]
	qualify := func(names []string) (all []string) {
		for _, n := range names {
			all = append(all, base.name+"."+n)
		}
		return all
	}
	p.use(p.path + "/" + base.name)
	p.types, p.keys, p.refs = qualify(base.types), qualify(base.keys), qualify(base.refs)
	p.declare("var _ %s.%s", base.name, base.ifaces[0].name)
}

// declareTypes declares named types of every kind.
func (p *randomPackage) declareTypes() {
	p.declare("// Pair is generic.\ntype Pair[A, B any] struct {\n\tOne A\n\tOther B\n\tMany []A\n}")
	for range 4 {
		n := p.newName(p.private())
		p.declare("type %s %s", n, p.pick("string", "int64", "[16]byte", "int8", "bool", "uint32", "[4]byte"))
		p.keys, p.types = append(p.keys, n), append(p.types, n)
	}
	for range 3 {
		n := p.newName(p.private())
		var fields []string
		for f := range 1 + p.r.IntN(3) {
			fields = append(fields, fmt.Sprintf("\t%s%d %s", p.pick(words...), f, p.keyOf(1)))
		}
		p.declare("type %s struct {\n%s\n}", n, strings.Join(fields, "\n"))
		p.keys, p.types = append(p.keys, n), append(p.types, n)
	}
	for range 6 {
		n := p.newName(p.private())
		switch p.r.IntN(5) {
		case 0:
			p.declare("type %s = %s", n, p.any(1, false))
		case 1:
			p.declare("type %s []%s", n, p.pick(n, p.any(1, false)))
		case 2:
			p.declare("type %s map[%s]%s", n, p.keyOf(1), p.pick(n, p.any(1, false)))
		case 3:
			p.declare("type %s *%s", n, p.any(1, false))
		default:
			p.declare("type %s %s", n, p.pick("[]byte", "float64", "[2]"+p.any(1, false), "[]float32", "uint"))
		}
		p.types = append(p.types, n)
	}
	p.declareStructs(6, false)
	for range 1 + p.r.IntN(3) {
		n := "Err" + p.newName(false)
		p.declare("// %s is known.\nvar %s = %s.New(%q)", n, n, p.use("errors"), n)
		p.sentinels = append(p.sentinels, n)
	}
	for range 2 {
		n := p.newName(false)
		p.declare("type %s struct {\n%s}", n, p.fields(n, 1+p.r.IntN(3), false))
		if p.one(2) {
			p.declare("func (%s) Error() string { return %q }", n, n)
			p.structs = append(p.structs, n+"{}")
		} else {
			p.declare("func (*%s) Error() string { return %q }", n, n)
		}
		p.structs = append(p.structs, "&"+n+"{}")
	}
}

// declareStructs declares structs that may contain each other, and themselves.
func (p *randomPackage) declareStructs(count int, refs bool) {
	for range count {
		p.later = append(p.later, p.newName(p.private()))
	}
	for len(p.later) > 0 {
		n := p.later[0]
		text := p.fields(n, 1+p.r.IntN(6), refs)
		if names := p.types; p.one(4) && len(names) > 0 {
			if e := p.pick(names...); unicode.IsUpper(rune(e[0])) && !strings.Contains(text, "\t"+e+" ") && p.embeddable(e) {
				text += "\t" + e + "\n"
			}
		}
		if p.one(4) {
			text += p.pick("\t", "\tRest ") + p.use(modulePath+"grains") + ".Unknown\n"
		}
		p.declare("type %s struct {\n%s}", n, text)
		p.later = p.later[1:]
		if refs {
			p.refs = append(p.refs, n)
		} else {
			p.types = append(p.types, n)
		}
	}
}

// embeddable says whether a struct may embed a type: no alias, no pointer.
func (p *randomPackage) embeddable(name string) bool {
	return slices.ContainsFunc(p.decls, func(d string) bool { return strings.HasPrefix(d, "type "+name+" struct") })
}

func (p *randomPackage) fields(of string, n int, refs bool) string {
	var b strings.Builder
	for f := range n {
		fmt.Fprintf(&b, "\t%s%d %s\n", p.pick(words...), f, p.any(1, refs))
	}
	if p.one(3) && len(p.later) > 0 {
		fmt.Fprintf(&b, "\tSelf %s\n", p.pick("*", "[]", "map[string]", "map[int]*", "[][]", "**", "[2]*")+of)
	}
	return b.String()
}

// declareInterfaces declares grain interfaces with all that they may have.
func (p *randomPackage) declareInterfaces(count int) {
	for range count {
		n := p.newName(false)
		if p.private() && p.one(10) && p.impls && len(n) > 6 && !slices.ContainsFunc(taken, func(t string) bool { return strings.HasPrefix(strings.ToLower(n), t) }) {
			n = strings.ToLower(n[:1]) + n[1:]
		}
		key := p.pick("string", "int64", "[16]byte")
		if p.one(2) {
			key = p.declareKey()
		}
		p.ifaces = append(p.ifaces, randomInterface{name: n, key: key})
	}
	p.declareStructs(4, true)
	for n := range p.ifaces {
		p.declareInterface(&p.ifaces[n])
		if p.impls {
			p.implement(p.ifaces[n])
		}
	}
	p.ifaces = append(p.ifaces, p.awkward...)
}

// declareAwkward declares what once was generated as code that does not compile.
func (p *randomPackage) declareAwkward() {
	p.use("context")
	p.use(modulePath + "grains")
	p.declare("type ArgsGuestBookSign struct { N int }")
	p.names["ArgsGuestBookSign"], p.types = true, append(p.types, "ArgsGuestBookSign")
	for _, i := range []randomInterface{
		{"Guest", "string", []randomMethod{
			{"BookSign", "ArgsGuestBookSign", "", []string{"int", "string"}}, // methodGuestBookSign, and so is the next
			{"Ref", "", "", []string{"Guest", "*Guest"}},                     // which is also what a stub embeds
		}},
		{"GuestBook", "int64", []randomMethod{
			{"Sign", "", "", []string{"[0]Guest", "[0][]byte"}}, // of which no element is assigned
			{"Ref", "", "int", nil}, {"String", "string", "", nil},
		}},
		{"ArgsGuest", "string", nil}, // whose stub is argsGuestRef, as are the arguments of Guest.Ref
	} {
		p.names[i.name] = true
		text := ""
		for _, m := range i.methods {
			text += m.declaration(p)
		}
		p.declare("type %s interface {\n\tgrains.Keyed[%s]\n%s}", i.name, i.key, text)
		p.implement(i)
		p.awkward = append(p.awkward, i)
	}
}

// declareKey declares a type that can be the key of a grain.
func (p *randomPackage) declareKey() string {
	n := p.newName(p.private())
	if p.one(2) {
		p.declare("type %s %s", n, p.pick("string", "int64", "[16]byte"))
		return n
	}
	text := "\tA string\n"
	for f := range p.r.IntN(3) {
		text += fmt.Sprintf("\tB%d %s\n", f, p.pick("string", "int64", "[16]byte"))
	}
	p.declare("type %s struct { // of a key, which never grows\n%s}", n, text)
	return n
}

func (p *randomPackage) declareInterface(i *randomInterface) {
	p.use("context")
	head, used := "", map[string]bool{}
	if p.one(4) {
		head += fmt.Sprintf("//grain:version %d\n", 1+p.r.IntN(9))
	}
	if p.one(4) {
		head += "//grain:reentrant\n"
	}
	keyed := p.use(modulePath+"grains") + ".Keyed[" + i.key + "]"
	switch p.r.IntN(8) {
	case 0: // another grain interface is embedded
		base := p.newName(false)
		m := p.method(used)
		i.methods = append(i.methods, m)
		p.declare("type %s interface {\n\t%s\n%s}", base, keyed, m.declaration(p))
		p.bases = append(p.bases, base)
		keyed = base
	case 1:
		base := p.newName(p.private())
		m := p.method(used)
		i.methods = append(i.methods, m)
		p.declare("type %s interface {\n%s}", base, m.declaration(p))
		keyed += "\n\t" + base
	}
	text := ""
	for range p.r.IntN(5) {
		m := p.method(used)
		i.methods = append(i.methods, m)
		text += m.declaration(p)
	}
	p.declare("// %s is a grain.\n//\n%stype %s interface {\n\t%s\n%s}", i.name, head, i.name, keyed, text)
}

func (p *randomPackage) method(used map[string]bool) (m randomMethod) {
	for p.one(40) {
		m.name = "Ref" // as what a stub embeds
	}
	for m.name == "" || used[m.name] || m.name == "Key" || m.name == "GrainID" || m.name == "String" {
		m.name = p.word()
	}
	used[m.name] = true
	for range p.r.IntN(5) {
		m.params = append(m.params, p.any(0, true))
	}
	switch p.r.IntN(4) {
	case 0:
		m.stream = p.any(0, true)
	case 1, 2:
		m.result = p.any(0, true)
	}
	return m
}

// declaration is the method in an interface, with directives.
func (m randomMethod) declaration(p *randomPackage) string {
	text := ""
	oneway := m.result == "" && m.stream == "" && p.one(3)
	for _, word := range []string{"readonly", "reentrant", "idempotent", "oneway"} {
		if word == "oneway" && oneway || word != "oneway" && p.one(4) && !(oneway && (word == "readonly" || word == "idempotent")) {
			text += "\t//grain:" + word + "\n"
		}
	}
	return text + "\t" + m.signature(p, p.r.IntN(3) == 0) + "\n"
}

// signature is the method in an interface. A parameter may have no name, or that of something that generated code
// uses.
func (m randomMethod) signature(p *randomPackage, blank bool) string {
	params := []string{"ctx " + p.use("context") + ".Context"}
	names := []string{"wire", "b", "args", "err"}
	for n, typ := range m.params {
		name := names[n]
		if blank {
			name = "_"
		}
		params = append(params, name+" "+typ)
	}
	return m.name + "(" + strings.Join(params, ", ") + ") " + m.results(p)
}

func (m randomMethod) results(p *randomPackage) string {
	switch {
	case m.stream != "":
		return p.use("iter") + ".Seq2[" + m.stream + ", error]"
	case m.result != "":
		return "(" + m.result + ", error)"
	}
	return "error"
}

// implement declares an implementation whose methods tell the test what they get.
func (p *randomPackage) implement(i randomInterface) {
	n := "the" + p.newName(false)
	text := ""
	if p.one(3) {
		text = fmt.Sprintf("\tstate %s.State[%s]\n", p.use(modulePath+"txn"), p.any(1, false))
	}
	idle := ""
	if p.one(3) {
		idle = p.pick("//grain:idle 5m\n", "//grain:idle 1h30m\n", "//grain:idle 1s\n")
	}
	p.declare("%stype %s struct {\n\tgrains.Implements[%s]\n%s}", idle, n, i.name, text)
	trip := p.use(modulePath + "codegen/internal/roundtrip")
	for _, m := range i.methods {
		params, args := []string{"ctx " + p.use("context") + ".Context"}, []string{"ctx", fmt.Sprintf("%q", m.name), "g.Key()"}
		for k, typ := range m.params {
			params, args = append(params, fmt.Sprintf("x%d %s", k, typ)), append(args, fmt.Sprintf("x%d", k))
		}
		body := "Do"
		if m.stream != "" {
			body = "Stream[" + m.stream + "]"
		} else if m.result != "" {
			body = "Give[" + m.result + "]"
		}
		p.declare("func (g *%s) %s(%s) %s { return %s.%s(%s) }", n, m.name, strings.Join(params, ", "), m.results(p), trip, body, strings.Join(args, ", "))
	}
}
