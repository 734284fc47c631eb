package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// world writes random packages that are valid. The first is for the others to use; all that it declares is
// exported.
type world struct {
	r    *rand.Rand
	path string // the import path under which the packages are
	pkgs []*randomPackage
}

// newWorld writes packages with that many interfaces.
func newWorld(seed uint64, path string, counts ...int) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, 0)), path: path}
	for n, count := range counts {
		p := &randomPackage{world: w, name: fmt.Sprintf("p%d", n), names: map[string]bool{}, imports: map[string]bool{}, impls: n%3 != 2}
		w.pkgs = append(w.pkgs, p)
		if n > 0 {
			p.foreign()
		} else {
			p.declareAwkward()
		}
		p.declareTypes()
		p.declareInterfaces(count)
	}
	return w
}

// one is true once in n times.
func (w *world) one(n int) bool { return w.r.IntN(n) == 0 }

// source is the package, its declarations in that order.
func (p *randomPackage) source(order []int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "package %s\n\nimport (\n", p.name)
	var paths []string
	for path := range p.imports {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		fmt.Fprintf(&b, "\t%q\n", path)
	}
	b.WriteString(")\n\n")
	for _, n := range order {
		b.WriteString(p.decls[n] + "\n\n")
	}
	return b.String()
}

// driver is a test of all packages: it gives what was generated to package roundtrip.
func (w *world) driver(seed uint64, values int) string {
	var b, refs strings.Builder
	fmt.Fprintf(&b, "package random\n\nimport (\n\t\"slices\"\n\t\"testing\"\n\n\t%q\n\t%q\n", modulePath+"codegen/internal/roundtrip", modulePath+"grains/wire")
	for _, p := range w.pkgs {
		fmt.Fprintf(&b, "\t%q\n", w.path+"/"+p.name)
	}
	b.WriteString(")\n\n")
	for _, p := range w.pkgs {
		var handlers, own []string
		for _, i := range append(p.interfaces(), p.bases...) {
			upper := strings.ToUpper(i[:1]) + i[1:]
			own = append(own, fmt.Sprintf("{%s.Get%s, %s.Parse%s}", p.name, upper, p.name, upper))
			if upper == i {
				handlers = append(handlers, p.name+"."+i+"Methods()")
			}
		}
		qualify := func(names []string) string {
			var all []string
			for _, n := range names {
				and, rest := "", n
				if n[0] == '&' {
					and, rest = "&", n[1:]
				}
				all = append(all, and+p.name+"."+rest)
			}
			return strings.Join(all, ", ")
		}
		kinds := "nil"
		if p.impls {
			kinds = p.name + ".Grains()"
		}
		fmt.Fprintf(&b, "var try_%s = roundtrip.Package{\n\tName: %q,\n\tHandlers: slices.Concat([]wire.Handler(nil), %s),\n\tKinds: %s,\n\tRefs: []roundtrip.Ref{%s},\n\tSentinels: []error{%s},\n\tStructs: []error{%s},\n}\n\n",
			p.name, p.name, strings.Join(handlers, ", "), kinds, strings.Join(own, ", "), qualify(p.sentinels), qualify(p.structs))
		fmt.Fprintf(&refs, "try_%s.Refs, ", p.name)
	}
	fmt.Fprintf(&b, "func TestRandom(t *testing.T) {\n\trefs := slices.Concat(%s)\n", strings.TrimSuffix(refs.String(), ", "))
	for _, p := range w.pkgs {
		fmt.Fprintf(&b, "\tif err := try_%s.Run(%d, %d, refs); err != nil {\n\t\tt.Error(err)\n\t}\n", p.name, seed, values)
	}
	b.WriteString("}\n")
	return b.String()
}
