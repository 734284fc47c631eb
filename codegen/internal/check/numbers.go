package check

import (
	"errors"
	"fmt"
	"go/token"
	"slices"
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/load"
	"github.com/martinelli-go/martinelli/codegen/internal/lock"
)

// Number gives everything its number from the lock file, which it brings up to date.
func (m *Model) Number(f *lock.File) []load.Problem {
	n := numberer{m: m, f: f}
	for _, t := range m.Types.All {
		if t.Class == Struct && t.Was != "" && !f.Has("struct "+m.Types.Title(t)) {
			f.Rename(t.Was, m.Types.Title(t))
		}
	}
	for _, i := range m.Interfaces {
		if i.Was != "" && !f.Has("interface "+i.Name) {
			f.Rename(i.Was, i.Name)
		}
	}
	for _, l := range m.Lattices {
		if l.Was != "" && !f.Has("lattice "+l.Name) {
			f.Rename(l.Was, l.Name)
		}
	}
	for _, i := range m.Interfaces {
		s := f.Section("interface "+i.Name, wasTitle("interface ", i.Was))
		for _, method := range i.Methods {
			method.Number = n.take(s, method.Pos, "method "+i.Name+".", method.Name, method.Was, m.signature(method),
				fmt.Sprintf("leave it as it was and add a method under another name, say %s2", method.Name))
		}
	}
	for _, t := range m.Types.All {
		if t.Class != Struct || len(t.Fields) == 0 && !f.Has("struct "+m.Types.Title(t)) {
			continue
		}
		s := f.Section("struct "+m.Types.Title(t), wasTitle("struct ", t.Was))
		for _, field := range t.Fields {
			field.Number = n.take(s, field.Pos, "field "+m.Types.Title(t)+".", field.Name, field.Was, m.Types.Shape(field.Type),
				fmt.Sprintf("leave it as it was and add a field under another name, say %s2", field.Name))
		}
	}
	for _, l := range m.Lattices {
		n.lattice(l)
	}
	for _, i := range m.Impls {
		if len(i.States) == 0 && !f.Has("state "+i.Kind) {
			continue
		}
		was := ""
		if i.Local != nil && i.Local.Was != "" {
			was = "state " + strings.TrimSuffix(i.Kind, i.Local.Name) + i.Local.Was
		}
		s := f.Section("state "+i.Kind, was)
		for _, state := range i.States {
			state.Number = n.take(s, state.Pos, "state "+i.Name+".", state.Name, state.Was, m.Types.Shape(state.Type),
				fmt.Sprintf("leave it as it was and add a state under another name, say %s2", state.Name))
		}
	}
	if len(m.Errors) > 0 || f.Has("errors") {
		s := f.Section("errors", "")
		for _, e := range m.Errors {
			shape := "variable"
			if e.Type != nil {
				shape = "struct"
			}
			e.Number = n.take(s, e.Pos, "error ", e.Name, e.Was, shape, "give the new error another name")
		}
	}
	for _, i := range m.Interfaces {
		s := f.Section("interface "+i.Name, "")
		i.Fingerprint = m.fingerprint(i)
		if s.Lineage == 0 {
			s.Lineage = i.Fingerprint
		}
		i.Lineage, s.Version = s.Lineage, i.Version
	}
	slices.SortStableFunc(n.problems, func(a, b load.Problem) int { return a.Pos.Offset - b.Pos.Offset })
	return n.problems
}

// lattice numbers the fields of a struct of lattices. None may go: replicas refuse states with fields that
// they do not know, rather than lose what is in them.
func (n *numberer) lattice(l *LatticeStruct) {
	s := n.f.Section("lattice "+l.Name, wasTitle("lattice ", l.Was))
	s.First = 2 // 1 is the version
	for _, field := range l.Fields {
		field.Number = n.take(s, field.Var.Pos(), "field "+l.Name+".", field.Name, field.Was, n.m.Types.LatticeShape(field.Lattice),
			fmt.Sprintf("leave it as it was and add a field under another name, say %s2", field.Name))
	}
	for _, gone := range s.Missing() {
		n.problems = append(n.problems, load.Problem{Pos: n.m.Fset.Position(l.Type.Pos()), Text: fmt.Sprintf(
			"field %s of the lattice %s is gone, so states that hold it could not be read: keep it, or write //grain:was %s above what it is called now (or, if nothing was ever stored or sent, delete its line in %s)",
			gone, l.Name, gone, lock.Name)})
	}
	slices.SortFunc(l.Fields, func(a, b *LatticeField) int { return int(a.Number) - int(b.Number) })
}

func wasTitle(prefix, was string) string {
	if was == "" {
		return ""
	}
	return prefix + was
}

type numberer struct {
	m        *Model
	f        *lock.File
	problems []load.Problem
}

func (n *numberer) take(s *lock.Section, pos token.Pos, what, name, was, shape, fix string) uint32 {
	number, err := s.Take(name, was, shape)
	changed, unknown := (*lock.Changed)(nil), (*lock.Unknown)(nil)
	text := ""
	switch {
	case errors.As(err, &changed):
		text = fmt.Sprintf("%s%s was %s and is now %s, so what was sent or stored before could not be read: %s (or, if nothing ever was, delete its line in %s)", what, name, changed.Locked, changed.Declared, fix, lock.Name)
	case errors.As(err, &unknown):
		text = fmt.Sprintf("%s%s: //grain:was %s, but %s has no %s there: correct the old name, or remove the comment", what, name, unknown.Was, lock.Name, unknown.Was)
	}
	if text != "" {
		n.problems = append(n.problems, load.Problem{Pos: n.m.Fset.Position(pos), Text: text})
	}
	return number
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
