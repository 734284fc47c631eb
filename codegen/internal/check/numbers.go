package check

import (
	"errors"
	"fmt"
	"go/token"
	"maps"
	"slices"
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/load"
	"github.com/martinelli-go/martinelli/codegen/internal/lock"
)

// Number gives everything its number from the lock file, which it brings up to date. Where there is a problem
// that is no warning, numbers and file are not to be used.
func (m *Model) Number(f *lock.File) []load.Problem {
	n := numberer{m: m, f: f}
	n.sections()
	n.cures = n.renamed()
	for _, i := range m.Interfaces {
		n.iface(i)
	}
	for _, t := range m.Types.All {
		if t.Class != Struct || len(t.Fields) == 0 && !f.Has("struct "+m.Types.Title(t)) {
			continue
		}
		var all []numbered
		for _, field := range t.Fields {
			all = append(all, numbered{field.Pos, field.Name, field.Was, m.Types.Shape(field.Type), another("field", field.Name), &field.Number})
		}
		n.take(f.Section("struct "+m.Types.Title(t)), "field "+m.Types.Title(t)+".", all)
	}
	for _, l := range m.Lattices {
		n.lattice(l)
	}
	for _, i := range m.Impls {
		if len(i.States) == 0 && !f.Has("state "+i.Kind) {
			continue
		}
		var all []numbered
		for _, state := range i.States {
			all = append(all, numbered{state.Pos, state.Name, state.Was, m.Types.Shape(state.Type), another("state", state.Name), &state.Number})
		}
		n.take(f.Section("state "+i.Kind), "state "+i.Name+".", all)
	}
	if len(m.Errors) > 0 || f.Has("errors") {
		var all []numbered
		for _, e := range m.Errors {
			shape := "variable"
			if e.Type != nil {
				shape = "struct"
			}
			all = append(all, numbered{e.Pos, e.Name, e.Was, shape, "give the new error another name", &e.Number})
		}
		n.take(f.Section("errors"), "error ", all)
	}
	if !slices.ContainsFunc(n.problems, func(p load.Problem) bool { return !p.Warning }) {
		for _, i := range m.Interfaces {
			s := f.Section("interface " + i.Name)
			i.Fingerprint = m.fingerprint(i)
			if s.Lineage == 0 {
				s.Lineage = i.Fingerprint
			}
			i.Lineage, s.Version = s.Lineage, i.Version
		}
	}
	slices.SortStableFunc(n.problems, func(a, b load.Problem) int { return a.Pos.Offset - b.Pos.Offset })
	return n.problems
}

type numberer struct {
	m        *Model
	f        *lock.File
	problems []load.Problem
	// cures are structs and interfaces that were most likely renamed without a comment: new names by old ones.
	cures map[string]string
}

// numbered is something that has a number in a section.
type numbered struct {
	pos              token.Pos
	name, was, shape string
	fix              string // of a shape that has changed
	number           *uint32
}

func another(what, name string) string {
	return fmt.Sprintf("leave it as it was and add a %s under another name, say %s2", what, name)
}

func (n *numberer) report(pos token.Pos, format string, args ...any) {
	n.problems = append(n.problems, load.Problem{Pos: n.m.Fset.Position(pos), Text: fmt.Sprintf(format, args...)})
}

// sections renames the sections of what has an old name, and what shapes call it.
func (n *numberer) sections() {
	var renames []lock.Rename
	var at []token.Pos
	words := map[string]string{}
	rename := func(prefix, name, was string, pos token.Pos) {
		renames, at = append(renames, lock.Rename{Name: prefix + name, Was: wasTitle(prefix, was)}), append(at, pos)
	}
	for _, t := range n.m.Types.All {
		if t.Class == Struct {
			rename("struct ", n.m.Types.Title(t), oldTitle(n.m.Types.Title(t), t.Was), t.Pos)
		}
	}
	for _, i := range n.m.Interfaces {
		rename("interface ", i.Name, i.Was, i.Pos)
	}
	for _, l := range n.m.Lattices {
		rename("lattice ", l.Name, l.Was, l.Type.Pos())
	}
	for _, i := range n.m.Impls {
		if i.Local != nil {
			rename("state ", i.Kind, oldTitle(i.Kind, i.Local.Was), i.Pos)
		}
	}
	made, errs := n.f.RenameSections(renames)
	for k, one := range renames {
		// A struct without fields has no section, but shapes call it by its name.
		old, isStruct := strings.CutPrefix(one.Was, "struct ")
		still := slices.ContainsFunc(renames, func(o lock.Rename) bool { return o.Name == one.Was })
		if isStruct && errors.As(errs[k], new(*lock.Unknown)) && !still {
			words[old] = strings.TrimPrefix(one.Name, "struct ")
		}
	}
	for _, one := range made {
		prefix, name, _ := strings.Cut(one.Name, " ")
		was := strings.TrimPrefix(one.Was, prefix+" ")
		if prefix != "state" {
			words[was] = name
		}
		for _, i := range n.m.Interfaces {
			if prefix == "interface" && i.Name == name {
				n.problems = append(n.problems, load.Problem{Pos: n.m.Fset.Position(i.Pos), Warning: true, Text: fmt.Sprintf(
					"grains of %s are of the kind %s now, and no more of %s: they are other grains, and what is stored of those stays with the old kind; call it %s again if that is to be found", name, i.Kind, oldTitle(i.Kind, was), was)})
			}
		}
	}
	n.f.RenameWords(words)
	for k, err := range errs {
		prefix, _, _ := strings.Cut(renames[k].Name, " ")
		// A struct may not have been sent before, and a state is renamed with its interface.
		if prefix == "state" || prefix != "interface" && errors.As(err, new(*lock.Unknown)) {
			continue
		}
		n.refused(at[k], "", renames[k].Name, err)
	}
}

// refused reports a rename that cannot be.
func (n *numberer) refused(pos token.Pos, what, name string, err error) {
	// Titles of sections begin with what they are.
	bare := func(title string) string { return title[strings.LastIndexByte(title, ' ')+1:] }
	unknown, kept, twice, both, swapped := (*lock.Unknown)(nil), (*lock.Kept)(nil), (*lock.Twice)(nil), (*lock.Both)(nil), (*lock.Swapped)(nil)
	switch {
	case errors.As(err, &unknown):
		was := bare(unknown.Was)
		n.report(pos, "%s%s: //grain:was %s, but %s has no %s there: correct the old name, or remove the comment", what, name, was, lock.Name, was)
	case errors.As(err, &kept):
		was := bare(kept.Was)
		n.report(pos, "%s%s: //grain:was %s, but %s is still there, and a number has one name: remove the comment; or, if this %s is something new, leave it out, run grainc, and add it then", what, name, was, was, was)
	case errors.As(err, &twice):
		n.report(pos, "%s%s: //grain:was %s, as above %s, and a number has one name: remove the comment from one of them", what, name, bare(twice.Was), bare(twice.Other))
	case errors.As(err, &both):
		n.report(pos, "%s%s: //grain:was %s, but %s has both: if the comment is done with, remove it; if this is %s, and the old %s is gone, remove that first, without renaming, run grainc, and rename then", what, name, both.Was, lock.Name, both.Was, both.Name)
	case errors.As(err, &swapped):
		var names []string
		for _, one := range swapped.Names {
			names = append(names, bare(one))
		}
		n.report(pos, "%s%s: the //grain:was of %s go round in a ring, which reads the same before and after: give one of them a third name, run grainc, and rename it once more", what, name, strings.Join(names, " and "))
	}
}

// renamed finds structs and interfaces that the lock file does not have, where it has exactly one of the same
// shape that is not declared any more.
func (n *numberer) renamed() map[string]string {
	cures := map[string]string{}
	find := func(prefix string, declared map[string][]string) {
		for name, lines := range declared {
			if n.f.Has(prefix+name) || len(lines) == 0 {
				continue
			}
			var candidates []string
			for _, title := range n.f.Titles(prefix) {
				old := strings.TrimPrefix(title, prefix)
				if _, there := declared[old]; there {
					continue
				}
				same := n.f.Live(title)
				for k, line := range same {
					same[k] = lock.RenameWords(line, map[string]string{old: name})
				}
				slices.Sort(same)
				if slices.Equal(same, lines) {
					candidates = append(candidates, old)
				}
			}
			if len(candidates) == 1 {
				cures[candidates[0]] = name
			}
		}
	}
	structs, interfaces := map[string][]string{}, map[string][]string{}
	for _, t := range n.m.Types.All {
		if t.Class == Struct {
			var lines []string
			for _, f := range t.Fields {
				lines = append(lines, f.Name+" "+n.m.Types.Shape(f.Type))
			}
			structs[n.m.Types.Title(t)] = slices.Sorted(slices.Values(lines))
		}
	}
	for _, i := range n.m.Interfaces {
		var lines []string
		for _, method := range i.Methods {
			lines = append(lines, method.Name+" "+n.m.signature(method))
		}
		interfaces[i.Name] = slices.Sorted(slices.Values(lines))
	}
	find("struct ", structs)
	find("interface ", interfaces)
	return cures
}

// iface numbers the methods of an interface.
func (n *numberer) iface(i *Interface) {
	s := n.f.Section("interface " + i.Name)
	key := keyForm(i.Key)
	if s.Key != "" && s.Key != key {
		n.report(i.Pos, "the key of %s was %s and is now %s, so neither callers nor what is stored would find its grains: keep the key, and declare another interface for grains with the new one (or, if there never were any, delete the section of %s in %s)", i.Name, s.Key, key, i.Name, lock.Name)
	}
	s.Key = key
	var all []numbered
	for _, method := range i.Methods {
		all = append(all, numbered{method.Pos, method.Name, method.Was, n.m.signature(method), another("method", method.Name), &method.Number})
	}
	n.take(s, "method "+i.Name+".", all)
	for _, method := range i.Methods {
		s.Describe(method.Name, strings.Join(method.directives(), " "))
	}
}

// lattice numbers the fields of a struct of lattices. None may go: replicas refuse states with fields that
// they do not know, rather than lose what is in them.
func (n *numberer) lattice(l *LatticeStruct) {
	s := n.f.Section("lattice " + l.Name)
	s.First = 2 // 1 is the version
	var all []numbered
	for _, field := range l.Fields {
		all = append(all, numbered{field.Var.Pos(), field.Name, field.Was, n.m.Types.LatticeShape(field.Lattice), another("field", field.Name), &field.Number})
	}
	if !n.take(s, "field "+l.Name+".", all) {
		return
	}
	for _, gone := range s.Missing() {
		n.report(l.Type.Pos(),
			"field %s of the lattice %s is gone, so states that hold it could not be read: keep it, or write //grain:was %s above what it is called now (or, if nothing was ever stored or sent, delete its line in %s)",
			gone, l.Name, gone, lock.Name)
	}
	slices.SortFunc(l.Fields, func(a, b *LatticeField) int { return int(a.Number) - int(b.Number) })
}

func wasTitle(prefix, was string) string {
	if was == "" {
		return ""
	}
	return prefix + was
}

// oldTitle is the title of what had the name was where it is title now: in the same package, and with the same
// type arguments.
func oldTitle(title, was string) string {
	if was == "" {
		return ""
	}
	base, args := title, ""
	if at := strings.IndexByte(title, '['); at >= 0 {
		base, args = title[:at], title[at:]
	}
	return base[:strings.LastIndexByte(base, '.')+1] + was + args
}

// take gives everything in a section its number, and says whether the names could be told.
func (n *numberer) take(s *lock.Section, what string, all []numbered) bool {
	var renames []lock.Rename
	for _, one := range all {
		renames = append(renames, lock.Rename{Name: one.name, Was: one.was})
	}
	errs, told := s.Rename(renames), true
	for k, err := range errs {
		if err != nil {
			n.refused(all[k].pos, what, all[k].name, err)
			told = told && errors.As(err, new(*lock.Unknown))
		}
	}
	if !told {
		return false
	}
	for k, one := range all {
		if errs[k] != nil {
			continue
		}
		number, err := s.Take(one.name, one.shape)
		*one.number = number
		if changed := (*lock.Changed)(nil); errors.As(err, &changed) {
			n.report(one.pos, "%s%s was %s and is now %s, so what was sent or stored before could not be read: %s (or, if nothing ever was, delete its line in %s)", what, one.name, changed.Locked, changed.Declared, n.cure(changed, one.fix), lock.Name)
		}
	}
	return true
}

// cure is what to do about a shape that has changed: to say that a type was renamed, where that is all.
func (n *numberer) cure(changed *lock.Changed, fix string) string {
	if lock.RenameWords(changed.Locked, n.cures) != changed.Declared {
		return fix
	}
	var steps []string
	for _, old := range slices.Sorted(maps.Keys(n.cures)) {
		name := n.cures[old]
		if lock.RenameWords(changed.Locked, map[string]string{old: name}) != changed.Locked {
			was, _, _ := strings.Cut(old, "[")
			steps = append(steps, fmt.Sprintf("if %s is what was called %s, write //grain:was %s directly above it", name, old, was[strings.LastIndexByte(was, '.')+1:]))
		}
	}
	return strings.Join(steps, ", ") + "; else " + fix
}

// signature is what is locked of a method.
func (m *Model) signature(method *Method) string {
	var args []string
	for _, p := range method.Params {
		args = append(args, m.Types.Shape(p.Type))
	}
	text := "(" + strings.Join(args, ", ") + ")"
	if method.Stream {
		text += " stream"
	}
	if method.Result != nil {
		text += " " + m.Types.Shape(method.Result)
	}
	return text
}
