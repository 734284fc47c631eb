package roundtrip

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"time"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// engine hosts kinds, and sends every call through the encoders if it is remote. It is for one goroutine.
type engine struct {
	wire.Engine
	remote bool
	kinds  map[string]wire.Kind
	active map[wire.ID]any
}

func newEngine(kinds []wire.Kind) *engine {
	e := &engine{kinds: map[string]wire.Kind{}, active: map[wire.ID]any{}}
	for _, k := range kinds {
		e.kinds[k.Name()] = k
	}
	return e
}

// Call makes c.
func (e *engine) Call(ctx context.Context, to wire.ID, c wire.Invocation) error {
	kind := e.kinds[to.Kind()].Grain()
	impl := e.active[to]
	if impl == nil {
		core := wire.NewCore(to, activation{e, wire.NewStreams(0, func() {})})
		impl = kind.New(core.NewGrain())
		e.active[to] = impl
	}
	if !e.remote {
		return c.Run(ctx, impl)
	}
	m := kind.Method(c.Method().Info().Number)
	reply, err := m.Serve(ctx, impl, c.AppendArgs(nil), nil)
	if err != nil {
		return c.DecodeError(wire.AppendError(nil, err, m.ErrorTable()))
	}
	return c.DecodeResult(reply)
}

type activation struct {
	*engine
	streams *wire.Streams
}

func (a activation) Streams() *wire.Streams { return a.streams }

func (activation) Panicked(method string, value any, stack []byte) error {
	return fmt.Errorf("%s: %v\n%s", method, value, stack)
}

func (activation) Yielded(context.Context) error { return nil }

func (activation) Aside(_ context.Context, wait func() error) error { return wait() }

func (activation) Deactivate() {}

func (activation) KeepAlive(time.Duration) {}

func (activation) Touch(context.Context, wire.Cell) error { return nil }

func (activation) Changed(context.Context, wire.Cell) error { return nil }

// turn is one call: what the method got, and what it is to give.
type turn struct {
	method  string
	key     any
	got     []any
	result  reflect.Value
	results []reflect.Value // of a stream
	errs    []error         // beside them
	err     error
}

type turnKey struct{}

func (t *turn) begin(method string, key any, args []any) { t.method, t.key, t.got = method, key, args }

// Do is the body of a method that returns an error alone, Give that of one with a result, Stream that of a stream.
// key is the grain's, args are all that the method got.
func Do(ctx context.Context, method string, key any, args ...any) error {
	t := ctx.Value(turnKey{}).(*turn)
	t.begin(method, key, args)
	return t.err
}

// Give is the body of a method with a result.
func Give[R any](ctx context.Context, method string, key any, args ...any) (r R, err error) {
	t := ctx.Value(turnKey{}).(*turn)
	t.begin(method, key, args)
	if t.err == nil {
		reflect.ValueOf(&r).Elem().Set(t.result)
	}
	return r, t.err
}

// Stream is the body of a method that returns a stream.
func Stream[R any](ctx context.Context, method string, key any, args ...any) iter.Seq2[R, error] {
	t := ctx.Value(turnKey{}).(*turn)
	t.begin(method, key, args)
	return func(yield func(R, error) bool) {
		for n, one := range t.results {
			var r R
			if t.errs[n] == nil {
				reflect.ValueOf(&r).Elem().Set(one)
			}
			if !yield(r, t.errs[n]) {
				return
			}
		}
	}
}

// call calls a method of an interface through its stub, on this node and over the wire.
func (t *tryer) call(ref Ref, n int) {
	iface := reflect.TypeOf(ref.Get).Out(0)
	method := iface.Method(n)
	if method.Name == "GrainID" {
		return
	}
	for _, t.engine.remote = range []bool{false, true, true} {
		get := reflect.ValueOf(ref.Get)
		key := t.any(get.Type().In(1))
		stub := get.Call([]reflect.Value{reflect.ValueOf(t.caller), key})[0]
		if t.engine.kinds[stub.Interface().(wire.Referrer).GrainID().Kind()].Grain() == nil {
			return // it is implemented in another package
		}
		now := &turn{}
		ctx := context.WithValue(context.Background(), turnKey{}, now)
		args := []reflect.Value{reflect.ValueOf(ctx)}
		for p := range method.Type.NumIn() - 1 {
			args = append(args, t.any(method.Type.In(p+1)))
		}
		outs := method.Type.NumOut()
		stream := outs == 1 && method.Type.Out(0) != errorType
		switch {
		case stream:
			t.stream(now, stub.Method(n).Call(args)[0])
		default:
			if t.r.IntN(3) == 0 {
				now.err = t.err(0)
			} else if outs == 2 {
				now.result = t.any(method.Type.Out(0))
			}
			out := stub.Method(n).Call(args)
			err, _ := out[outs-1].Interface().(error)
			t.how = t.called("returned", false)
			if path := t.differentErrors(now.err, err, true); path != "" {
				t.fail("the method returns %v, and the call %v: they differ in %s", now.err, err, path)
			}
			if outs == 2 && err == nil {
				t.same(now.result, out[0], t.called("returned", false))
				if path := shared(now.result, out[0], 0); path != "" {
					t.fail("the result has %s in common with the method's", path)
				}
			}
		}
		if now.method != method.Name {
			t.fail("the call is one of %q", now.method)
		}
		t.same(key, reflect.ValueOf(now.key), how{text: "taken as the key of a grain", encoded: true})
		if len(now.got) != len(args)-1 {
			t.fail("the method got %d arguments of %d", len(now.got), len(args)-1)
		}
		for p, arg := range args[1:] {
			got := reflect.New(arg.Type()).Elem()
			if now.got[p] != nil {
				got.Set(reflect.ValueOf(now.got[p]))
			}
			t.same(arg, got, t.called("passed", true))
			if path := shared(arg, got, 0); path != "" {
				t.fail("argument %d of the method has %s in common with the caller's", p+1, path)
			}
		}
	}
}

// called is how for what went along with a call.
func (t *tryer) called(what string, passed bool) how {
	if t.engine.remote {
		what += " over the wire"
	}
	return how{text: what, encoded: t.engine.remote, passed: passed}
}

// stream reads a whole stream, or a part of it.
func (t *tryer) stream(now *turn, seq reflect.Value) {
	element := seq.Type().In(0).In(0)
	for range t.r.IntN(30) {
		err := error(nil)
		if t.r.IntN(6) == 0 {
			err = t.err(0)
		}
		now.results, now.errs = append(now.results, t.any(element)), append(now.errs, err)
	}
	n, stop := 0, len(now.results)+1
	if t.r.IntN(3) == 0 {
		stop = 1 + t.r.IntN(stop)
	}
	seq.Call([]reflect.Value{reflect.MakeFunc(seq.Type().In(0), func(in []reflect.Value) []reflect.Value {
		err, _ := in[1].Interface().(error)
		if n == len(now.results) {
			t.fail("the stream has another element: %v (%v)", in[0], err)
		}
		t.how = t.called("an element of a stream", false)
		if path := t.differentErrors(now.errs[n], err, true); path != "" {
			t.fail("element %d of the stream is the error %v and arrives as %v: they differ in %s", n, now.errs[n], err, path)
		}
		if err == nil {
			t.same(now.results[n], in[0], t.called("an element of a stream", false))
		}
		n++
		return []reflect.Value{reflect.ValueOf(n < stop)}
	})})
	if n < min(stop, len(now.results)) {
		t.fail("the stream ended after %d of %d elements", n, stop)
	}
}

// any makes a value.
func (t *tryer) any(of reflect.Type) reflect.Value {
	t.left = 30
	v := reflect.New(of).Elem()
	t.fill(v, 0)
	return v
}
