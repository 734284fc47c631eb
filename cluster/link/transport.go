package link

import (
	"context"

	"github.com/martinelli-go/martinelli/cluster/view"
)

// Transport carries the messages of one service for hosts that know no package actor. Its errors are
// package wire's.
type Transport struct{ Peers Peers }

// Request sends a request to a silo.
func (t Transport) Request(ctx context.Context, to view.SiloID, payload []byte) ([]byte, error) {
	return Told(t.Peers.Request(ctx, to, payload))
}

// Notify sends a notification to a silo.
func (t Transport) Notify(to view.SiloID, payload []byte) error { return t.Peers.Notify(to, payload) }

// RequestAt sends a request to an address, which may be a client's.
func (t Transport) RequestAt(ctx context.Context, addr string, payload []byte) ([]byte, error) {
	return Told(t.Peers.Node.Request(ctx, addr, t.Peers.Service, payload))
}

// NotifyAt sends a notification to an address.
func (t Transport) NotifyAt(addr string, payload []byte) error {
	return t.Peers.Node.Notify(addr, t.Peers.Service, payload)
}
