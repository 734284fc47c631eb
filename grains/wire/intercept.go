package wire

import "context"

// CallInfo is what an interceptor is told of a call.
type CallInfo struct {
	// Grain is called, Method is the name of its method, Traits what its directives say.
	Grain  ID
	Method string
	Traits Traits
	// Incoming: the call is about to run here, inside its turn. Else it is about to be made, here or
	// elsewhere.
	Incoming bool
	// Caller is the grain whose turn makes the call; zero where no turn does. Of an incoming call it is what
	// the caller says, which may be a client.
	Caller ID
	// InBlock: the call is made in an atomic block.
	InBlock bool
}

// Interceptor is something that happens around calls; see grains.Interceptor.
type Interceptor func(ctx context.Context, c CallInfo, next func(context.Context) error) error

// Intercept makes a call, with the interceptors around it, the first one outermost.
func Intercept(ctx context.Context, around []Interceptor, c CallInfo, call func(context.Context) error) error {
	if len(around) == 0 {
		return call(ctx)
	}
	return around[0](ctx, c, func(ctx context.Context) error { return Intercept(ctx, around[1:], c, call) })
}

// MakeCall is what a node does for a call that is made on it: call, with the outgoing interceptors around it.
// Of caller is the grain whose turn it is, zero for none.
func MakeCall(ctx context.Context, around []Interceptor, caller, to ID, inv Invocation, call func(context.Context) error) error {
	info := inv.Method().Info()
	return Intercept(ctx, around, CallInfo{
		Grain: to, Method: info.Name, Traits: inv.Traits(), Caller: caller, InBlock: BlockOf(ctx) != nil,
	}, call)
}
