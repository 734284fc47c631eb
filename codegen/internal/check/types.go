package check

import (
	"fmt"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/types/typeutil"

	"github.com/martinelli-go/martinelli/codegen/internal/load"
)

// Types is the set of types that need codecs.
type Types struct {
	pkg   *types.Package
	known typeutil.Map      // types.Type to *Type
	names map[string]string // name to type
	All   []*Type
	was   func(token.Pos) string // the old name of what is declared there
	// entries are the elements of graphs, which package flow encodes.
	entries map[string]*Type
}

// refusal says why a type cannot be encoded, and what to do. The path leads to the culprit.
type refusal struct {
	path string
	text string
}

func (r *refusal) Error() string {
	if r.path == "" {
		return r.text
	}
	return r.path + ": " + r.text
}

func (r *refusal) in(step string) *refusal {
	if r == nil {
		return nil
	}
	if r.path == "" {
		return &refusal{step, r.text}
	}
	return &refusal{step + "." + strings.TrimPrefix(r.path, "."), r.text}
}

func refuse(format string, args ...any) *refusal { return &refusal{text: fmt.Sprintf(format, args...)} }

// Of returns the type, or why it cannot be encoded.
func (ts *Types) Of(t types.Type) (*Type, *refusal) {
	t = types.Unalias(t)
	if k, ok := ts.known.At(t).(*Type); ok {
		return k, nil
	}
	k := &Type{Go: t, Pos: token.NoPos}
	ts.known.Set(t, k)
	if r := ts.fill(k); r != nil {
		ts.known.Delete(t)
		return nil, r
	}
	k.Name = ts.name(t)
	ts.All = append(ts.All, k)
	return k, nil
}

// fill finds out how k is encoded.
func (ts *Types) fill(k *Type) *refusal {
	if n, ok := k.Go.(*types.Named); ok {
		k.Pos = n.Obj().Pos()
		if n.Obj().Pkg() == nil { // error, comparable
			if n.Obj().Name() == "error" {
				k.Class = Error
				return nil
			}
		} else if r, done := ts.fillNamed(k, n); done {
			return r
		}
	}
	return ts.fillUnderlying(k)
}

func (ts *Types) fillNamed(k *Type, n *types.Named) (*refusal, bool) {
	pkg, name := n.Obj().Pkg(), n.Obj().Name()
	shown := ts.show(n)
	if pkg.Path() == "time" && name == "Time" {
		k.Class = Time
		return nil, true
	}
	if isUnknown(n) {
		return refuse("a grains.Unknown keeps what is unknown of the struct that it is a field of: embed it in a struct"), true
	}
	if pkg != ts.pkg && !n.Obj().Exported() {
		return refuse("type %s of another package is not exported, so generated code cannot name it: export it, or use a type of your own", shown), true
	}
	if isProto(types.NewPointer(n)) {
		return refuse("%s is a protobuf message, which must not be copied: use *%s", shown, shown), true
	}
	return nil, false
}

func (ts *Types) fillUnderlying(k *Type) *refusal {
	shown := ts.show(k.Go)
	switch u := k.Go.Underlying().(type) {
	case *types.Basic:
		return fillBasic(k, u, shown)
	case *types.Slice:
		if types.Identical(types.Unalias(u.Elem()), types.Typ[types.Byte]) {
			k.Class, k.Mutable = Bytes, true
			return nil
		}
		k.Class, k.Mutable = Slice, true
		return ts.elem(k, u.Elem())
	case *types.Array:
		k.Len = u.Len()
		if types.Identical(types.Unalias(u.Elem()), types.Typ[types.Byte]) {
			k.Class = ByteArray
			return nil
		}
		k.Class = Array
		r := ts.elem(k, u.Elem())
		if r == nil {
			k.Mutable = k.Elem.Mutable
		}
		return r
	case *types.Map:
		k.Class, k.Mutable = Map, true
		if what, fix := notAnElement(u.Key(), nil); what != "" {
			return refuse("the key of %s %s: %s", shown, what, fix)
		}
		var r *refusal
		if k.Key, r = ts.Of(u.Key()); r != nil {
			return r.in("[key]")
		}
		return ts.elem(k, u.Elem())
	case *types.Pointer:
		k.Mutable = true
		if isProto(k.Go) {
			k.Class = Proto
			return nil
		}
		k.Class = Pointer
		return ts.elem(k, u.Elem())
	case *types.Struct:
		return ts.fillStruct(k, u, shown)
	case *types.Chan:
		return refuse("a channel (%s) cannot be sent: return a stream, iter.Seq2[T, error], or share a variable", shown)
	case *types.Signature:
		if isSequence(k.Go) {
			return refuse("a stream (%s) is what a method returns, alone: return it from a method, or send a slice", shown)
		}
		return refuse("a function (%s) cannot be sent: send what it decides on as data, or call back a grain", shown)
	case *types.Interface:
		if _, ok := load.KeyOf(k.Go); ok {
			return ts.fillReference(k)
		}
		return refuse("an interface (%s) has no encoding, since what is in it is not known: use a struct with a field for each case, or a protobuf message", shown)
	}
	return refuse("%s cannot be encoded", shown)
}

func getter(shown string) string {
	if i := strings.LastIndexByte(shown, '.'); i >= 0 {
		return shown[:i+1] + "Get" + load.Upper(shown[i+1:])
	}
	return "Get" + load.Upper(shown)
}

func fillBasic(k *Type, u *types.Basic, shown string) *refusal {
	switch {
	case u.Info()&types.IsBoolean != 0:
		k.Class = Bool
	case u.Kind() == types.Uintptr || u.Kind() == types.UnsafePointer:
		return refuse("%s is an address, which means nothing elsewhere: send the value", shown)
	case u.Info()&types.IsUnsigned != 0:
		k.Class = Uint
	case u.Info()&types.IsInteger != 0:
		k.Class = Int
	case u.Kind() == types.Float32:
		k.Class = Float32
	case u.Kind() == types.Float64:
		k.Class = Float64
	case u.Kind() == types.String:
		k.Class = String
	case u.Info()&types.IsComplex != 0:
		return refuse("complex numbers (%s) have no encoding: use a struct of two floats", shown)
	default:
		return refuse("%s cannot be encoded", shown)
	}
	return nil
}

func (ts *Types) elem(k *Type, t types.Type) *refusal {
	var r *refusal
	k.Elem, r = ts.Of(t)
	return r
}

func (ts *Types) fillStruct(k *Type, u *types.Struct, shown string) *refusal {
	k.Class = Struct
	if _, ok := k.Go.(*types.Named); !ok && u.NumFields() > 0 {
		return refuse("a struct without a name has no place for its numbers in the lock file: declare a type for it")
	}
	if name, ok := mustNotCopy(k.Go); ok {
		return refuse("%s holds a %s, which must not be copied: leave it out of what is sent or stored", shown, name)
	}
	if n, ok := k.Go.(*types.Named); ok && n.Obj().Pkg() == ts.pkg {
		k.Was = ts.was(n.Obj().Pos())
	}
	for f := range u.Fields() {
		if f.Name() == "_" {
			continue
		}
		if isUnknown(f.Type()) && (f.Exported() || f.Pkg() == ts.pkg) {
			if k.Unknown != "" {
				return refuse("%s has two fields for what is unknown, %s and %s: one keeps all", shown, k.Unknown, f.Name())
			}
			k.Unknown = f.Name()
			continue
		}
		if !f.Exported() {
			return refuse("field %s of %s is not exported, so it would be lost: export it, or keep it out of what is sent or stored (a type with an encoding of its own can be a protobuf message)", f.Name(), shown)
		}
		t, r := ts.Of(f.Type())
		if r != nil {
			return r.in(f.Name())
		}
		k.Fields = append(k.Fields, &Field{Name: f.Name(), Was: ts.was(f.Pos()), Pos: f.Pos(), Type: t})
	}
	return nil
}

// isUnknown says whether t is grains.Unknown.
func isUnknown(t types.Type) bool {
	_, ok := load.Is(t, wirePath, "Unknown")
	return ok
}

// mustNotCopy finds the locks and atomics of the standard library.
func mustNotCopy(t types.Type) (string, bool) {
	n, ok := t.(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return "", false
	}
	if p := n.Obj().Pkg().Path(); p == "sync" || p == "sync/atomic" {
		return n.Obj().Pkg().Name() + "." + n.Obj().Name(), true
	}
	return "", false
}

// isProto says whether t is a pointer to a generated protobuf message.
func isProto(t types.Type) bool {
	p, ok := t.(*types.Pointer)
	if !ok {
		return false
	}
	n, ok := types.Unalias(p.Elem()).(*types.Named)
	if !ok {
		return false
	}
	o, _, _ := types.LookupFieldOrMethod(t, false, n.Obj().Pkg(), "ProtoReflect")
	f, ok := o.(*types.Func)
	if !ok || f.Signature().Results().Len() != 1 {
		return false
	}
	_, ok = load.Is(f.Signature().Results().At(0).Type(), "google.golang.org/protobuf/reflect/protoreflect", "Message")
	return ok
}

// Element returns the type of an element of a graph: pairs and entries are encoded by package flow.
func (ts *Types) Element(t types.Type) (*Type, *refusal) {
	t = types.Unalias(t)
	args, isEntry := load.Is(t, flowPath, "Entry")
	class := Entry
	if !isEntry {
		if args, isEntry = load.Is(t, flowPath, "Pair"); !isEntry {
			return ts.Of(t)
		}
		class = Pair
	}
	id := types.TypeString(t, nil)
	if k := ts.entries[id]; k != nil {
		return k, nil
	}
	key, r := ts.Element(args[0])
	if r != nil {
		return nil, r
	}
	elem, r := ts.Element(args[1])
	if r != nil {
		return nil, r
	}
	k := &Type{Go: t, Class: class, Key: key, Elem: elem, Name: "Element" + ts.name(t)}
	ts.entries[id] = k
	return k, nil
}

// notAnElement says why t cannot be (part of) an element of a set or a key of a map.
func notAnElement(t types.Type, seen []types.Type) (what, fix string) {
	t = types.Unalias(t)
	if slices.ContainsFunc(seen, func(s types.Type) bool { return types.Identical(s, t) }) {
		return "", ""
	}
	seen = append(seen, t)
	if _, ok := load.Is(t, "time", "Time"); ok {
		return "contains a time.Time, whose == compares location and clock reading", "use int64(t.UnixNano())"
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		switch {
		case u.Info()&types.IsFloat != 0:
			return "contains a " + u.Name() + ", and a NaN never equals itself", "use an integer (cents, micrometres)"
		case u.Info()&types.IsComplex != 0:
			return "contains a " + u.Name() + ", and a NaN never equals itself", "use integers"
		}
	case *types.Pointer:
		return "contains a pointer, which compares by address", "use the value that it points to"
	case *types.Interface:
		if key, ok := load.KeyOf(t); ok {
			return "contains a reference to a grain, which is for whom it was given to", "use its key (" + types.TypeString(key, (*types.Package).Name) + ")"
		}
		return "contains an interface, whose values are of no known type", "use a struct or a string"
	case *types.Chan:
		return "contains a channel", "use a value"
	case *types.Array:
		return notAnElement(u.Elem(), seen)
	case *types.Struct:
		for f := range u.Fields() {
			if what, fix := notAnElement(f.Type(), seen); what != "" {
				return what + " (" + f.Name() + ")", fix
			}
		}
	case *types.Slice, *types.Map, *types.Signature:
		return "contains a " + u.String() + ", which cannot be compared", "use a string, an array or a struct of such"
	}
	return "", ""
}

// finish finds recursive types, and what is mutable through them.
func (ts *Types) finish() {
	for _, t := range ts.All {
		t.Recursive = reaches(t, t, map[*Type]bool{})
	}
	for changed := true; changed; {
		changed = false
		for _, t := range ts.All {
			if t.Mutable {
				continue
			}
			mutable := t.Class == Array && t.Elem.Mutable
			for _, f := range t.Fields {
				mutable = mutable || f.Type.Mutable
			}
			if mutable {
				t.Mutable, changed = true, true
			}
		}
	}
	for _, t := range ts.entries {
		t.Mutable = t.Key.Mutable || t.Elem.Mutable
	}
}

func reaches(from, to *Type, seen map[*Type]bool) bool {
	for _, next := range parts(from) {
		if next == to {
			return true
		}
		if !seen[next] {
			seen[next] = true
			if reaches(next, to, seen) {
				return true
			}
		}
	}
	return false
}

func parts(t *Type) []*Type {
	var all []*Type
	if t.Key != nil {
		all = append(all, t.Key)
	}
	if t.Elem != nil {
		all = append(all, t.Elem)
	}
	for _, f := range t.Fields {
		all = append(all, f.Type)
	}
	return all
}

// show writes a type as the package itself would.
func (ts *Types) show(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == ts.pkg {
			return ""
		}
		return p.Name()
	})
}

// name makes a name of a type that no other type in the package has.
func (ts *Types) name(t types.Type) string {
	return ts.free(ts.mangle(t), types.TypeString(t, nil))
}

func (ts *Types) free(base, id string) string {
	name := base
	for i := 2; ts.names[name] != "" && ts.names[name] != id; i++ {
		name = fmt.Sprintf("%s_%d", base, i)
	}
	ts.names[name] = id
	return name
}

// MethodName makes a name of a method that no other method of the package has, and that, behind args or method, is
// neither a type's nor the stub's of one of those interfaces: that of Empty is emptyRef.
func (ts *Types) MethodName(all []*Interface, i *Interface, m *Method) string {
	for _, other := range all {
		ts.free(load.Upper(other.Name)+"Ref", "stub "+other.Name)
	}
	id, base := "method "+i.Name+"."+m.Name, load.Upper(i.Name)+load.Upper(m.Name)
	free := func(name string) bool { return ts.names[name] == "" || ts.names[name] == id }
	name := base
	for n := 2; !free("Args"+name) || !free("Method"+name); n++ {
		name = fmt.Sprintf("%s_%d", base, n)
	}
	ts.names["Args"+name], ts.names["Method"+name] = id, id
	return name
}

func (ts *Types) mangle(t types.Type) string {
	switch t := types.Unalias(t).(type) {
	case *types.Basic:
		if t.Kind() == types.Byte {
			return "Byte"
		}
		return load.Upper(t.Name())
	case *types.Named:
		name := load.Upper(t.Obj().Name())
		if p := t.Obj().Pkg(); p != nil && p != ts.pkg {
			name = load.Upper(p.Name()) + name
		}
		var args []string
		for a := range t.TypeArgs().Types() {
			args = append(args, ts.mangle(a))
		}
		if len(args) > 0 {
			name += "Of" + strings.Join(args, "And")
		}
		return name
	case *types.Slice:
		if types.Identical(types.Unalias(t.Elem()), types.Typ[types.Byte]) {
			return "Bytes"
		}
		return "SliceOf" + ts.mangle(t.Elem())
	case *types.Array:
		return fmt.Sprintf("Array%dOf%s", t.Len(), ts.mangle(t.Elem()))
	case *types.Pointer:
		return "PointerTo" + ts.mangle(t.Elem())
	case *types.Map:
		return "MapOf" + ts.mangle(t.Key()) + "To" + ts.mangle(t.Elem())
	case *types.Struct:
		return "Empty"
	}
	return "Other"
}
