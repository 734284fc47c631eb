package crdt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Layout makes a lattice of a struct whose fields are lattices: their product, each joined by itself. It
// says once which fields there are, and has the work of every method of Lattice, so that a struct's own
// methods are a line each:
//
//	type Profile struct {
//		Name *crdt.Register[string]
//		Tags *crdt.Set[string]
//	}
//
//	var profile = crdt.NewLayout("Profile",
//		crdt.Field(2, "name", func(p *Profile) **crdt.Register[string] { return &p.Name }, names),
//		crdt.Field(3, "tags", func(p *Profile) **crdt.Set[string] { return &p.Tags }, tags))
//
//	func (p *Profile) Join(d *Profile) *Profile { return profile.Join(p, d) }
//	func (p *Profile) Equal(o *Profile) bool    { return profile.Equal(p, o) }
//	…
//
// With Effect and Observe besides, a line each too, drafts can change it, and so it can be a variable of a
// cluster: see [Operation]. The tool grainc writes layout and methods for a struct marked //crdt:lattice.
//
// A field that is nil is empty, and so is a nil struct. A mutator changes a field of a state that New or
// Decode made, and puts the field's delta into an otherwise empty struct, which is the delta of the whole:
//
//	return &Profile{Name: p.Name.Set(now, actor, name)}
//
// When nothing has changed that struct is empty, which is as good as nil; Layout.Delta makes nil of it where
// a mutator's caller is to see that at a glance.
//
// Fields of the struct that are not in the layout take part in nothing and are not copied. A Layout may be
// used from several goroutines at once.
type Layout[S any] struct {
	name   string
	fields []StructField[S]
}

// StructField is a field of a Layout, made by Field.
type StructField[S any] struct {
	num         protowire.Number
	name        string
	init        func(s *S)
	join        func(s, delta, novelty *S)
	lessOrEqual func(s, o *S) bool
	clone       func(s, to *S)
	isEmpty     func(s *S) bool
	size        func(s *S) int
	hash        func(s *S) uint64
	digest      func(s *S) []byte
	since       func(s *S, message string, digest []byte, to *S) error
	parts       func(s *S, each func() *S)
	text        func(s *S) string
	json        func(s *S) ([]byte, error)
	append      func(b []byte, s *S) []byte
	decode      func(r *reader, to *S)
	observe     func(s, draft *S, now int64, to *S)
	effect      func(draft *S, m *Minter, own, to *S) (keep func(), err error)
}

// Field describes a field of S: its number in the encoding, 2 or more and never given to another field
// later, its name for logs and JSON, where it is, and its Codec.
func Field[S any, L Lattice[L]](num int, name string, at func(*S) *L, codec Codec[L]) StructField[S] {
	n := protowire.Number(num)
	get := func(s *S) (part L) {
		if s == nil {
			return part
		}
		return *at(s)
	}
	return StructField[S]{
		num: n, name: name,
		init:        func(s *S) { *at(s) = emptyPart(codec) },
		join:        func(s, delta, novelty *S) { *at(novelty) = orNil(joinPart(at(s), get(delta))) },
		lessOrEqual: func(s, o *S) bool { return get(s).LessOrEqual(get(o)) },
		clone:       func(s, to *S) { *at(to) = get(s).Clone() },
		isEmpty:     func(s *S) bool { return get(s).IsEmpty() },
		size:        func(s *S) int { return get(s).Size() },
		hash:        func(s *S) uint64 { return mixHash(num, get(s).Hash()) },
		digest:      func(s *S) []byte { return get(s).Digest() },
		since: func(s *S, message string, digest []byte, to *S) error {
			lacking, err := partSince(message, num, get(s), digest)
			if err == nil {
				*at(to) = orNil(lacking)
			}
			return err
		},
		parts: func(s *S, each func() *S) {
			for _, p := range get(s).Parts() {
				*at(each()) = p
			}
		},
		text:   func(s *S) string { return get(s).String() },
		json:   func(s *S) ([]byte, error) { return partJSON(get(s)) },
		append: func(b []byte, s *S) []byte { return appendPart(b, n, get(s), codec) },
		decode: func(r *reader, to *S) { *at(to) = decodePart(r, codec) },
		observe: func(s, draft *S, now int64, to *S) {
			*at(to) = orNil(Observe(get(s), get(draft), now))
		},
		effect: func(draft *S, m *Minter, own, to *S) (keep func(), err error) {
			mine := *at(own)
			*at(to), err = effectPart(get(draft), m, &mine)
			return func() { *at(own) = mine }, err
		},
	}
}

// NewLayout returns the layout of a struct; name is for errors and logs. It panics when the numbers of the
// fields do not ascend from 2 or more: that is a mistake of the program.
func NewLayout[S any](name string, fields ...StructField[S]) *Layout[S] {
	last := protowire.Number(1)
	for _, f := range fields {
		if f.num <= last || f.num > protowire.MaxValidNumber {
			panic(fmt.Sprintf("crdt: layout %s: field %q has number %d after %d: list fields by ascending numbers, from 2 on (1 is the version)",
				name, f.name, f.num, last))
		}
		last = f.num
	}
	return &Layout[S]{name, fields}
}

// New returns an empty state whose fields are empty and not nil.
func (l *Layout[S]) New() *S {
	s := new(S)
	for _, f := range l.fields {
		f.init(s)
	}
	return s
}

// Delta returns d, nil when all its fields are empty.
func (l *Layout[S]) Delta(d *S) *S {
	if l.IsEmpty(d) {
		return nil
	}
	return d
}

// Join does the work of Lattice.Join: it joins delta into s and returns the novelty.
func (l *Layout[S]) Join(s, delta *S) (novelty *S) {
	if delta == nil || s == delta {
		return nil
	}
	novelty = new(S)
	for _, f := range l.fields {
		f.join(s, delta, novelty)
	}
	return l.Delta(novelty)
}

// LessOrEqual does the work of Lattice.LessOrEqual.
func (l *Layout[S]) LessOrEqual(s, o *S) bool {
	for _, f := range l.fields {
		if !f.lessOrEqual(s, o) {
			return false
		}
	}
	return true
}

// Equal does the work of Lattice.Equal.
func (l *Layout[S]) Equal(s, o *S) bool { return l.LessOrEqual(s, o) && l.LessOrEqual(o, s) }

// Clone does the work of Lattice.Clone.
func (l *Layout[S]) Clone(s *S) *S {
	c := new(S)
	for _, f := range l.fields {
		f.clone(s, c)
	}
	return c
}

// IsEmpty does the work of Lattice.IsEmpty.
func (l *Layout[S]) IsEmpty(s *S) bool {
	for _, f := range l.fields {
		if !f.isEmpty(s) {
			return false
		}
	}
	return true
}

// Size does the work of Lattice.Size: the sum of the fields'.
func (l *Layout[S]) Size(s *S) (n int) {
	for _, f := range l.fields {
		n += f.size(s)
	}
	return n
}

// Hash does the work of Lattice.Hash.
func (l *Layout[S]) Hash(s *S) (h uint64) {
	for _, f := range l.fields {
		h += f.hash(s)
	}
	return h
}

// Digest does the work of Lattice.Digest: the digest of each field, under its number.
func (l *Layout[S]) Digest(s *S) []byte {
	b := appendVersion(nil)
	for _, f := range l.fields {
		b = appendBytes(b, f.num, f.digest(s))
	}
	return b
}

// Since does the work of Lattice.Since; the answer is as exact as the fields' are. What is not the digest
// of such a struct gives a *DecodeError.
func (l *Layout[S]) Since(s *S, digest []byte) (*S, error) {
	message := l.name + "Digest"
	r := reader{message: message, b: digest}
	out := new(S)
	r.version()
	for _, f := range l.fields {
		if !r.next() || r.num != f.num {
			r.fail("the digest of field %d is missing", f.num)
			break
		}
		d := r.bytes()
		if r.err != nil {
			break
		}
		if err := f.since(s, message, d, out); err != nil {
			return nil, err
		}
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return l.Delta(out), nil
}

// Parts does the work of Lattice.Parts: those of each field, with the others empty.
func (l *Layout[S]) Parts(s *S) []*S {
	var parts []*S
	for _, f := range l.fields {
		f.parts(s, func() *S {
			p := new(S)
			parts = append(parts, p)
			return p
		})
	}
	return parts
}

// String does the work of Lattice.String.
func (l *Layout[S]) String(s *S) string {
	texts := make([]string, len(l.fields))
	for i, f := range l.fields {
		texts[i] = f.name + ": " + f.text(s)
	}
	return l.name + "{" + strings.Join(texts, ", ") + "}"
}

// JSON does the work of MarshalJSON: an object of all fields, under the names that the layout gives them,
// which in generated code are those of the Go fields; json tags are not read. A field whose type has no
// MarshalJSON is there as its String. It is for reading, there is no way back.
func (l *Layout[S]) JSON(s *S) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range l.fields {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(f.name)
		if err != nil {
			return nil, err
		}
		value, err := f.json(s)
		if err != nil {
			return nil, fmt.Errorf("crdt: JSON of %s.%s: %w", l.name, f.name, err)
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Append appends the canonical encoding: the version as field 1, and the fields that are not empty.
func (l *Layout[S]) Append(b []byte, s *S) []byte {
	b = appendVersion(b)
	for _, f := range l.fields {
		b = f.append(b, s)
	}
	return b
}

// EncodedSize returns the length of the encoding in bytes. It encodes.
func (l *Layout[S]) EncodedSize(s *S) int { return len(l.Append(nil, s)) }

// Decode reads a state that fills b. Other bytes give a *DecodeError.
func (l *Layout[S]) Decode(b []byte) (*S, error) {
	s := l.New()
	r := reader{message: l.name, b: b}
	r.version()
	rest := l.fields
	for r.next() {
		for len(rest) > 0 && rest[0].num < r.num {
			rest = rest[1:]
		}
		if len(rest) == 0 || rest[0].num != r.num {
			r.unknown()
			break
		}
		rest[0].decode(&r, s)
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return s, nil
}
