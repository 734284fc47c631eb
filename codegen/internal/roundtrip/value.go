package roundtrip

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/martinelli-go/martinelli/grains/wire"
)

var (
	timeType  = reflect.TypeFor[time.Time]()
	errorType = reflect.TypeFor[error]()
	refType   = reflect.TypeFor[wire.Referrer]()
	protoType = reflect.TypeFor[*durationpb.Duration]()
	// What this keeps is looked at where unknown fields are, and nowhere else.
	unknownType = reflect.TypeFor[wire.Unknown]()
	zoneForFun  = time.FixedZone("far", 5*3600+1800)
)

func idOf(ref reflect.Value) wire.ID { return ref.Interface().(wire.Referrer).GrainID() }

func isRef(t reflect.Type) bool { return t.Kind() == reflect.Interface && t.Implements(refType) }

// mutable says whether values of a type can be changed through a copy.
func mutable(t reflect.Type, seen []reflect.Type) bool {
	return reaches(t, seen, func(t reflect.Type) bool {
		return t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Kind() == reflect.Pointer
	})
}

func (t *tryer) holdsRef(of reflect.Type, seen []reflect.Type) bool { return reaches(of, seen, isRef) }

func holdsError(t reflect.Type, seen []reflect.Type) bool {
	return reaches(t, seen, func(t reflect.Type) bool { return t == errorType })
}

// reaches says whether a type that does is t, or a part of it.
func reaches(t reflect.Type, seen []reflect.Type, does func(reflect.Type) bool) bool {
	for _, s := range seen {
		if s == t {
			return false
		}
	}
	if t == timeType || t == unknownType {
		return false
	}
	if does(t) {
		return true
	}
	seen = append(seen, t)
	switch t.Kind() {
	case reflect.Pointer:
		return t != protoType && reaches(t.Elem(), seen, does)
	case reflect.Slice, reflect.Array:
		return reaches(t.Elem(), seen, does)
	case reflect.Map:
		return reaches(t.Key(), seen, does) || reaches(t.Elem(), seen, does)
	case reflect.Struct:
		for n := range t.NumField() {
			if reaches(t.Field(n).Type, seen, does) {
				return true
			}
		}
	}
	return false
}

func (t *tryer) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(t.r.Uint32())
	}
	return b
}

// number is small, large, or anything.
func (t *tryer) number() uint64 {
	n := t.r.Uint64() >> t.r.IntN(64)
	if t.r.IntN(2) == 0 {
		return -n
	}
	return n
}

func (t *tryer) text() string {
	switch t.r.IntN(4) {
	case 0:
		return ""
	case 1:
		return string(t.bytes(t.r.IntN(200)))
	}
	return []string{"a", "a,b", `a\`, "wine/x", "ä", "7"}[t.r.IntN(6)]
}

// fill sets v to a random value. Nested ones become smaller, so that recursive types end.
func (t *tryer) fill(v reflect.Value, depth int) {
	if t.left--; t.r.IntN(8) == 0 {
		return
	}
	switch {
	case v.Type() == unknownType:
		return
	case v.Type() == timeType:
		v.Set(reflect.ValueOf(t.time()))
		return
	case v.Type() == errorType:
		if err := t.err(depth); err != nil {
			v.Set(reflect.ValueOf(err))
		}
		return
	case v.Type() == protoType:
		v.Set(reflect.ValueOf(&durationpb.Duration{Seconds: int64(t.number()), Nanos: int32(t.number())}))
		return
	case isRef(v.Type()):
		ref, ok := t.refs[v.Type()]
		if !ok {
			t.fail("no reference to a %v can be made", v.Type())
		}
		v.Set(t.reference(ref))
		return
	}
	size := 0
	if t.left > 0 && depth < 8 {
		size = t.r.IntN(4)
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(t.r.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(reflect.ValueOf(int64(t.number())).Convert(v.Type()).Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(reflect.ValueOf(t.number()).Convert(v.Type()).Uint())
	case reflect.Float32, reflect.Float64:
		v.SetFloat([]float64{0, math.Copysign(0, -1), 1.5, -2e30, math.Inf(1), math.NaN(), t.r.NormFloat64()}[t.r.IntN(7)])
	case reflect.String:
		v.SetString(t.text())
	case reflect.Pointer:
		if size > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			t.fill(v.Elem(), depth+1)
		}
	case reflect.Slice:
		// Nil and empty are both tried.
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(t.bytes(t.r.IntN(150)))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), size, size+t.r.IntN(2)))
		for n := range size {
			t.fill(v.Index(n), depth+1)
		}
	case reflect.Array:
		for n := range v.Len() {
			t.fill(v.Index(n), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range size {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			t.fill(key, depth+1)
			t.fill(value, depth+1)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for n := range v.NumField() {
			t.fill(v.Field(n), depth+1)
		}
	default:
		t.fail("no value of %v can be made", v.Type())
	}
}

func (t *tryer) time() time.Time {
	switch t.r.IntN(5) {
	case 0:
		return time.Now() // with a monotonic reading
	case 1:
		return time.Time{}.In(zoneForFun)
	case 2:
		return time.Unix(0, 0)
	case 3:
		return time.Unix(int64(t.number())>>8, int64(t.r.IntN(1e9))).UTC()
	}
	return time.Unix(t.r.Int64N(4e9), int64(t.r.IntN(1e9))).In(zoneForFun)
}

// err makes an error, of the package or of others.
func (t *tryer) err(depth int) error {
	n := t.r.IntN(3)
	switch {
	case n == 0 && len(t.p.Sentinels) > 0:
		return t.p.Sentinels[t.r.IntN(len(t.p.Sentinels))]
	case n == 1 && len(t.p.Structs) > 0 && depth < 3:
		form := reflect.TypeOf(t.p.Structs[t.r.IntN(len(t.p.Structs))])
		if form.Kind() == reflect.Pointer {
			v := reflect.New(form.Elem())
			t.fill(v.Elem(), 5)
			return v.Interface().(error)
		}
		v := reflect.New(form).Elem()
		t.fill(v, 5)
		return v.Interface().(error)
	}
	return errors.New(t.text())
}

// same fails unless got is what the documentation says becomes of want.
func (t *tryer) same(want, got reflect.Value, how how) {
	t.how = how
	if path := t.differ(want, got, false); path != "" {
		t.fail("%v differs when %s, in %s:\nwant %+v\ngot  %+v", want.Type(), how.text, path, want, got)
	}
}

// how says what a value has gone through.
type how struct {
	text string
	// encoded: times are in UTC. Errors inside of values are not copied by a call that is not encoded.
	encoded bool
	// passed: references are the receiver's.
	passed bool
}

// differ returns the path to where two values differ, "" where they are the same. What is inside of an error that
// a method returned is decoded with another table than what is inside of values.
func (t *tryer) differ(want, got reflect.Value, inError bool) string {
	switch {
	case want.Type() != got.Type():
		return fmt.Sprintf("the type, %v and %v", want.Type(), got.Type())
	case want.Type() == unknownType:
		return ""
	case want.Type() == timeType:
		a, b := want.Interface().(time.Time), got.Interface().(time.Time)
		if !a.Equal(b) || t.how.encoded && (b.Location() != time.UTC || b != b.Round(0)) {
			return fmt.Sprintf("the time, %v and %v", a, b)
		}
		return ""
	case want.Type() == errorType:
		a, _ := want.Interface().(error)
		b, _ := got.Interface().(error)
		return t.differentErrors(a, b, inError)
	case want.Type() == protoType:
		if !proto.Equal(want.Interface().(proto.Message), got.Interface().(proto.Message)) || want.IsNil() != got.IsNil() {
			return "the message"
		}
		return ""
	}
	switch want.Kind() {
	case reflect.Interface:
		if want.Interface() == got.Interface() {
			return ""
		}
		if !t.how.passed || want.IsNil() || got.IsNil() || idOf(want) != idOf(got) {
			return fmt.Sprintf("the reference, %v and %v", want, got)
		}
	case reflect.Float32, reflect.Float64:
		if math.Float64bits(want.Float()) != math.Float64bits(got.Float()) {
			return "the bits of a float"
		}
	case reflect.Pointer:
		if want.IsNil() || got.IsNil() {
			if want.IsNil() != got.IsNil() {
				return "nil"
			}
			return ""
		}
		return t.differ(want.Elem(), got.Elem(), inError)
	case reflect.Slice, reflect.Array:
		if want.Len() != got.Len() {
			return "the length"
		}
		if want.Kind() == reflect.Slice && got.Len() == 0 && !got.IsNil() {
			return "a slice that is empty and not nil"
		}
		for n := range want.Len() {
			if path := t.differ(want.Index(n), got.Index(n), inError); path != "" {
				return fmt.Sprintf("[%d]: %s", n, path)
			}
		}
	case reflect.Map:
		if want.Len() != got.Len() {
			return "the length"
		}
		if got.Len() == 0 && !got.IsNil() {
			return "a map that is empty and not nil"
		}
		for _, k := range want.MapKeys() {
			if !got.MapIndex(k).IsValid() {
				return fmt.Sprintf("key %+v", k)
			}
			if path := t.differ(want.MapIndex(k), got.MapIndex(k), inError); path != "" {
				return fmt.Sprintf("[%+v]: %s", k, path)
			}
		}
	case reflect.Struct:
		for n := range want.NumField() {
			if path := t.differ(want.Field(n), got.Field(n), inError); path != "" {
				return want.Type().Field(n).Name + ": " + path
			}
		}
	default:
		if want.Interface() != got.Interface() {
			return fmt.Sprintf("the value, %v and %v", want, got)
		}
	}
	return ""
}

// differentErrors compares an error with what arrives of it.
func (t *tryer) differentErrors(want, got error, returned bool) string {
	if want == nil || got == nil {
		if (want == nil) != (got == nil) {
			return fmt.Sprintf("an error, %v and %v", want, got)
		}
		return ""
	}
	if want.Error() != got.Error() {
		return fmt.Sprintf("the text of an error, %q and %q", want, got)
	}
	for _, known := range t.p.Sentinels {
		if errors.Is(want, known) != errors.Is(got, known) {
			return fmt.Sprintf("an error that is %v", known)
		}
	}
	for _, s := range t.p.Structs {
		form := reflect.TypeOf(s)
		if reflect.TypeOf(want) != form || !returned && holdsError(form, nil) {
			continue
		}
		found := reflect.New(form)
		if !errors.As(got, found.Interface()) {
			return fmt.Sprintf("an error that is a %v", form)
		}
		if !t.how.encoded {
			return ""
		}
		return t.differ(reflect.ValueOf(want), found.Elem(), false)
	}
	return ""
}

// shared returns the path to memory that can be changed and that two values have in common, "" for none.
func shared(a, b reflect.Value, depth int) string {
	if depth > 20 || a.Type() == timeType || a.Type() == unknownType || a.Kind() == reflect.Interface {
		return ""
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		sized := a.Kind() == reflect.Map || a.Type().Elem().Size() > 0
		if a.Kind() == reflect.Slice && a.Len() == 0 || a.IsNil() || b.IsNil() {
			return ""
		}
		if sized && a.Pointer() == b.Pointer() {
			return "this " + a.Type().String()
		}
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.Type() != protoType {
			return shared(a.Elem(), b.Elem(), depth+1)
		}
	case reflect.Slice, reflect.Array:
		for n := range a.Len() {
			if path := shared(a.Index(n), b.Index(n), depth+1); path != "" {
				return fmt.Sprintf("[%d] %s", n, path)
			}
		}
	case reflect.Map:
		for _, k := range a.MapKeys() {
			if path := shared(a.MapIndex(k), b.MapIndex(k), depth+1); path != "" {
				return fmt.Sprintf("[%v] %s", k, path)
			}
		}
	case reflect.Struct:
		for n := range a.NumField() {
			if path := shared(a.Field(n), b.Field(n), depth+1); path != "" {
				return a.Type().Field(n).Name + " " + path
			}
		}
	}
	return ""
}
