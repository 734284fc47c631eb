package link

import (
	"context"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/view"
)

// Transport carries messages for hosts that know no package actor: requests to one service,
// notifications to the same or another. Its errors are package wire's.
type Transport struct {
	Peers    Peers         // of the requests' service
	Notified actor.Service // 0: the same
}

func (t Transport) notified() actor.Service {
	if t.Notified != 0 {
		return t.Notified
	}
	return t.Peers.Service
}

// Request sends a request to a silo.
func (t Transport) Request(ctx context.Context, to view.SiloID, payload []byte) ([]byte, error) {
	return Told(t.Peers.Request(ctx, to, payload))
}

// Notify sends a notification to a silo.
func (t Transport) Notify(to view.SiloID, payload []byte) error {
	return t.Peers.With(t.notified()).Notify(to, payload)
}

// RequestAt sends a request to an address, which may be a client's.
func (t Transport) RequestAt(ctx context.Context, addr string, payload []byte) ([]byte, error) {
	return Told(t.Peers.Node.Request(ctx, addr, t.Peers.Service, payload))
}

// NotifyAt sends a notification to an address.
func (t Transport) NotifyAt(addr string, payload []byte) error {
	return t.Peers.Node.Notify(addr, t.notified(), payload)
}
