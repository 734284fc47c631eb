// Package roundtrip sends random values through the encoders that grainc generates, and through the calls that use
// them, and says where what comes back is not what the documentation of grainc promises. It is for grainc's own
// tests: it looks at all types by reflection, so that one body serves whatever was generated.
package roundtrip

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Package is what there is to try of one package, or of several that share no errors.
type Package struct {
	Name     string
	Handlers []wire.Handler
	Kinds    []wire.Kind
	Refs     []Ref
	// Sentinels are the variables Err…, Structs one value of each form of error struct.
	Sentinels, Structs []error
}

// Ref is the generated functions GetX and ParseX of an interface X.
type Ref struct{ Get, Parse any }

// tryer tries one package.
type tryer struct {
	r      *rand.Rand
	p      Package
	caller wire.AtCaller
	engine *engine
	// refs are the functions by the type of the interface.
	refs map[reflect.Type]Ref
	left int // values that fill may still make
	how  how // what is compared has gone through
}

// failure is what a tryer panics with.
type failure struct{ text string }

func (t *tryer) fail(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

// Run tries that many values for each encoder of p, and calls for each method of Kinds. The refs are those of all
// interfaces, of imported packages too. The error says what is wrong where; equal seeds try equal values.
func (p Package) Run(seed uint64, values int, refs []Ref) (err error) {
	t := &tryer{r: rand.New(rand.NewPCG(seed, 1)), p: p, engine: newEngine(p.Kinds), refs: map[reflect.Type]Ref{}}
	t.caller = wire.NewCaller(t.engine)
	at := ""
	defer func() {
		switch e := recover().(type) {
		case nil:
		case failure:
			err = fmt.Errorf("%s: %s: %s", p.Name, at, e.text)
		default:
			panic(fmt.Sprintf("%s: %s: %v", p.Name, at, e))
		}
	}()
	for _, ref := range refs {
		t.refs[reflect.TypeOf(ref.Get).Out(0)] = ref
	}
	handlers := slices.Clone(p.Handlers)
	for _, k := range p.Kinds {
		for _, h := range k.Grain().Methods {
			if h != nil && !slices.Contains(handlers, h) {
				handlers = append(handlers, h)
			}
		}
	}
	for _, h := range handlers {
		info := h.Info()
		m := reflect.ValueOf(h).Elem()
		for _, part := range [][2]string{{"Args", "BindArgs"}, {"Result", "BindResult"}, {"Element", "BindElement"}} {
			if codec := m.FieldByName(part[0]); codec.IsValid() {
				at = fmt.Sprintf("%s of %s.%s", part[0], info.Of.Kind, info.Name)
				t.codec(codec, m.FieldByName(part[1]), values)
			}
		}
	}
	for _, ref := range p.Refs {
		at = fmt.Sprint(reflect.TypeOf(ref.Get).Out(0))
		t.keys(ref)
	}
	for _, ref := range p.Refs {
		iface := reflect.TypeOf(ref.Get).Out(0)
		for n := range iface.NumMethod() {
			at = fmt.Sprintf("a call of %v.%s", iface, iface.Method(n).Name)
			t.call(ref, n)
		}
	}
	return nil
}

// coder calls one codec, whose type is not known.
type coder struct {
	*tryer
	typ                      reflect.Type
	append, dec, clone, bind reflect.Value
}

func (c *coder) encode(b []byte, v reflect.Value) []byte {
	return c.append.Call([]reflect.Value{reflect.ValueOf(b), v})[0].Bytes()
}

func (c *coder) decode(b []byte) (reflect.Value, error) {
	out := c.dec.Call([]reflect.Value{reflect.ValueOf(b)})
	err, _ := out[1].Interface().(error)
	return out[0], err
}

// mustDecode decodes what was encoded, and binds it.
func (c *coder) mustDecode(b []byte, v reflect.Value) reflect.Value {
	got, err := c.decode(b)
	if err != nil {
		c.fail("%x, which %+v is encoded as, is not decoded: %v", b, v, err)
	}
	return c.bound(got)
}

func (c *coder) bound(v reflect.Value) reflect.Value {
	if c.bind.IsNil() {
		return v
	}
	return c.bind.Call([]reflect.Value{reflect.ValueOf(c.engine), v})[0]
}

func (t *tryer) codec(codec, bind reflect.Value, values int) {
	c := &coder{
		tryer: t, append: codec.FieldByName("Append"), dec: codec.FieldByName("Decode"), clone: codec.FieldByName("Clone"), bind: bind,
	}
	c.typ = c.dec.Type().Out(0)
	if mutable(c.typ, nil) == c.clone.IsNil() {
		c.fail("%v is mutable: %v; it has a clone: %v", c.typ, mutable(c.typ, nil), !c.clone.IsNil())
	}
	if t.holdsRef(c.typ, nil) == c.bind.IsNil() {
		c.fail("%v holds references: %v; they are bound: %v", c.typ, t.holdsRef(c.typ, nil), !c.bind.IsNil())
	}
	c.value(reflect.Zero(c.typ))
	for range values {
		t.left = 60
		v := reflect.New(c.typ).Elem()
		t.fill(v, 0)
		c.value(v)
	}
	for range values {
		c.hostile(t.noise())
	}
}

// value tries one value.
func (c *coder) value(v reflect.Value) {
	b := c.encode(nil, v)
	got := c.mustDecode(b, v)
	c.same(v, got, how{text: "decoded", encoded: true})
	if again := c.encode(nil, v); !bytes.Equal(b, again) {
		c.fail("%+v is encoded as %x and as %x", v, b, again)
	}
	if again := c.encode([]byte("before"), v); !bytes.Equal(append([]byte("before"), b...), again) {
		c.fail("%+v is encoded as %x, and after other bytes as %x", v, b, again)
	}
	if again := c.encode(nil, got); !bytes.Equal(b, again) && !holdsError(c.typ, nil) {
		c.fail("%+v is encoded as %x, and once decoded as %x", v, b, again)
	}
	scribbled := bytes.Clone(b)
	got = c.mustDecode(scribbled, v)
	for n := range scribbled {
		scribbled[n] ^= 0xff
	}
	c.same(v, got, how{text: "decoded from bytes that changed later", encoded: true})
	unknown := protowire.AppendString(protowire.AppendTag(bytes.Clone(b), 7777, protowire.BytesType), "of a newer sender")
	got = c.mustDecode(unknown, v)
	c.same(v, got, how{text: "decoded with an unknown field", encoded: true})
	want := b
	if keepsUnknown(c.typ) {
		want = unknown
	}
	if again := c.encode(nil, got); !bytes.Equal(want, again) && !holdsError(c.typ, nil) {
		c.fail("%x has an unknown field, and once decoded is encoded as %x", unknown, again)
	}
	c.clones(v, b)
	for n := range 4 {
		c.hostile(b[:len(b)*n/4])
	}
	for range 6 {
		c.hostile(c.mutate(bytes.Clone(b)))
	}
}

// keepsUnknown says whether a struct has a field for unknown fields.
func keepsUnknown(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for n := range t.NumField() {
		if t.Field(n).Type == unknownType {
			return true
		}
	}
	return false
}

func (c *coder) clones(v reflect.Value, b []byte) {
	if c.clone.IsNil() {
		return
	}
	copied := c.clone.Call([]reflect.Value{v})[0]
	// A copy is what the receiver of a local call gets, and is bound in place.
	c.same(v, c.bound(copied), how{text: "copied"})
	if path := shared(v, copied, 0); path != "" {
		c.fail("a copy of %+v has %s in common with it", v, path)
	}
	if again := c.encode(nil, copied); !bytes.Equal(b, again) {
		c.fail("%+v is encoded as %x, and once copied as %x", v, b, again)
	}
}

// hostile tries bytes that nobody vouches for: they give an error and no value, or a value that round-trips.
func (c *coder) hostile(b []byte) {
	defer func() {
		if e := recover(); e != nil {
			if f, ok := e.(failure); ok {
				panic(f)
			}
			c.fail("decoding %x panics: %v", b, e)
		}
	}()
	v, err := c.decode(b)
	if err != nil {
		if !v.IsZero() {
			c.fail("%x is not decoded, and gives %+v all the same", b, v)
		}
		return
	}
	once := c.encode(nil, v)
	again, err := c.decode(once)
	if err != nil {
		c.fail("%x is decoded, but not when it is encoded again, as %x: %v", b, once, err)
	}
	if twice := c.encode(nil, again); !bytes.Equal(once, twice) {
		c.fail("%x is decoded and encoded again as %x and then as %x", b, once, twice)
	}
}

func (t *tryer) mutate(b []byte) []byte {
	for range 1 + t.r.IntN(3) {
		if len(b) == 0 {
			break
		}
		switch i := t.r.IntN(len(b)); t.r.IntN(4) {
		case 0:
			b[i] = byte(t.r.Uint32())
		case 1:
			b[i] ^= 1 << t.r.IntN(8)
		case 2:
			b = append(b[:i], b[i+1:]...)
		case 3:
			b = append(b, b[:i]...)
		}
	}
	return b
}

// noise is bytes that look like fields, or like nothing.
func (t *tryer) noise() (b []byte) {
	for range t.r.IntN(6) {
		typ := protowire.Type(t.r.IntN(6))
		b = protowire.AppendTag(b, protowire.Number(1+t.r.IntN(4)), typ)
		switch typ {
		case protowire.VarintType:
			b = protowire.AppendVarint(b, t.r.Uint64()>>t.r.IntN(64))
		case protowire.BytesType:
			b = protowire.AppendBytes(b, t.noise())
		default:
			b = append(b, t.bytes(t.r.IntN(9))...)
		}
	}
	return b
}

// keys tries the text of references.
func (t *tryer) keys(ref Ref) {
	for range 5 {
		a := t.reference(ref)
		out := reflect.ValueOf(ref.Parse).Call([]reflect.Value{reflect.ValueOf(t.caller), reflect.ValueOf(idOf(a).String())})
		if !out[1].IsNil() || out[0].Interface() != a.Interface() {
			t.fail("%v is parsed as %v (%v)", a, out[0], out[1])
		}
	}
}

// reference makes a reference with a random key.
func (t *tryer) reference(ref Ref) reflect.Value {
	get := reflect.ValueOf(ref.Get)
	key := reflect.New(get.Type().In(1)).Elem()
	t.left = max(t.left, 10)
	t.fill(key, 0)
	return get.Call([]reflect.Value{reflect.ValueOf(t.caller), key})[0]
}
