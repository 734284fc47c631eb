package host

import (
	"context"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// intercepted runs a method with the incoming interceptors around it. It is for hosts that have any: the
// closures are theirs to pay for.
func (a *activation) intercepted(t *turn, impl any, r running) error {
	c := wire.CallInfo{Grain: a.id(), Method: r.name, Traits: r.traits, Incoming: true, InBlock: r.in != nil}
	if t.from != nil {
		c.Caller = t.from.activation.id()
	} else if n := len(t.chain); n > 0 {
		c.Caller = t.chain[n-1].Grain
	}
	err := wire.Intercept(t, a.host.Incoming, c, func(ctx context.Context) error {
		err := r.what.Run(ctx, impl)
		if f, ok := err.(*failure); ok {
			return f.error
		}
		return err
	})
	if err == nil {
		return nil
	}
	if s, ok := r.what.(*served); ok {
		return s.fail(err)
	}
	return wire.MethodError(err, r.method.ErrorTable()) // an interceptor's may be that of a call of its own
}
