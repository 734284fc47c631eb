package emit

import (
	"fmt"
	"go/types"
	"slices"
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/check"
	"github.com/martinelli-go/martinelli/codegen/internal/load"
)

// lists writes the functions Grains and Shared.
func (e *emitter) lists() {
	if !e.m.Lists() {
		return
	}
	names := e.depNames()
	var params []string
	for n, d := range e.m.Deps {
		params = append(params, names[n]+" "+e.typ(d.Type))
	}
	e.declare("Grains")
	e.p("// Grains returns everything in this package that a silo hosts.")
	e.p("func Grains(%s) []%s.Kind {", strings.Join(params, ", "), e.grains())
	if len(e.m.Impls) == 0 && len(e.m.Rules) == 0 {
		e.p("return Shared()\n}\n")
	} else {
		e.p("return append(Shared(),")
		for _, i := range e.m.Impls {
			e.kind(i, names)
		}
		for _, r := range e.m.Rules {
			e.p("%s.Kind(),", r.Name)
		}
		e.p(")\n}\n")
	}
	e.declare("Shared")
	e.p("// Shared returns its variables and operators: what clients need of it.")
	e.p("func Shared() []%s.Kind {", e.grains())
	if len(e.m.Variables) == 0 && len(e.m.Nodes) == 0 {
		e.p("return nil\n}\n")
		return
	}
	e.p("return []%s.Kind{", e.grains())
	for _, v := range e.m.Variables {
		args := []string{v.Name}
		for _, c := range v.Codecs {
			args = append(args, e.codec(c))
		}
		for _, l := range v.Lattices {
			args = append(args, e.latticeCodec(l))
		}
		e.p("%s.%s(%s),", e.use(varPath, "variable"), v.Func, strings.Join(args, ", "))
	}
	for _, n := range e.m.Nodes {
		e.p("%s.NewNode(%s, %s, %#016x),", e.wire(), n.Name, e.codec(n.Elem), n.Fingerprint)
	}
	e.p("}\n}\n")
}

// depNames gives the parameters of Grains names that hide nothing.
func (e *emitter) depNames() []string {
	for _, d := range e.m.Deps {
		e.typ(d.Type) // so that all imports have their names
	}
	var names []string
	for _, d := range e.m.Deps {
		name := d.Name
		for e.taken[name] || e.m.Package.Types.Scope().Lookup(name) != nil || reserved[name] || slices.Contains(names, name) ||
			name == "wire" || name == "grains" || name == "variable" || name == "flow" {
			name += "_"
		}
		names = append(names, name)
	}
	return names
}

// kind writes how a silo makes and calls an implementation.
func (e *emitter) kind(i *check.Impl, names []string) {
	options := ""
	if i.IdleAfter > 0 {
		options = fmt.Sprintf("IdleAfter: %d /* %v */", i.IdleAfter, i.IdleAfter)
	}
	e.p("%s.NewKind(%q, %s.KindOptions{%s}, func(at *%s.Grain) *%s {", e.wire(), i.Kind, e.wire(), options, e.wire(), i.Name)
	if i.Constructor == nil {
		e.p("impl := new(%s)", i.Name)
	} else {
		var args []string
		for v := range i.Constructor.Signature().Params().Variables() {
			n := slices.IndexFunc(e.m.Deps, func(d load.Dependency) bool {
				return d.Name == v.Name() && types.Identical(d.Type, v.Type())
			})
			args = append(args, names[n])
		}
		e.p("impl := %s(%s)", i.Constructor.Name(), strings.Join(args, ", "))
	}
	for _, s := range i.States {
		e.p("%s.Bind(at, %d, %q, &impl.%s, %s)", e.wire(), s.Number, s.Name, s.Name, e.codec(s.Type))
	}
	e.p("return impl")
	if i.Local != nil {
		e.p("}, %s),", e.handlers(i.Local))
		return
	}
	of := types.Unalias(i.Iface).(*types.Named).Obj()
	e.p("}, %s.%sMethods()...),", e.use(of.Pkg().Path(), of.Pkg().Name()), of.Name())
}

// errors writes the table of errors.
func (e *emitter) errors() {
	if len(e.m.Errors) == 0 {
		return
	}
	e.declare("errorTable")
	e.errorTable("errorTable", func(*check.ErrorDef) bool { return true })
}

func (e *emitter) errorTable(name string, keep func(*check.ErrorDef) bool) {
	e.p("var %s = &%s.ErrorTable{Package: %q, Errors: []%s.ErrorEntry{", name, e.wire(), e.m.Package.Path, e.wire())
	for _, d := range e.m.Errors {
		switch {
		case !keep(d):
		case d.Type == nil:
			e.p("%s.Sentinel(%d, %s),", e.wire(), d.Number, d.Name)
		default:
			e.p("%s.ErrorStruct(%d, %s),", e.wire(), d.Number, e.codec(d.Type))
		}
	}
	e.p("}}\n")
}

// valueTable writes the table for errors inside values. It leaves out the structs that hold errors
// themselves: their encoders refer to the table, so it cannot refer to them.
func (e *emitter) valueTable() {
	e.declare("valueErrorTable")
	e.p("// valueErrorTable is that of errors inside values.")
	e.errorTable("valueErrorTable", func(d *check.ErrorDef) bool { return d.Type == nil || !holdsError(d.Type, map[*check.Type]bool{}) })
}

func holdsError(t *check.Type, seen map[*check.Type]bool) bool {
	if t == nil || seen[t] {
		return false
	}
	seen[t] = true
	if t.Class == check.Error || holdsError(t.Elem, seen) || holdsError(t.Key, seen) {
		return true
	}
	for _, f := range t.Fields {
		if holdsError(f.Type, seen) {
			return true
		}
	}
	return false
}

// tableName is what encoders of errors refer to.
func (e *emitter) tableName() string {
	if len(e.m.Errors) == 0 {
		return "nil"
	}
	e.valueErrors = true
	return "valueErrorTable"
}

// codec returns an expression for the codec of t.
func (e *emitter) codec(t *check.Type) string {
	name := "codec" + t.Name
	if _, ok := e.codecs[name]; !ok {
		e.codecs[name] = t
		e.declare(name)
		switch {
		case t.Class == check.Entry || t.Class == check.Pair:
			e.codec(t.Key)
			e.codec(t.Elem)
		case !ready(t):
			e.needEncode(t)
			e.needDecode(t)
		}
	}
	return name
}

// codecVariables writes the variables that hold codecs.
func (e *emitter) codecVariables() {
	if len(e.codecs) == 0 {
		return
	}
	var names []string
	for name := range e.codecs {
		names = append(names, name)
	}
	slices.Sort(names)
	e.p("var (")
	for _, name := range names {
		t := e.codecs[name]
		e.p("%s = %s", name, e.codecValue(t))
	}
	e.p(")\n")
}

func (e *emitter) codecValue(t *check.Type) string {
	switch {
	case t.Class == check.Entry || t.Class == check.Pair:
		f := "EntryCodec"
		if t.Class == check.Pair {
			f = "PairCodec"
		}
		return fmt.Sprintf("%s.%s(%s, %s)", e.use(flowPath, "flow"), f, e.codec(t.Key), e.codec(t.Elem))
	case t.Class == check.Ref:
		return e.ref(t) + ".Codec()"
	case t.Class == check.Time:
		return e.wire() + ".TimeCodec()"
	case t.Class.Scalar():
		return fmt.Sprintf("%s.%sCodec[%s]()", e.wire(), verb(t), e.typ(t.Go))
	}
	clone := ""
	if t.Mutable {
		clone = ", Clone: " + e.clone(t)
	}
	return fmt.Sprintf("%s.Codec[%s]{Append: encode%s, Decode: decode%s%s}", e.wire(), e.typ(t.Go), t.Name, t.Name, clone)
}

// verb is the part of the names of package wire's functions that says the class of a scalar.
func verb(t *check.Type) string {
	return map[check.Class]string{
		check.Bool: "Bool", check.Int: "Int", check.Uint: "Uint", check.Float32: "Float32", check.Float64: "Float64",
		check.String: "String", check.Bytes: "Bytes", check.Time: "Time",
	}[t.Class]
}
