package wire

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Ref is embedded by stubs. It is comparable: two references are equal if they are to one grain, for one
// caller.
type Ref struct {
	engine Engine
	id     ID
}

// NewRef returns the reference that a stub embeds; it makes no call.
func NewRef(c Caller, kind, key string) Ref { return Ref{Of(c), NewID(kind, key)} }

// GrainID names the grain.
func (r Ref) GrainID() ID { return r.id }

// String prints as ParseRef reads.
func (r Ref) String() string { return r.id.String() }

// at is the engine that calls through r are made by. One that was decoded and not bound has none.
func (r Ref) at() Engine {
	if r.engine == nil {
		return nowhere{}
	}
	return r.engine
}

// RefError is the error of a text that names no grain of a kind.
type RefError struct{ Kind, Text, Reason string }

func (e *RefError) Error() string {
	return fmt.Sprintf("%q is no reference to a %s: %s", e.Text, e.Kind, e.Reason)
}

// ParseRef returns the reference whose String is text, "wine.User/alice"; kind is "wine.User". It does not
// look at the key, which is for generated code to check. The error is a *RefError.
func ParseRef(c Caller, kind, text string) (Ref, error) {
	rest, ok := strings.CutPrefix(text, kind)
	if ok && rest == "" { // a grain whose key is empty prints as its kind
		return NewRef(c, kind, ""), nil
	}
	key, slash := strings.CutPrefix(rest, "/")
	if !ok || !slash {
		return Ref{}, &RefError{kind, text, fmt.Sprintf("it must begin with %q, and the text of the key must follow", kind+"/")}
	}
	return NewRef(c, kind, key), nil
}

// RefType is how references to the grains of one interface travel, as arguments, results, or parts of them.
// Generated code holds one, as a variable, for each interface that does:
//
//	var refUser = wire.RefType[User]{
//		Kind:  "wine.User",
//		Make:  func(r wire.Ref) User { return userRef{r} },
//		Check: func(key string) error { … },
//	}
//
// A reference is a message whose field 1 is the text of the key, which is there even when it is empty: a
// message without it is nil. The kind does not travel, so that it may be renamed. As a field of a struct a
// reference is written with AppendPointer's meaning of nil; see Append. As an element of slices and as a value
// of maps it goes with Put and Take wherever those of a struct would; Codec is for methods whose one argument,
// result or element it is.
//
// What Take returns has no engine: calls through it fail with ErrUnbound until Bind has given it one.
// The BindArgs and BindResult of a Method, and the BindArgs and BindElement of a StreamMethod, do that for all
// references in a value. They may change what v points to, because the runtime gives them values alone that
// nobody else holds, decoded or copied by the codec: the Clone of a codec must copy every slice, map and
// pointer through which a reference is reached. Both are nil where a type holds no references.
//
//	func bindArgsUserInvite(e wire.Engine, v argsUserInvite) argsUserInvite {
//		v.A1 = refUser.Bind(e, v.A1)
//		for i := range v.A2 {
//			v.A2[i] = refUser.Bind(e, v.A2[i])
//		}
//		return v
//	}
//
// They run on local calls too: a grain that is given a reference calls through it as itself.
type RefType[T Referrer] struct {
	// Kind is the qualified name of the interface.
	Kind string
	// Make returns the stub.
	Make func(Ref) T
	// Check refuses the text of a key that is none of the interface's key type; nil where every text is one.
	Check func(key string) error
}

// Referrer is every grain interface. What is passed as a reference is a stub as a rule; a grain may pass
// itself, and its receiver gets a stub.
type Referrer interface{ GrainID() ID }

// Append appends v as a length-delimited field; nil is absent.
func (t *RefType[T]) Append(b []byte, n protowire.Number, v T) []byte {
	if any(v) == nil {
		return b
	}
	return AppendElement(b, n, v, t.Put)
}

// Put appends v as a message that fills its place; nil is empty.
func (t *RefType[T]) Put(b []byte, v T) []byte {
	if any(v) == nil {
		return b
	}
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	return protowire.AppendString(b, v.GrainID().Key())
}

// Take reads what Put wrote.
func (t *RefType[T]) Take(b []byte) (v T, err error) {
	err = EachField(b, func(f Field) error {
		if f.Number != 1 {
			return nil
		}
		key, err := f.String()
		if err != nil {
			return err
		}
		if t.Check != nil {
			if err := t.Check(key); err != nil {
				return f.Errorf("a reference to a %s: %v", t.Kind, err)
			}
		}
		v = t.Make(Ref{id: NewID(t.Kind, key)})
		return nil
	})
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

// Codec is the codec of a reference by itself. A reference is immutable.
func (t *RefType[T]) Codec() Codec[T] { return Codec[T]{Append: t.Put, Decode: t.Take} }

// Bind returns the reference to the same grain through which e calls; nil stays nil.
func (t *RefType[T]) Bind(e Engine, v T) T {
	if any(v) == nil {
		return v
	}
	return t.Make(Ref{e, NewID(t.Kind, v.GrainID().Key())})
}

// Parse is ParseRef for the generated function that bears the interface's name: ParseUser(c, "wine.User/alice").
// The error is a *RefError.
func (t *RefType[T]) Parse(c Caller, text string) (T, error) {
	var none T
	r, err := ParseRef(c, t.Kind, text)
	if err != nil {
		return none, err
	}
	if t.Check != nil {
		if err := t.Check(r.id.key); err != nil {
			return none, &RefError{t.Kind, text, err.Error()}
		}
	}
	return t.Make(r), nil
}

// engineOf is the engine of an implementation, which its calls are made by.
func engineOf(impl any) Engine {
	if p, ok := impl.(Place); ok {
		return Of(p)
	}
	return nowhere{}
}
