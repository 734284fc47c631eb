package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Leader asks the leader of the log, wherever it is.
type Leader struct {
	Peers Peers // of ServicePropose
	// Self is this silo, whose requests go to Local without a message; "" on a client.
	Self  view.SiloID
	Local func(ctx context.Context, r *LeaderRequest) *LeaderReply
	// Patience is how long one silo may take to answer, an entry to be applied: longer than an election. Default
	// 2 seconds.
	Patience time.Duration
	// Hint tells who this node believes to lead, and where that is; nil on a client.
	Hint func() (LeaderAt, bool)

	last    atomic.Pointer[LeaderAt] // who led when asked last
	shunned atomic.Pointer[shunned]  // who could not be reached last
}

// LeaderAt is a silo that may lead the log. Who leads may be in no view yet, so Addr is its address as the log has
// it, and counts where the view has none; "" if not known.
type LeaderAt struct {
	ID   view.SiloID
	Addr string
}

// shunned is a silo that is asked through others for a moment: a connection that was lost may refuse for seconds,
// while others reach the silo well.
type shunned struct {
	id    view.SiloID
	until time.Time
}

// shunTime is for how long.
const shunTime = time.Second

// Do asks until the leader has answered, or ctx ends. The error is wire.ErrNotExecuted where an entry
// surely was not appended, wire.ErrDenied where it may not be, wire.ErrTooLarge where it never can be, and wire.ErrUnknown where it may have
// been.
func (l *Leader) Do(ctx context.Context, r *LeaderRequest) (*LeaderReply, error) {
	refusal := "no silo is known"
	for try := 0; ; try++ {
		if to, ok := l.guess(try); ok {
			to, passed := l.detour(to, try)
			reply, err := l.ask(ctx, to, r, passed)
			l.shun(to.ID, passed, err)
			switch {
			case errors.Is(err, wire.ErrUnknown) && r.Op == OpPropose, errors.Is(err, wire.ErrTooLarge):
				if !passed && errors.Is(err, wire.ErrUnknown) {
					l.last.Store(nil)
				}
				return nil, err
			case err != nil:
				refusal = err.Error()
				if !passed {
					l.last.Store(nil)
				}
			case reply.Status == LeaderOK:
				if !passed {
					l.last.Store(&to)
				}
				return reply, nil
			case reply.Status == LeaderTooLarge:
				return nil, fmt.Errorf("the log's leader %s: %s: %w", to.ID, reply.Detail, wire.ErrTooLarge)
			case reply.Status == LeaderDenied:
				return nil, fmt.Errorf("the log's leader %s: %s: %w", to.ID, reply.Detail, wire.ErrDenied)
			case reply.Status == LeaderInDoubt:
				return nil, fmt.Errorf("the log's leader %s: %s: %w", to.ID, reply.Detail, wire.ErrUnknown)
			default:
				refusal = reply.Detail
				l.last.Store(nil)
				if reply.Leader != "" && reply.Leader != to.ID {
					l.last.Store(&LeaderAt{reply.Leader, reply.Addr})
				}
			}
		}
		pause := min(time.Duration(try/2)*5*time.Millisecond, 50*time.Millisecond)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no leader of the log took the request before the context ended (%v; the last refusal: %s): %w", context.Cause(ctx), refusal, wire.ErrNotExecuted)
		}
	}
}

// guess names a silo that may lead: who was named last, who this node follows, or each in turn.
func (l *Leader) guess(try int) (LeaderAt, bool) {
	if last := l.last.Load(); last != nil {
		return *last, true
	}
	if l.Hint != nil && try%3 != 2 {
		return l.Hint()
	}
	v := l.Peers.Views.Current()
	if v == nil || len(v.Members) == 0 {
		return LeaderAt{}, false
	}
	if l.Hint != nil {
		try /= 3 // each in turn, also where their number is a multiple of three
	}
	return LeaderAt{ID: v.Members[try%len(v.Members)].ID}, true
}

// detour names another silo in the place of one that could not be reached a moment ago, each in turn, which shall
// pass the request on.
func (l *Leader) detour(to LeaderAt, try int) (_ LeaderAt, passed bool) {
	s := l.shunned.Load()
	if s == nil || s.id != to.ID || time.Now().After(s.until) || l.Peers.Views.Current() == nil {
		return to, false
	}
	others := slices.DeleteFunc(l.Peers.Views.Current().Living(), func(m view.Member) bool { return m.ID == to.ID || m.ID == l.Self })
	if len(others) == 0 {
		return to, false
	}
	return LeaderAt{ID: others[try%len(others)].ID}, true
}

// shun notes whether a silo could be reached. Where the detour fails too, the next try is straight again.
func (l *Leader) shun(id view.SiloID, passed bool, err error) {
	switch {
	case passed && err != nil:
		l.shunned.Store(nil)
	case errors.Is(err, context.DeadlineExceeded), // it stands still
		errors.Is(err, wire.ErrNotExecuted) && !errors.As(err, new(*actor.LimitReached)): // else it has too much to do
		l.shunned.Store(&shunned{id, time.Now().Add(shunTime)})
	}
}

func (l *Leader) ask(ctx context.Context, to LeaderAt, r *LeaderRequest, pass bool) (*LeaderReply, error) {
	if to.ID == l.Self && l.Local != nil {
		return l.Local(ctx, r), nil
	}
	request := *r
	request.Pass = pass
	bounded, cancel := context.WithTimeout(ctx, l.answerTime())
	defer cancel()
	return l.Peers.askLeader(bounded, to, &request)
}

// answerTime is how long one silo is waited for. A leader that stands still keeps its connections, and is not the
// leader any more after an election: what it was asked is in doubt then, and others know more.
func (l *Leader) answerTime() time.Duration {
	if l.Patience > 0 {
		return l.Patience
	}
	return 2 * time.Second
}

// askLeader asks a silo that may lead. The error is wire.ErrNotExecuted, wire.ErrTooLarge or wire.ErrUnknown.
func (p Peers) askLeader(ctx context.Context, to LeaderAt, r *LeaderRequest) (*LeaderReply, error) {
	at := to.Addr
	if v := p.Views.Current(); v != nil {
		if m, ok := v.Member(to.ID); ok && (m.Alive() || at == "") {
			at = m.Addr // newer than what the log has, where the silo has moved
		}
	}
	if at == "" {
		return nil, fmt.Errorf("silo %s is in no view: %w", to.ID, wire.ErrNotExecuted)
	}
	b, err := p.Node.RequestPeer(ctx, actor.Peer{Addr: at, Silo: true}, p.Service, r.Append(nil))
	if err != nil {
		fate := Fate(err)
		if fate == nil {
			fate = wire.ErrUnknown
		}
		return nil, fmt.Errorf("%w: %w", fate, err)
	}
	reply, err := DecodeLeaderReply(b)
	if err != nil {
		return nil, fmt.Errorf("the reply of %s: %w: %w", to.ID, wire.ErrUnknown, err)
	}
	return reply, nil
}

// PassOn sends a request, which asks for that, on to the leader that a silo's own answer names. Where that names
// none, or the leader cannot be reached from here either, the answer stands.
func (p Peers) PassOn(ctx context.Context, r *LeaderRequest, own *LeaderReply) *LeaderReply {
	if !r.Pass || own.Status != LeaderElsewhere || own.Leader == "" {
		return own
	}
	straight := *r
	straight.Pass = false
	reply, err := p.askLeader(ctx, LeaderAt{own.Leader, own.Addr}, &straight)
	switch {
	case err == nil:
		return reply
	case errors.Is(err, wire.ErrTooLarge):
		return &LeaderReply{Status: LeaderTooLarge, Detail: err.Error()}
	case errors.Is(err, wire.ErrUnknown) && r.Op == OpPropose:
		return &LeaderReply{Status: LeaderInDoubt, Detail: err.Error()}
	}
	own.Detail += ": " + err.Error()
	return own
}
