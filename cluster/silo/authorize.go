package silo

import (
	"context"
	"fmt"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/link"
	variables "github.com/martinelli-go/martinelli/grains/variable/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// Here is everything by which a client can change something: calls of grains, operations on variables,
// entries of the log. Silos are not asked about: what they send was asked about where it came in.

// denied asks Config.Authorize. It is nil, or an error that is wire.ErrDenied.
func (s *run) denied(ctx context.Context, from actor.Peer, a wire.Access) error {
	a.Principal = from.Principal
	if err := s.config.Authorize(ctx, a); err != nil {
		return fmt.Errorf("%v: %w: %w", a, err, wire.ErrDenied)
	}
	return nil
}

// asked says whether what from sends is asked about.
func (s *run) asked(from actor.Peer) bool { return !from.Silo && s.config.Authorize != nil }

// serveCall is the handler of link.ServiceCalls.
func (s *run) serveCall(ctx context.Context, from actor.Peer, b []byte) ([]byte, error) {
	if from.Silo {
		return s.grains.Serve(ctx, b)
	}
	if !s.asked(from) {
		return s.grains.ServeClient(ctx, b)
	}
	req, err := link.DecodeCallRequest(b)
	if err != nil {
		return nil, fmt.Errorf("a call: %w", err)
	}
	// What does not exist is for the host to say.
	if k := s.kinds[req.To.Kind()].Grain(); k != nil && k.Method(req.Method) != nil {
		if err := s.denied(ctx, from, wire.Access{Grain: req.To, Method: k.Method(req.Method).Info().Name}); err != nil {
			return (&link.CallReply{Status: link.StatusDenied, Detail: err.Error()}).Append(nil), nil
		}
	}
	return s.grains.ServeClient(ctx, b)
}

// serveVariables is the handler of link.ServiceVariables.
func (s *run) serveVariables(ctx context.Context, from actor.Peer, b []byte) ([]byte, error) {
	if s.asked(from) {
		if id := variables.Written(b); !id.IsZero() {
			if err := s.denied(ctx, from, wire.Access{Variable: id}); err != nil {
				return variables.Refused(err), nil
			}
		}
	}
	return s.variables.ServeRequest(ctx, s.siloAt(from), b)
}

// entryDenied says why a client may not have an entry appended.
func (s *run) entryDenied(ctx context.Context, from actor.Peer, entry []byte) error {
	commands, err := commit.DecodeEntry(entry)
	if err != nil {
		return err
	}
	for _, c := range commands {
		switch c := c.(type) {
		case commit.Logged, commit.Left:
			return fmt.Errorf("only silos say what they have logged, and who has left: %w", wire.ErrDenied)
		case commit.Decision:
			if !s.asked(from) {
				continue
			}
			for _, o := range c.Ops {
				if err := s.denied(ctx, from, wire.Access{Variable: o.Variable}); err != nil {
					return err
				}
			}
			for _, w := range c.Writes {
				if err := s.denied(ctx, from, wire.Access{Grain: w.Key.Grain}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
