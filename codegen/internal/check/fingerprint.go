package check

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"go/types"
	"slices"
	"strings"
)

// rounds is how many levels of a type a fingerprint looks at. Types of more levels than that are recursive,
// and their levels the same again.
const rounds = 128

// shapes hashes types by how they are encoded: by their class and, in structs, by the numbers of fields.
// The names of Go types and fields are not part of it, since they do not travel. Each round looks one level
// deeper, so that recursive types need no other treatment.
type shapes struct {
	types []*Type
	index map[*Type]int
	hash  []uint64
}

// shapesOf hashes the types and all that they are made of.
func (ts *Types) shapesOf(roots []*Type) *shapes {
	s := &shapes{index: map[*Type]int{}}
	for _, t := range roots {
		s.add(t)
	}
	s.hash = make([]uint64, len(s.types))
	next := make([]uint64, len(s.types))
	for range rounds {
		for n, t := range s.types {
			next[n] = s.level(t)
		}
		s.hash, next = next, s.hash
	}
	return s
}

func (s *shapes) add(t *Type) {
	if _, known := s.index[t]; known {
		return
	}
	s.index[t] = len(s.types)
	s.types = append(s.types, t)
	for _, part := range parts(t) {
		s.add(part)
	}
}

// of is the hash of a type so far.
func (s *shapes) of(t *Type) uint64 { return s.hash[s.index[t]] }

func (s *shapes) level(t *Type) uint64 {
	var b []byte
	b = binary.AppendUvarint(b, uint64(t.Class))
	b = binary.AppendVarint(b, t.Len)
	switch t.Class {
	case Proto:
		b = append(b, types.TypeString(t.Go, nil)...)
	case Ref:
		b = append(b, keyForm(t.Ref)...)
	}
	for _, part := range []*Type{t.Key, t.Elem} {
		if part != nil {
			b = binary.BigEndian.AppendUint64(b, s.of(part))
		}
	}
	fields := slices.Clone(t.Fields)
	slices.SortFunc(fields, func(a, b *Field) int { return int(a.Number) - int(b.Number) })
	for _, f := range fields {
		b = binary.AppendUvarint(b, uint64(f.Number))
		b = binary.BigEndian.AppendUint64(b, s.of(f.Type))
	}
	return hash64(b)
}

func hash64(b []byte) uint64 {
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

// fingerprint hashes an interface whose methods and types have their numbers: the methods by number, with
// names, traits and the shapes of what they take and return, and the form of the key.
func (m *Model) fingerprint(i *Interface) uint64 {
	var roots []*Type
	for _, method := range i.Methods {
		roots = append(roots, method.types()...)
	}
	s := m.Types.shapesOf(roots)
	methods := slices.Clone(i.Methods)
	slices.SortFunc(methods, func(a, b *Method) int { return int(a.Number) - int(b.Number) })
	var b strings.Builder
	fmt.Fprintf(&b, "key %s\n", keyForm(i.Key))
	for _, method := range methods {
		fmt.Fprintf(&b, "%d %s %v", method.Number, method.Name, method.Traits.Names())
		for _, p := range method.Params {
			fmt.Fprintf(&b, " %016x", s.of(p.Type))
		}
		if method.Result != nil {
			fmt.Fprintf(&b, " returns %016x", s.of(method.Result))
		}
		b.WriteByte('\n')
	}
	return hash64([]byte(b.String()))
}

// types are those of a method's arguments and result.
func (m *Method) types() []*Type {
	var all []*Type
	for _, p := range m.Params {
		all = append(all, p.Type)
	}
	if m.Result != nil {
		all = append(all, m.Result)
	}
	return all
}

// keyForm is how a key becomes text, whatever its type is called.
func keyForm(t types.Type) string {
	switch u := t.Underlying().(type) {
	case *types.Array:
		return "bytes"
	case *types.Struct:
		var all []string
		for f := range u.Fields() {
			all = append(all, keyForm(f.Type()))
		}
		return "(" + strings.Join(all, " ") + ")"
	}
	return t.Underlying().String()
}
