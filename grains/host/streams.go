package host

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Streams implements wire.StreamHost.
func (a *activation) Streams() *wire.Streams {
	a.wake()
	defer a.rest()
	if a.streams == nil {
		a.streams = wire.NewStreams(a.host.ReaderPause, a.endUnread)
		a.streams.Room = &a.host.streams
	}
	return a.streams
}

// streaming says whether somebody reads a stream; a.mu is held.
func (a *activation) streaming() bool { return a.streams != nil && a.streams.Open() > 0 }

// endUnread ends the streams whose readers pause, in a turn. Where it gets none it is called again.
func (a *activation) endUnread() {
	_, _ = a.run(a.host.life, running{method: ownTurn, name: "the end of a stream", what: unread{a}, own: true})
}

// ownTurn stands for a method where the host itself wants a turn.
var ownTurn wire.Handler = &wire.Method[struct{}, struct{}]{Args: wire.EmptyCodec, Result: wire.EmptyCodec}

type unread struct{ a *activation }

func (u unread) Run(ctx context.Context, _ any) error {
	u.a.Streams().Expire(ctx)
	return nil
}

// endStreams ends all streams, after the last turn.
func (a *activation) endStreams() {
	a.wake()
	streams := a.streams
	a.streams = nil
	a.rest()
	if streams != nil {
		streams.Close()
	}
}

// Panicked implements wire.StreamHost.
func (a *activation) Panicked(method string, value any, stack []byte) error {
	a.host.Logger.Error("a grain panicked", slog.String("grain", a.id().String()), slog.String("method", method),
		slog.Any("panic", value), slog.String("stack", string(stack)))
	return &wire.CallError{To: a.id(), Method: method, Cause: wire.ErrPanic, Detail: fmt.Sprint(value)}
}

// Aside implements wire.StreamHost.
func (a *activation) Aside(ctx context.Context, wait func() error) error {
	t := turnOf(ctx)
	if t == nil || t.activation != a {
		return wait()
	}
	return a.after(ctx, a.whileAway(ctx, t, wait))
}

// Yielded implements wire.StreamHost.
func (a *activation) Yielded(ctx context.Context) error {
	t := turnOf(ctx)
	if t == nil || t.opened.Load() == nil {
		return nil
	}
	err := &wire.CallError{To: a.id(), Method: t.method.Info().Name, Cause: wire.ErrYieldInBlock}
	t.opened.Load().Doom(err)
	return err
}
