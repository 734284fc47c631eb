package actor

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
	"unicode/utf8"
)

const (
	maxText = 4 << 10 // bytes of an error's text that travel
	maxAddr = 512     // bytes of a sender's address
)

// arrival is the memory that one message needs.
type arrival struct {
	env    Envelope
	served served // of a request
}

// receive takes in what the transport brings. It never blocks, and trusts
// nothing in what arrived, which is the transport's again unless it is kept; what
// its payload points to never is.
func (n *Node) receive(a *arrival, from origin) (kept bool) {
	env := &a.env
	if from.peer == nil {
		from.peer = n.peer(env.Sender)
	}
	if n.left.Load() || !n.accepts(env, from) {
		return false
	}
	if env.Kind != Kind_KIND_REPLY {
		env.Text = "" // nobody counts it
	}
	n.meet(env, from)
	switch env.Kind {
	case Kind_KIND_REQUEST:
		return n.admit(a, from)
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

// accepts says whether env is for this node, and of who it says that it is. A
// request that is not is refused.
func (n *Node) accepts(env *Envelope, from origin) bool {
	if env.Codec != codec || len(env.Sender) > maxAddr || env.Sender == "" || env.Service > 1<<16-1 || Service(env.Service).Channel() != from.channel {
		n.garbage("an envelope that breaks the rules", env)
		if env.Kind == Kind_KIND_REQUEST && env.Sender != "" && len(env.Sender) <= maxAddr {
			n.answer(env, &Envelope{Status: Status_STATUS_NOT_EXECUTED,
				Text: fmt.Sprintf("codec %d, service %d: this node speaks codec %d and services below 65536, each on its channel", env.Codec, env.Service, codec)})
		}
		return false
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
	return true
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

// admit starts the handler of a request, and keeps a then, or refuses it.
func (n *Node) admit(a *arrival, from origin) (kept bool) {
	env := &a.env
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
		if why.limit > 0 {
			n.refused.Add(1)
		}
		n.answer(env, &Envelope{Status: Status_STATUS_NOT_EXECUTED, Text: why.text, Limit: uint64(why.limit)})
		return false
	}
	remaining := time.Duration(env.Remaining)
	if remaining <= 0 {
		remaining = n.cfg.Timeout
	}
	s := &a.served
	s.env, s.from, s.handler, s.size, s.deadline = env, from, h, size, time.Now().Add(remaining)
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
	n.serve(s)
	if n.served.remove(s.key()) { // else nobody waits
		n.answer(s.env, s.env)
	}
}

// sender is who sent env.
func (o origin) sender(env *Envelope) Peer {
	return Peer{env.Sender, env.SenderIncarnation, o.silo, o.principal}
}

// serve runs a handler and makes a reply of the request, in its memory.
func (n *Node) serve(s *served) {
	env := s.env
	defer func() {
		if r := recover(); r != nil {
			n.cfg.Logger.Error("a request's handler panicked", slog.String("node", n.addr),
				slog.Uint64("service", uint64(env.Service)), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			env.Status, env.Text, env.Payload = Status_STATUS_FAILED, clip(fmt.Sprintf("the handler panicked: %v", r)), nil
		}
	}()
	payload, err := s.handler(s, s.from.sender(env), env.Payload)
	env.Status, env.Text, env.Size, env.Limit, env.Payload = Status_STATUS_OK, "", 0, 0, payload
	if err != nil {
		var refused *refusal
		var wire WireError
		env.Status, env.Text, env.Payload = Status_STATUS_FAILED, clip(err.Error()), nil
		switch {
		case errors.As(err, &wire):
			env.Payload = wire.WireError()
		case errors.As(err, &refused):
			env.Status = Status_STATUS_NOT_EXECUTED
		}
	}
	if limit := n.cfg.limit(s.from.channel); len(env.Payload) > limit { // the error that says so takes its place
		env.Status, env.Text, env.Size, env.Limit, env.Payload = Status_STATUS_REPLY_TOO_LARGE, "", uint64(len(env.Payload)), uint64(limit), nil
	}
}

// answer sends re as the reply to env, of which it may be made. When it cannot
// be sent the caller learns from the loss of the connection.
func (n *Node) answer(env, re *Envelope) {
	to := env.Sender
	re.Codec, re.Kind, re.Id, re.Service, re.Remaining = codec, Kind_KIND_REPLY, env.Id, env.Service, 0
	re.Sender, re.SenderIncarnation, re.TargetIncarnation = n.addr, n.cfg.Incarnation, env.SenderIncarnation
	if err := n.transport.send(outgoing{to: to, env: re}); err != nil {
		n.cfg.Logger.Debug("a reply could not be sent", slog.String("node", n.addr), slog.String("to", to), slog.Any("error", err))
	}
}

// clip makes text fit to travel.
func clip(text string) string {
	// What takes the place of bytes that are not UTF-8 may be longer than they.
	text = validText(text[:min(len(text), maxText)])
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
