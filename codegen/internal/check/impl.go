package check

import (
	"fmt"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/load"
)

// impl reads one implementation.
func (c *checker) impl(t *types.TypeName) {
	iface, ok := load.Implemented(t.Type())
	c.misplacedImplements(t)
	if !ok {
		return
	}
	if ptr, pointer := types.Unalias(iface).(*types.Pointer); pointer {
		if _, grain := load.KeyOf(ptr.Elem()); grain {
			c.report(t.Pos(), "%s embeds grains.Implements[%s], of a pointer: write grains.Implements[%s]", t.Name(), c.show(iface), c.show(ptr.Elem()))
			return
		}
	}
	named := t.Type().(*types.Named)
	if named.TypeParams().Len() > 0 {
		c.report(t.Pos(), "%s implements a grain and is generic: declare a struct for each instance", t.Name())
		return
	}
	key, ok := load.KeyOf(iface)
	if !ok {
		c.report(t.Pos(), "%s embeds grains.Implements[%s], which is no grain interface: embed grains.Keyed[K] in %s", t.Name(), c.show(iface), c.show(iface))
		return
	}
	of, ok := types.Unalias(iface).(*types.Named)
	if !ok || of.TypeArgs().Len() > 0 {
		c.report(t.Pos(), "%s implements %s: declare that interface under a name of its own, without type parameters", t.Name(), c.show(iface))
		return
	}
	m := &Impl{
		Name: t.Name(), Pos: t.Pos(), Iface: iface, Key: key, Constructor: load.Constructor(t),
		Kind: load.Prefix(of.Obj().Pkg()) + "." + of.Obj().Name(), IdleAfter: c.idle(t.Pos()),
	}
	for _, i := range c.m.Interfaces {
		if i.Type == of {
			m.Local = i
		}
	}
	if m.Local == nil && !of.Obj().Exported() {
		c.report(t.Pos(), "%s implements %s of another package, which is not exported: export it there", t.Name(), c.show(iface))
	}
	for _, other := range c.m.Impls {
		if types.Identical(other.Iface, iface) {
			c.report(t.Pos(), "%s is implemented twice, by %s and by %s: a silo could not choose; remove one or move it to another package", c.show(iface), other.Name, t.Name())
			return
		}
	}
	c.lacking(t, of)
	c.ownKey(t, named, of)
	c.lifecycle(t, of)
	c.handsOver(t, of)
	c.states(m, named.Underlying().(*types.Struct))
	c.m.Impls = append(c.m.Impls, m)
}

// lacking reports each method of the interface that the implementation does not have.
func (c *checker) lacking(t *types.TypeName, of *types.Named) {
	ptr := types.NewPointer(t.Type())
	for _, f := range c.methods(of) {
		o, _, _ := types.LookupFieldOrMethod(ptr, false, f.Pkg(), f.Name())
		have, ok := o.(*types.Func)
		want := fmt.Sprintf("func (*%s) %s%s", t.Name(), f.Name(), strings.TrimPrefix(c.show(f.Signature()), "func"))
		switch {
		case !ok:
			c.report(t.Pos(), "%s lacks method %s of %s: add %s", t.Name(), f.Name(), c.show(of), want)
		case !types.Identical(have.Signature(), f.Signature()):
			pos := have.Pos()
			if have.Pkg() != c.p.Types {
				pos = t.Pos()
			}
			c.report(pos, "method %s of %s does not fit %s: it should be %s", f.Name(), t.Name(), c.show(of), want)
		}
	}
}

// ownKey reports what has the name of the method Key, which is written for each implementation.
func (c *checker) ownKey(t *types.TypeName, named *types.Named, of *types.Named) {
	if o, _, _ := types.LookupFieldOrMethod(of, false, c.p.Types, "Key"); o != nil {
		return // which is reported where the interface is
	}
	const reason = "has the name of the method Key, which grainc writes for it and which returns the key of the grain"
	for m := range named.Methods() {
		if m.Name() == "Key" && !c.isGenerated(m.Pos()) {
			c.report(m.Pos(), "method Key of %s %s: remove it, or rename it", t.Name(), reason)
		}
	}
	for f := range named.Underlying().(*types.Struct).Fields() {
		if f.Name() == "Key" {
			c.report(f.Pos(), "field Key of %s %s: rename it", t.Name(), reason)
		}
	}
}

func (c *checker) isGenerated(pos token.Pos) bool {
	return filepath.Base(c.program.Fset.Position(pos).Filename) == load.GeneratedFile
}

// states reads the fields of transactional state.
func (c *checker) states(m *Impl, s *types.Struct) {
	for f := range s.Fields() {
		args, ok := load.Is(f.Type(), txnPath, "State")
		if !ok {
			if holdsState(f.Type(), map[types.Type]bool{}) {
				c.report(f.Pos(), "field %s of %s holds a txn.State inside of another type, where no silo would find it: make the txn.State a field of %s itself", f.Name(), m.Name, m.Name)
			}
			continue
		}
		if f.Embedded() || f.Name() == "_" {
			c.report(f.Pos(), "the txn.State of %s has no name of its own: give the field a name", m.Name)
			continue
		}
		t := c.stored(f.Pos(), "the state "+f.Name()+" of "+m.Name, args[0])
		m.States = append(m.States, &State{Name: f.Name(), Was: c.notes.was(f.Pos()), Pos: f.Pos(), Type: t})
	}
}

func holdsState(t types.Type, seen map[types.Type]bool) bool {
	t = types.Unalias(t)
	if _, ok := load.Is(t, txnPath, "State"); ok {
		return true
	}
	if seen[t] {
		return false
	}
	seen[t] = true
	switch u := t.Underlying().(type) {
	case *types.Pointer:
		return holdsState(u.Elem(), seen)
	case *types.Slice:
		return holdsState(u.Elem(), seen)
	case *types.Array:
		return holdsState(u.Elem(), seen)
	case *types.Map:
		return holdsState(u.Elem(), seen)
	case *types.Struct:
		if n, ok := t.(*types.Named); ok && n.Obj().Pkg() != nil {
			if _, grain := load.Is(t, grainsPath, "Implements"); grain {
				return false
			}
		}
		for f := range u.Fields() {
			if holdsState(f.Type(), seen) {
				return true
			}
		}
	}
	return false
}

// constructors reads the functions that make implementations.
func (c *checker) constructors() {
	var all []*types.Func
	for _, m := range c.m.Impls {
		f := m.Constructor
		want := types.NewPointer(c.p.Types.Scope().Lookup(m.Name).Type())
		if f == nil {
			c.exportedConstructor(m, want)
			continue
		}
		sig := f.Signature()
		if sig.Results().Len() != 1 || !types.Identical(sig.Results().At(0).Type(), want) {
			c.report(f.Pos(), "%s is taken for the constructor of %s and must return *%s alone: what can fail belongs into OnActivate(ctx) error", f.Name(), m.Name, m.Name)
			continue
		}
		if sig.Variadic() || sig.TypeParams().Len() > 0 {
			c.report(f.Pos(), "constructor %s is variadic or generic: its parameters become those of Grains, so give each a name and a type", f.Name())
			continue
		}
		for v := range sig.Params().Variables() {
			if v.Name() == "" || v.Name() == "_" {
				c.report(v.Pos(), "a parameter of constructor %s has no name: it becomes a parameter of Grains, so give it one", f.Name())
			}
		}
		all = append(all, f)
	}
	c.m.Deps = load.Dependencies(all)
	for n, d := range c.m.Deps {
		for _, other := range c.m.Deps[:n] {
			if other.Name == d.Name && d.Name != "" && d.Name != "_" {
				c.report(all[0].Pos(), "constructors take %s both as %s and as %s: they become one parameter of Grains, so rename one", d.Name, c.show(other.Type), c.show(d.Type))
			}
		}
	}
}

// exportedConstructor warns of a function that looks like a constructor, and is never called.
func (c *checker) exportedConstructor(m *Impl, made types.Type) {
	name := load.Upper(m.Name)
	f, ok := c.p.Types.Scope().Lookup("New" + name).(*types.Func)
	if ok && f.Signature().Results().Len() > 0 && types.Identical(f.Signature().Results().At(0).Type(), made) {
		c.warn(f.Pos(), "%s is not called for grains: they are made by new(%s), since there is no new%s; call it new%s, or write that", f.Name(), m.Name, name, name)
	}
}
