package actor

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

const (
	maxText = 4 << 10 // bytes of an error's text that travel
	maxAddr = 512     // bytes of a sender's address
)

// receive takes in what the transport brings. It never blocks, and trusts
// nothing in env, which is the transport's again unless it is kept; what its
// payload points to never is.
func (n *Node) receive(env *Envelope, from origin) (kept bool) {
	if n.left.Load() {
		return false
	}
	if env.Codec != codec || len(env.Sender) > maxAddr || env.Sender == "" || env.Service > 1<<16-1 || Service(env.Service).Channel() != from.channel {
		n.garbage("an envelope that breaks the rules", env)
		if env.Kind == Kind_KIND_REQUEST && env.Sender != "" && len(env.Sender) <= maxAddr {
			n.answer(env, &Envelope{Status: Status_STATUS_NOT_EXECUTED,
				Text: fmt.Sprintf("codec %d, service %d: this node speaks codec %d and services below 65536, each on its channel", env.Codec, env.Service, codec)})
		}
		return false
	}
	if from.peer == nil {
		from.peer = n.peer(env.Sender)
	}
	if !from.silo && from.peer.silo.Load() {
		n.garbage("an envelope of a client in a silo's name", env)
		return false
	}
	if env.TargetIncarnation != 0 && env.TargetIncarnation != n.cfg.Incarnation {
		if env.Kind == Kind_KIND_REQUEST {
			n.answer(env, &Envelope{Status: Status_STATUS_NOT_EXECUTED, Text: fmt.Sprintf(
				"it is for incarnation %d of this address, which is gone; %d answers now", env.TargetIncarnation, n.cfg.Incarnation)})
		}
		return false
	}
	n.meet(env, from)
	switch env.Kind {
	case Kind_KIND_REQUEST:
		return n.admit(env, from)
	case Kind_KIND_REPLY:
		n.reply(env, from)
	case Kind_KIND_NOTIFY:
		return n.inboxes.put(env, from)
	case Kind_KIND_CANCEL:
		n.served.cancel(callKey{from.peer, env.SenderIncarnation, env.Id, from.channel})
	case Kind_KIND_HELLO: // meet has done it
	default:
		n.garbage("an envelope of unknown kind", env)
	}
	return false
}

// meet notices that another incarnation speaks from a known address: what was
// asked of the earlier one will not be answered. Each channel notices for
// itself, since their connections end at different moments.
func (n *Node) meet(env *Envelope, from origin) {
	p := &from.peer.on[from.channel]
	before := p.incarnation.Load()
	if before == env.SenderIncarnation {
		return
	}
	if p.incarnation.CompareAndSwap(before, env.SenderIncarnation) && before != 0 && env.Sender != n.addr {
		n.transport.reset(env.Sender, from.channel)
		n.callerLost(env.Sender, from.channel)
	}
}

func (n *Node) garbage(what string, env *Envelope) {
	n.dropped.Add(1)
	n.cfg.Logger.Debug("dropped "+what, slog.String("node", n.addr), slog.Uint64("codec", uint64(env.GetCodec())),
		slog.Int("kind", int(env.GetKind())), slog.Uint64("service", uint64(env.GetService())))
}

// admit starts the handler of a request, and keeps env then, or refuses it.
func (n *Node) admit(env *Envelope, from origin) (kept bool) {
	if limit := n.cfg.limit(from.channel); len(env.Payload) > limit {
		n.answer(env, &Envelope{Status: Status_STATUS_REQUEST_TOO_LARGE, Size: uint64(len(env.Payload)), Limit: uint64(limit)})
		return false
	}
	h, ok := lookup(&n.handlers, Service(env.Service))
	if !ok {
		n.answer(env, &Envelope{Status: Status_STATUS_NOT_EXECUTED, Text: fmt.Sprintf("no handler for service %v at %s", Service(env.Service), n.addr)})
		return false
	}
	size := len(env.Payload)
	if why := n.work.begin(&n.cfg, from.peer, from.channel, size); why != nil {
		n.answer(env, &Envelope{Status: Status_STATUS_NOT_EXECUTED, Text: why.text, Limit: uint64(why.limit)})
		return false
	}
	remaining := time.Duration(env.Remaining)
	if remaining <= 0 {
		remaining = n.cfg.Timeout
	}
	s := &served{env: env, from: from, handler: h, size: size}
	s.deadline = time.Now().Add(remaining)
	if !n.served.add(s) { // a request delivered twice is served once
		n.work.end(from.peer, from.channel, size)
		n.garbage("a request that is being served already", env)
		return false
	}
	n.crew.run(n, s)
	return true
}

// do serves a request that was admitted.
func (n *Node) do(s *served) {
	defer n.work.end(s.from.peer, s.from.channel, s.size)
	defer s.end()
	re := n.serve(s)
	if n.served.remove(s.key()) { // else nobody waits
		n.answer(s.env, re)
	}
}

// sender is who sent env.
func (o origin) sender(env *Envelope) Peer {
	return Peer{env.Sender, env.SenderIncarnation, o.silo, o.principal}
}

// serve runs a handler and turns what it returns into a reply.
func (n *Node) serve(s *served) (re *Envelope) {
	env := s.env
	defer func() {
		if r := recover(); r != nil {
			n.cfg.Logger.Error("a request's handler panicked", slog.String("node", n.addr),
				slog.Uint64("service", uint64(env.Service)), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			re = &Envelope{Status: Status_STATUS_FAILED, Text: clip(fmt.Sprintf("the handler panicked: %v", r))}
		}
	}()
	payload, err := s.handler(s, s.from.sender(env), env.Payload)
	if err == nil {
		return n.bounded(&Envelope{Payload: payload}, s.from.channel)
	}
	var refused *refusal
	var wire WireError
	switch {
	case errors.As(err, &wire):
		return n.bounded(&Envelope{Status: Status_STATUS_FAILED, Text: clip(err.Error()), Payload: wire.WireError()}, s.from.channel)
	case errors.As(err, &refused):
		return &Envelope{Status: Status_STATUS_NOT_EXECUTED, Text: clip(err.Error())}
	}
	return &Envelope{Status: Status_STATUS_FAILED, Text: clip(err.Error())}
}

// bounded replaces an answer over the limit by the error that says so.
func (n *Node) bounded(re *Envelope, ch Channel) *Envelope {
	limit := n.cfg.limit(ch)
	if len(re.Payload) <= limit {
		return re
	}
	return &Envelope{Status: Status_STATUS_REPLY_TOO_LARGE, Size: uint64(len(re.Payload)), Limit: uint64(limit)}
}

// answer sends re as the reply to env. When it cannot be sent the caller
// learns from the loss of the connection.
func (n *Node) answer(env, re *Envelope) {
	re.Codec, re.Kind, re.Id, re.Service = codec, Kind_KIND_REPLY, env.Id, env.Service
	re.Sender, re.SenderIncarnation, re.TargetIncarnation = n.addr, n.cfg.Incarnation, env.SenderIncarnation
	if err := n.transport.send(outgoing{to: env.Sender, env: re}); err != nil {
		n.cfg.Logger.Debug("a reply could not be sent", slog.String("node", n.addr), slog.String("to", env.Sender), slog.Any("error", err))
	}
}

func clip(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return validText(text)
}
