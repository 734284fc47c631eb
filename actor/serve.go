package actor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

const (
	maxText = 4 << 10 // bytes of an error's text that travel
	maxAddr = 512     // bytes of a sender's address
)

// receive takes in what the transport brings. It never blocks, keeps env, and
// trusts nothing in it.
func (n *Node) receive(env *Envelope, from origin) {
	if n.left.Load() {
		return
	}
	if env.Codec != codec || len(env.Sender) > maxAddr || env.Sender == "" || env.Service > 1<<16-1 || Service(env.Service).Channel() != from.channel {
		n.garbage("an envelope that breaks the rules", env)
		if env.Kind == Kind_KIND_REQUEST && env.Sender != "" && len(env.Sender) <= maxAddr {
			n.answer(env, &Envelope{Status: Status_STATUS_NOT_EXECUTED,
				Text: fmt.Sprintf("codec %d, service %d: this node speaks codec %d and services below 65536, each on its channel", env.Codec, env.Service, codec)})
		}
		return
	}
	if !from.silo && n.peer(env.Sender).silo.Load() {
		n.garbage("an envelope of a client in a silo's name", env)
		return
	}
	if env.TargetIncarnation != 0 && env.TargetIncarnation != n.cfg.Incarnation {
		if env.Kind == Kind_KIND_REQUEST {
			n.answer(env, &Envelope{Status: Status_STATUS_NOT_EXECUTED, Text: fmt.Sprintf(
				"it is for incarnation %d of this address, which is gone; %d answers now", env.TargetIncarnation, n.cfg.Incarnation)})
		}
		return
	}
	n.meet(env, from.channel)
	switch env.Kind {
	case Kind_KIND_REQUEST:
		n.admit(env, from)
	case Kind_KIND_REPLY:
		n.reply(env, from)
	case Kind_KIND_NOTIFY:
		n.inboxes.put(env, from)
	case Kind_KIND_CANCEL:
		n.served.cancel(callKey{env.Sender, env.SenderIncarnation, env.Id, from.channel})
	case Kind_KIND_HELLO: // meet has done it
	default:
		n.garbage("an envelope of unknown kind", env)
	}
}

// meet notices that another incarnation speaks from a known address: what was
// asked of the earlier one will not be answered. Each channel notices for
// itself, since their connections end at different moments.
func (n *Node) meet(env *Envelope, ch Channel) {
	p := &n.peer(env.Sender).on[ch]
	before := p.incarnation.Load()
	if before == env.SenderIncarnation {
		return
	}
	if p.incarnation.CompareAndSwap(before, env.SenderIncarnation) && before != 0 && env.Sender != n.addr {
		n.transport.reset(env.Sender, ch)
		n.callerLost(env.Sender, ch)
	}
}

func (n *Node) garbage(what string, env *Envelope) {
	n.dropped.Add(1)
	n.cfg.Logger.Debug("dropped "+what, slog.String("node", n.addr), slog.Uint64("codec", uint64(env.GetCodec())),
		slog.Int("kind", int(env.GetKind())), slog.Uint64("service", uint64(env.GetService())))
}

// admit starts the handler of a request on its goroutine, or refuses it.
func (n *Node) admit(env *Envelope, from origin) {
	if limit := n.cfg.limit(from.channel); len(env.Payload) > limit {
		n.answer(env, &Envelope{Status: Status_STATUS_REQUEST_TOO_LARGE, Size: uint64(len(env.Payload)), Limit: uint64(limit)})
		return
	}
	h, ok := lookup(&n.handlers, Service(env.Service))
	if !ok {
		n.answer(env, &Envelope{Status: Status_STATUS_NOT_EXECUTED, Text: fmt.Sprintf("no handler for service %v at %s", Service(env.Service), n.addr)})
		return
	}
	p, size := n.peer(env.Sender), len(env.Payload)
	if why := n.work.begin(&n.cfg, p, from.channel, size); why != nil {
		n.answer(env, &Envelope{Status: Status_STATUS_NOT_EXECUTED, Text: why.text, Limit: uint64(why.limit)})
		return
	}
	remaining := time.Duration(env.Remaining)
	if remaining <= 0 {
		remaining = n.cfg.Timeout
	}
	key := callKey{env.Sender, env.SenderIncarnation, env.Id, from.channel}
	ctx, cancel := context.WithTimeout(context.Background(), remaining)
	if !n.served.add(key, cancel) { // a request delivered twice is served once
		cancel()
		n.work.end(p, from.channel, size)
		n.garbage("a request that is being served already", env)
		return
	}
	go func() {
		defer n.work.end(p, from.channel, size)
		defer cancel()
		re := n.serve(ctx, h, env, from)
		if n.served.remove(key) { // else nobody waits
			n.answer(env, re)
		}
	}()
}

// peer is who sent env.
func (o origin) peer(env *Envelope) Peer {
	return Peer{env.Sender, env.SenderIncarnation, o.silo, o.principal}
}

// serve runs a handler and turns what it returns into a reply.
func (n *Node) serve(ctx context.Context, h Handler, env *Envelope, from origin) (re *Envelope) {
	defer func() {
		if r := recover(); r != nil {
			n.cfg.Logger.Error("a request's handler panicked", slog.String("node", n.addr),
				slog.Uint64("service", uint64(env.Service)), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			re = &Envelope{Status: Status_STATUS_FAILED, Text: clip(fmt.Sprintf("the handler panicked: %v", r))}
		}
	}()
	payload, err := h(ctx, from.peer(env), env.Payload)
	if err == nil {
		return n.bounded(&Envelope{Payload: payload}, from.channel)
	}
	var refused *refusal
	var wire WireError
	switch {
	case errors.As(err, &wire):
		return n.bounded(&Envelope{Status: Status_STATUS_FAILED, Text: clip(err.Error()), Payload: wire.WireError()}, from.channel)
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

// callKey names a request among all that a node serves.
type callKey struct {
	sender      string
	incarnation uint64
	id          uint64
	channel     Channel
}

// servedTable holds how to cancel each request that is being served.
type servedTable struct {
	shard [shards]struct {
		sync.Mutex
		cancels map[callKey]context.CancelFunc
		_       [48]byte // a cache line each
	}
}

func (t *servedTable) init() {
	for i := range t.shard {
		t.shard[i].cancels = map[callKey]context.CancelFunc{}
	}
}

// add reports false when the request is being served already.
func (t *servedTable) add(k callKey, cancel context.CancelFunc) bool {
	s := &t.shard[k.id%shards]
	s.Lock()
	defer s.Unlock()
	if _, twice := s.cancels[k]; twice {
		return false
	}
	s.cancels[k] = cancel
	return true
}

// remove reports whether the request had not been cancelled.
func (t *servedTable) remove(k callKey) bool {
	s := &t.shard[k.id%shards]
	s.Lock()
	defer s.Unlock()
	_, ok := s.cancels[k]
	delete(s.cancels, k)
	return ok
}

func (t *servedTable) cancel(k callKey) {
	s := &t.shard[k.id%shards]
	s.Lock()
	cancel := s.cancels[k]
	delete(s.cancels, k)
	s.Unlock()
	if cancel != nil {
		cancel()
	}
}

func (t *servedTable) cancelFrom(addr string, ch Channel) {
	t.cancelIf(func(k callKey) bool { return k.sender == addr && k.channel == ch })
}

func (t *servedTable) cancelAll() {
	t.cancelIf(func(callKey) bool { return true })
}

func (t *servedTable) cancelIf(which func(callKey) bool) {
	var cancels []context.CancelFunc
	for i := range t.shard {
		s := &t.shard[i]
		s.Lock()
		for k, cancel := range s.cancels {
			if which(k) {
				cancels = append(cancels, cancel)
				delete(s.cancels, k)
			}
		}
		s.Unlock()
	}
	for _, cancel := range cancels { // outside the locks: it runs others' code
		cancel()
	}
}
