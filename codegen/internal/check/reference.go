package check

import (
	"go/token"
	"go/types"

	"github.com/martinelli-go/martinelli/codegen/internal/load"
)

// grainInterface returns the declared type of a grain interface, nil for any other type.
func grainInterface(t types.Type) *types.Named {
	if !types.IsInterface(t) {
		return nil
	}
	if _, ok := load.KeyOf(t); !ok {
		return nil
	}
	n, _ := types.Unalias(t).(*types.Named)
	return n
}

// fillReference makes k a reference to a grain.
func (ts *Types) fillReference(k *Type) *refusal {
	n := grainInterface(k.Go)
	if n == nil || n.TypeArgs().Len() > 0 {
		return refuse("a reference to a grain is of a declared interface without type parameters, and %s is none: declare it under a name of its own", ts.show(k.Go))
	}
	k.Class = Ref
	k.Ref, _ = load.KeyOf(n)
	return nil
}

// noReferences refuses references to grains in what is kept or shared: each calls as whom it was given to.
func (c *checker) noReferences(pos token.Pos, what string, t *Type) bool {
	found := referenceIn(t, map[*Type]bool{})
	if found == nil {
		return true
	}
	c.report(pos, "%s holds a reference to a grain (%s), which is for whom it was given to, and for calls alone: keep its key (%s), and call %s with that", what, c.show(found.Go), c.show(found.Ref), getter(c.show(found.Go)))
	return false
}

func referenceIn(t *Type, seen map[*Type]bool) *Type {
	if t.Class == Ref {
		return t
	}
	if seen[t] {
		return nil
	}
	seen[t] = true
	for _, part := range parts(t) {
		if found := referenceIn(part, seen); found != nil {
			return found
		}
	}
	return nil
}

// HoldsRef says whether there is a reference to a grain in t.
func (t *Type) HoldsRef() bool { return referenceIn(t, map[*Type]bool{}) != nil }
