package emit

import (
	"fmt"
	"go/types"
	"maps"
	"slices"

	"github.com/martinelli-go/martinelli/codegen/internal/check"
	"github.com/martinelli-go/martinelli/codegen/internal/load"
)

// reference writes how references to grains of i travel and parse.
func (e *emitter) reference(i *check.Interface) {
	ref, parse := e.declare("ref"+load.Upper(i.Name)), e.declare("Parse"+load.Upper(i.Name))
	e.p("var %s = %s.RefType[%s]{", ref, e.wire(), i.Name)
	e.p("Kind: %q,", i.Kind)
	e.p("Make: func(r %s.Ref) %s { return %s{r} },", e.wire(), i.Name, refName(i))
	if check := e.keyCheck(i.Key); check != "" {
		e.p("Check: func(key string) error {\n_, err := %s\nreturn err\n},", check)
	}
	e.p("}\n")
	e.p("// %s is the opposite of what a reference prints as: %q and the text of the key.", parse, i.Kind+"/")
	e.p("// It makes no call. The error is a *wire.RefError, which says what is wrong with the text.")
	e.p("func %s(c %s.Caller, text string) (%s, error) { return %s.Parse(c, text) }\n", parse, e.grains(), i.Name, ref)
	if load.Upper(i.Name) != i.Name {
		return
	}
	typ := e.declare(i.Name + "RefType")
	e.p("// %s is for the generated code of packages that pass references to %s on.", typ, i.Name)
	e.p("func %s() *%s.RefType[%s] { return &%s }\n", typ, e.wire(), i.Name, ref)
}

// keyCheck returns an expression that parses the text of a key, "" where every text is one.
func (e *emitter) keyCheck(k types.Type) string {
	switch u := k.Underlying().(type) {
	case *types.Basic:
		if u.Kind() == types.String {
			return ""
		}
		return e.wire() + ".ParseInt64Key(key)"
	case *types.Array:
		return e.wire() + ".ParseBytesKey(key)"
	}
	return e.keyCodec(k) + ".Parse(key)"
}

// ref returns the variable that says how references of type t travel.
func (e *emitter) ref(t *check.Type) string {
	n := types.Unalias(t.Go).(*types.Named)
	if n.Obj().Pkg() == e.m.Package.Types {
		return "ref" + load.Upper(n.Obj().Name())
	}
	if name := e.foreign[n]; name != "" {
		return name
	}
	name := "ref" + t.Name
	for i := 2; e.declared[name]; i++ {
		name = fmt.Sprintf("ref%s%d", t.Name, i)
	}
	e.foreign[n] = e.declare(name)
	return name
}

// foreignRefs writes the variables of ref for interfaces of other packages.
func (e *emitter) foreignRefs() {
	byName := map[string]*types.Named{}
	for n, name := range e.foreign {
		byName[name] = n
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		o := byName[name].Obj()
		e.p("var %s = %s.%sRefType()\n", name, e.use(o.Pkg().Path(), o.Pkg().Name()), o.Name())
	}
}

// bind returns the function that gives the references in a t an engine, "" where there are none.
func (e *emitter) bind(t *check.Type) string {
	if !t.HoldsRef() {
		return ""
	}
	if !e.binds[t] {
		e.binds[t] = true
		e.bindQueue = append(e.bindQueue, t)
		e.declare("bind" + t.Name)
	}
	return "bind" + t.Name
}

// binders writes the functions that were asked for.
func (e *emitter) binders() {
	for len(e.bindQueue) > 0 {
		t := e.bindQueue[0]
		e.bindQueue = e.bindQueue[1:]
		e.binder(t, e.typ(t.Go), false)
	}
}

// binder writes the function of one type. With args t is the struct of a method's arguments.
func (e *emitter) binder(t *check.Type, typ string, args bool) {
	e.p("func bind%s(e %s.Engine, v %s) %s {", t.Name, e.wire(), typ, typ)
	switch t.Class {
	case check.Ref:
		e.p("return %s.Bind(e, v)\n}\n", e.ref(t))
		return
	case check.Struct:
		for _, f := range t.Fields {
			if bind := e.bind(f.Type); bind != "" {
				name := "v." + goName(t, f, args)
				e.p("%s = %s(e, %s)", name, bind, name)
			}
		}
	case check.Pointer:
		e.p("if v != nil {\n*v = %s(e, *v)\n}", e.bind(t.Elem))
	case check.Slice, check.Array, check.Map:
		if t.Class == check.Array && t.Len == 0 {
			break
		}
		e.p("for i := range v {\nv[i] = %s(e, v[i])\n}", e.bind(t.Elem))
	}
	e.p("return v\n}\n")
}
