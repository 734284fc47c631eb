package grains

import (
	"context"
	"path"
	"reflect"
	"runtime/debug"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// CallInfo is what an [Interceptor] is told of a call. Its fields:
//
//	Grain    ID     // is called
//	Method   string // the method's name
//	Traits   Traits // what the directives of the method say
//	Incoming bool   // the call is about to run here, inside its turn; else it is about to be made
//	Caller   ID     // the grain whose turn makes it, zero for none; of an incoming call, what the caller says
//	InBlock  bool   // the call is made in an atomic block
//
// Traits has the fields ReadOnly, Reentrant, OneWay, Idempotent and Stream, all bool, and prints as "readonly,
// reentrant".
type CallInfo = wire.CallInfo

// Interceptor is code of an application that happens around calls: tracing, metrics, logging, checks of its
// own. It calls next, which goes on with the call, and returns what next returned, or another error; package
// grains/telemetry is written with nothing else.
//
//	func slow(ctx context.Context, c grains.CallInfo, next func(context.Context) error) error {
//		began := time.Now()
//		err := next(ctx)
//		if d := time.Since(began); d > time.Second {
//			log.Print(c.Grain, c.Method, d)
//		}
//		return err
//	}
//
// Interceptors are given to silos (Config.Incoming, Config.Outgoing) and to clients (Config.Outgoing); the
// first one of a list is the outermost. They run on the goroutine of the call, many at a time, and must not
// block for long. A node without any pays nothing for them.
//
// An incoming one runs at the silo that runs the call, inside of the turn: no other turn of the grain begins
// meanwhile, except where the method allows it. It is not asked about calls that were refused before their
// turn (no lease, too much waits, a cycle, [ErrNoSuchMethod]). What it returns without having called next is
// to the caller an error of the method, one that it returns besides. A panic in it is one of the method
// ([ErrPanic]). The context that it gives to next must be made of its own.
//
// An outgoing one runs at the node where the call is made, by a client, a silo or a grain, once however often
// the call is sent; the error of next is what the caller would get. Each time that it calls next is a call of
// its own: calling again is safe after an [ErrNotExecuted], and for a method that is ReadOnly or Idempotent.
//
// A call of a grain on the same silo has both, the outgoing ones around the incoming ones.
//
// What an interceptor does may be done several times for what is one call to the application: the function of
// an atomic block runs again when the block is tried again, with all its calls; a call of a method that is
// ReadOnly or Idempotent, and of unknown fate, is sent again, so that incoming ones may see it twice, one
// after the other or even at two silos. In an atomic block nothing says, when the interceptor returns, that
// the block will commit.
type Interceptor = wire.Interceptor

// Only returns an interceptor for calls of grains of one kind, G: Only[wine.User](audit). Others pass it by. It
// panics if G is no grain interface.
func Only[G interface{ GrainID() ID }](i Interceptor) Interceptor {
	t := reflect.TypeFor[G]()
	if t.Kind() != reflect.Interface || t.Name() == "" {
		panic("grains: Only[" + t.String() + "]: name a grain interface, such as Only[wine.User]")
	}
	kind := kindOf(t)
	return func(ctx context.Context, c CallInfo, next func(context.Context) error) error {
		if c.Grain.Kind() != kind {
			return next(ctx)
		}
		return i(ctx, c, next)
	}
}

// kindOf is the name that grainc gives the kind of a grain interface.
func kindOf(t reflect.Type) string {
	prefix, main := t.PkgPath(), "main."+t.Name()
	if t.String() != main {
		return t.String()
	}
	if prefix == "main" { // of this program; a test names it by its path
		if info, ok := debug.ReadBuildInfo(); ok {
			prefix = info.Path
		}
	}
	return path.Base(prefix) + "." + t.Name()
}
