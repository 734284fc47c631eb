package link

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// A silo that knows no leader, and whose guess is wrong, asks each of the others in turn, however many there are.
func TestEachSiloIsAskedWhoLeads(t *testing.T) {
	t.Parallel()
	for n := range 7 {
		var members []view.Member
		for i := range n + 1 {
			members = append(members, view.Member{Run: view.Run{ID: view.SiloID(rune('a' + i)), Incarnation: 1}, Kinds: []string{"k"}})
		}
		views := &view.Holder{}
		views.Set(view.Frozen(1, []string{"k"}, members...))
		for _, hint := range []func() (LeaderAt, bool){nil, func() (LeaderAt, bool) { return LeaderAt{}, false }} {
			l := &Leader{Peers: Peers{Views: views}, Hint: hint}
			asked := map[view.SiloID]bool{}
			for try := range 3 * (n + 1) {
				if to, ok := l.guess(try); ok {
					asked[to.ID] = true
				}
			}
			require.Len(t, asked, n+1)
		}
	}
}

// leads starts a silo that answers what is asked of the leader.
func leads(t *testing.T, network *actor.Network, addr string, answer func(context.Context, *LeaderRequest) *LeaderReply) {
	node(t, network, addr).Handle(ServicePropose, func(ctx context.Context, _ actor.Peer, b []byte) ([]byte, error) {
		r, err := DecodeLeaderRequest(b)
		if err != nil {
			return nil, err
		}
		return answer(ctx, r).Append(nil), nil
	})
}

func taken(context.Context, *LeaderRequest) *LeaderReply {
	return &LeaderReply{Status: LeaderOK, Result: []byte("taken")}
}

// A leader that is in no view yet is reached at its address, by silos, which follow it, and by clients, which are
// told of it.
func TestALeaderInNoView(t *testing.T) {
	t.Parallel()
	network := &actor.Network{}
	leads(t, network, "b:1", taken)
	leads(t, network, "c:1", func(context.Context, *LeaderRequest) *LeaderReply {
		return &LeaderReply{Status: LeaderElsewhere, Leader: "b", Addr: "b:1"}
	})
	views := &view.Holder{}
	views.Set(view.Frozen(1, []string{"k"}, view.Member{Run: view.Run{ID: "c", Incarnation: 1}, Addr: "c:1", Kinds: []string{"k"}}))
	for addr, hint := range map[string]func() (LeaderAt, bool){
		"a:1": nil, "d:1": func() (LeaderAt, bool) { return LeaderAt{"b", "b:1"}, true },
	} {
		l := &Leader{Peers: Peers{Node: node(t, network, addr), Views: views, Service: ServicePropose}, Hint: hint}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		reply, err := l.Do(ctx, &LeaderRequest{Op: OpPropose, Entry: []byte("e")})
		cancel()
		require.NoError(t, err)
		require.Equal(t, []byte("taken"), reply.Result)
	}
}

// A leader that cannot be reached from here is asked through a silo that can, and not asked again and again.
func TestALeaderIsReachedThroughOthers(t *testing.T) {
	t.Parallel()
	network := &actor.Network{}
	var took atomic.Int32
	leads(t, network, "b:1", func(ctx context.Context, r *LeaderRequest) *LeaderReply {
		took.Add(1)
		return taken(ctx, r)
	})
	views := &view.Holder{}
	views.Set(view.Frozen(1, []string{"k"}, view.Member{Run: view.Run{ID: "c", Incarnation: 1}, Addr: "c:1", Kinds: []string{"k"}}))
	from := Peers{Node: node(t, network, "d:1"), Views: views, Service: ServicePropose}
	var passed atomic.Int32
	leads(t, network, "c:1", func(ctx context.Context, r *LeaderRequest) *LeaderReply {
		if r.Pass {
			passed.Add(1)
		}
		return from.PassOn(ctx, r, &LeaderReply{Status: LeaderElsewhere, Leader: "b", Addr: "b:1"})
	})
	l := &Leader{Peers: Peers{Node: node(t, network, "a:1"), Views: views, Service: ServicePropose}, Self: "a"}
	var straight atomic.Int32
	l.Hint = func() (LeaderAt, bool) { straight.Add(1); return LeaderAt{"b", "nowhere:1"}, true }
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 3 {
		reply, err := l.Do(ctx, &LeaderRequest{Op: OpPropose, Entry: []byte("e")})
		require.NoError(t, err)
		require.Equal(t, []byte("taken"), reply.Result)
	}
	require.EqualValues(t, 3, passed.Load())
	require.EqualValues(t, 3, took.Load(), "each was taken once")
}

// What is passed on, and whose answer is lost, is in doubt; what nobody took is not.
func TestWhatIsPassedOnMayBeInDoubt(t *testing.T) {
	t.Parallel()
	network := &actor.Network{}
	views := &view.Holder{}
	p := Peers{Node: node(t, network, "a:1"), Views: views, Service: ServicePropose}
	elsewhere := func() *LeaderReply { return &LeaderReply{Status: LeaderElsewhere, Leader: "b", Addr: "b:1"} }
	r := &LeaderRequest{Op: OpPropose, Entry: []byte("e"), Pass: true}
	require.Equal(t, LeaderElsewhere, p.PassOn(t.Context(), r, elsewhere()).Status)
	asked := make(chan struct{})
	leads(t, network, "b:1", func(ctx context.Context, r *LeaderRequest) *LeaderReply {
		close(asked)
		<-ctx.Done()
		return taken(ctx, r)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	require.Equal(t, LeaderInDoubt, p.PassOn(ctx, r, elsewhere()).Status)
}

// A leader that stands still keeps nobody for longer than it may take to answer: what it was asked to append is in
// doubt then, and whoever leads by now is asked next.
func TestALeaderThatStandsStill(t *testing.T) {
	t.Parallel()
	// On a clock of its own: a request that is not on its way when the patience ends was not executed.
	synctest.Test(t, func(t *testing.T) {
		network := &actor.Network{}
		over := make(chan struct{}) // an answer at the last moment would be one
		leads(t, network, "b:1", func(ctx context.Context, r *LeaderRequest) *LeaderReply {
			<-over
			return taken(ctx, r)
		})
		leads(t, network, "c:1", taken)
		t.Cleanup(func() { close(over) })
		views := &view.Holder{}
		views.Set(view.Frozen(1, []string{"k"}, view.Member{Run: view.Run{ID: "b", Incarnation: 1}, Addr: "b:1", Kinds: []string{"k"}},
			view.Member{Run: view.Run{ID: "c", Incarnation: 1}, Addr: "c:1", Kinds: []string{"k"}}))
		l := &Leader{Peers: Peers{Node: node(t, network, "a:1"), Views: views, Service: ServicePropose}, Patience: 50 * time.Millisecond}
		l.last.Store(&LeaderAt{"b", "b:1"})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := l.Do(ctx, &LeaderRequest{Op: OpPropose, Entry: []byte("e")})
		require.ErrorIs(t, err, wire.ErrUnknown)
		reply, err := l.Do(ctx, &LeaderRequest{Op: OpPropose, Entry: []byte("f")})
		require.NoError(t, err)
		require.Equal(t, []byte("taken"), reply.Result)

		l.last.Store(&LeaderAt{"b", "b:1"}) // a read is asked again elsewhere at once
		_, err = l.Do(ctx, &LeaderRequest{Op: OpValidate})
		require.NoError(t, err)
	})
}
