package check

import (
	"go/token"
	"go/types"
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/load"
)

// lifecycle reports methods that a silo would call if they were called or declared as it looks for them, and
// passes over in silence as they are.
func (c *checker) lifecycle(t *types.TypeName, of *types.Named) {
	for method := range types.NewMethodSet(types.NewPointer(t.Type())).Methods() {
		f, ok := method.Obj().(*types.Func)
		if !ok || f.Pkg() != c.p.Types {
			continue
		}
		name := nearLifecycle(f.Name())
		if o, _, _ := types.LookupFieldOrMethod(of, false, f.Pkg(), f.Name()); name == "" || o != nil && f.Name() != name {
			continue // a method of the interface may be called what it is
		}
		got := strings.TrimPrefix(c.show(f.Signature()), "func")
		_, pointer := f.Signature().Recv().Type().(*types.Pointer)
		switch {
		case f.Name() != name || !lifecycleSignature(f.Signature()):
			c.report(f.Pos(), "method %s%s of %s would never be called: it should be func (*%s) %s(ctx context.Context) error", f.Name(), got, t.Name(), t.Name(), name)
		case !pointer:
			c.report(f.Pos(), "method %s of %s gets a copy of the grain, and what it sets there is lost: it should be func (*%s) %s(ctx context.Context) error", name, t.Name(), t.Name(), name)
		}
	}
}

// handsOver reports a HandOver or a TakeOver that no silo would call: with another signature, with a receiver
// that is a copy, spelt otherwise, or one without the other.
func (c *checker) handsOver(t *types.TypeName, of *types.Named) {
	wants := map[string]string{"HandOver": "(ctx context.Context) ([]byte, error)", "TakeOver": "(ctx context.Context, memory []byte) error"}
	got := map[string]token.Pos{}
	for method := range types.NewMethodSet(types.NewPointer(t.Type())).Methods() {
		f, ok := method.Obj().(*types.Func)
		if !ok {
			continue
		}
		if o, _, _ := types.LookupFieldOrMethod(of, false, f.Pkg(), f.Name()); o != nil {
			continue // a method of the interface may be called what it is
		}
		for name, want := range wants {
			if !strings.EqualFold(f.Name(), name) {
				continue
			}
			got[name] = f.Pos()
			_, pointer := f.Signature().Recv().Type().(*types.Pointer)
			switch {
			case f.Pkg() != c.p.Types:
			case f.Name() != name || !handSignature(name, f.Signature()):
				c.report(f.Pos(), "method %s%s of %s would never be called: it should be func (*%s) %s%s", f.Name(), strings.TrimPrefix(c.show(f.Signature()), "func"), t.Name(), t.Name(), name, want)
			case !pointer:
				c.report(f.Pos(), "method %s of %s gets a copy of the grain: it should be func (*%s) %s%s", name, t.Name(), t.Name(), name, want)
			}
		}
	}
	for _, one := range [][2]string{{"HandOver", "TakeOver"}, {"TakeOver", "HandOver"}} {
		if pos, has := got[one[0]]; has && !got[one[1]].IsValid() {
			c.report(pos, "%s has %s and no %s, so neither would be called: add func (*%s) %s%s", t.Name(), one[0], one[1], t.Name(), one[1], wants[one[1]])
		}
	}
}

// handSignature says whether s is that of HandOver or TakeOver.
func handSignature(name string, s *types.Signature) bool {
	params, results := s.Params(), s.Results()
	if s.Variadic() || params.Len() == 0 || !isContext(params.At(0).Type()) || results.Len() == 0 || !isError(results.At(results.Len()-1).Type()) {
		return false
	}
	if name == "HandOver" {
		return params.Len() == 1 && results.Len() == 2 && isBytes(results.At(0).Type())
	}
	return params.Len() == 2 && results.Len() == 1 && isBytes(params.At(1).Type())
}

func isBytes(t types.Type) bool { return types.Identical(t, types.NewSlice(types.Typ[types.Byte])) }

// nearLifecycle returns the method of the lifecycle that a name is, or is most likely meant to be; "" for none.
// Of names that are not exported only those count that differ in capitals alone: others are one's own helpers.
func nearLifecycle(name string) string {
	lower := strings.ToLower(name)
	best, least := "", 3
	for _, known := range []string{"OnActivate", "OnDeactivate"} {
		n := distance(lower, strings.ToLower(known))
		if name == known || n == 0 {
			return known
		}
		if !strings.HasPrefix(name, "On") {
			continue
		}
		if stem := strings.TrimSuffix(strings.ToLower(known), "ate"); strings.HasPrefix(lower, stem) && n < 5 {
			return known
		}
		if n < least {
			best, least = known, n
		}
	}
	return best
}

// lifecycleSignature says whether s is func(context.Context) error.
func lifecycleSignature(s *types.Signature) bool {
	return s.Params().Len() == 1 && s.Results().Len() == 1 && !s.Variadic() && isContext(s.Params().At(0).Type()) && isError(s.Results().At(0).Type())
}

// misplacedImplements reports a grains.Implements in a struct that is not embedded as such.
func (c *checker) misplacedImplements(t *types.TypeName) {
	s, ok := t.Type().Underlying().(*types.Struct)
	if !ok || t.IsAlias() {
		return
	}
	for f := range s.Fields() {
		of := f.Type()
		ptr, pointer := types.Unalias(of).(*types.Pointer)
		if pointer {
			of = ptr.Elem()
		}
		if args, ok := load.Is(of, grainsPath, "Implements"); ok && (pointer || !f.Embedded()) {
			c.report(f.Pos(), "%s holds a grains.Implements that is not embedded by value, so it implements no grain: write grains.Implements[%s], without a name", t.Name(), c.show(args[0]))
		}
	}
}

// keys reports a grain interface that has keys of several types.
func (c *checker) keys(t *types.TypeName, key types.Type) {
	var visit func(i types.Type)
	visit = func(i types.Type) {
		iface, ok := i.Underlying().(*types.Interface)
		if !ok {
			return
		}
		for e := range iface.EmbeddedTypes() {
			if args, ok := load.Is(e, grainsPath, "Keyed"); ok {
				if !types.Identical(args[0], key) {
					c.report(t.Pos(), "grain interface %s has keys of two types, %s and %s: embed one grains.Keyed", t.Name(), c.show(key), c.show(args[0]))
				}
				continue
			}
			visit(e)
		}
	}
	visit(t.Type())
}
