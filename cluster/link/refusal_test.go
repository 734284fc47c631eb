package link

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// What was encoded is decoded as it was.
func TestCallsArriveAsTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text, number := rapid.String(), rapid.Uint64()
		id := func() wire.ID { return wire.NewID(text.Draw(t, "kind"), text.Draw(t, "key")) }
		req := &CallRequest{
			To: id(), Method: rapid.Uint32().Draw(t, "method"), Args: rapid.SliceOf(rapid.Byte()).Draw(t, "args"),
			Root: wire.BlockID{Client: number.Draw(t, "client"), Seq: number.Draw(t, "seq")}, Retry: rapid.Bool().Draw(t, "retry"),
			Forwarded: rapid.Bool().Draw(t, "forwarded"),
		}
		if rapid.Bool().Draw(t, "of a grain") {
			req.By = view.Grant{
				Kind: rapid.StringN(1, 20, -1).Draw(t, "by"), Slot: rapid.IntRange(0, view.Slots-1).Draw(t, "slot"), Token: number.Draw(t, "token"),
			}
			req.Chain = []Link{{Grain: id(), Call: commit.CallID(number.Draw(t, "call")), InBlock: true}}
		}
		if rapid.Bool().Draw(t, "told") {
			req.Of = wire.Interface{
				Version: rapid.Uint32().Draw(t, "version"), Fingerprint: rapid.Uint64Min(1).Draw(t, "fingerprint"), Lineage: number.Draw(t, "lineage"),
			}
			if rapid.Bool().Draw(t, "never changed") {
				req.Of.Lineage = req.Of.Fingerprint
			}
		}
		got, err := DecodeCallRequest(req.Append(nil))
		require.NoError(t, err)
		require.Equal(t, req, got)
		reply := &CallReply{Status: StatusNotOwner, Number: number.Draw(t, "view"), Holder: text.Draw(t, "holder"), Detail: text.Draw(t, "detail")}
		back, err := DecodeCallReply(reply.Append(nil))
		require.NoError(t, err)
		require.Equal(t, *reply, back)
	})
	for _, bad := range []view.Grant{{Slot: 1, Token: 1}, {Kind: "k", Slot: view.Slots}, {Kind: "k", Slot: -1}} {
		_, err := DecodeGrant(AppendGrant(nil, bad))
		require.Error(t, err, bad)
	}
	_, err := DecodeCallRequest(appendBytes(nil, 13, []byte{0xff}))
	require.Error(t, err)
}

// What a caller says of its interface is short, and nonsense in its place is refused.
func TestInterfacesAreShort(t *testing.T) {
	t.Parallel()
	plain := len((&CallRequest{}).Append(nil))
	size := func(i wire.Interface) int { return len((&CallRequest{Of: i}).Append(nil)) - plain }
	require.Equal(t, 11, size(wire.Interface{Fingerprint: 7, Lineage: 7}))
	require.Equal(t, 20, size(wire.Interface{Version: 3, Fingerprint: 8, Lineage: 7}))
	for n := range 17 {
		_, err := DecodeCallRequest(appendBytes(nil, 16, make([]byte, n)))
		require.Equal(t, n == 8 || n == 16, err == nil, n)
	}
	_, err := DecodeCallRequest(appendBytes(nil, 16, append(make([]byte, 16), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)))
	require.Error(t, err, "a version of more than 32 bits")
}

// A call is not made again for ever where there is no lease; any other refusal is worth waiting for.
func TestPatience(t *testing.T) {
	t.Parallel()
	refused := func(r *Router, bound time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), bound)
		defer cancel()
		return r.Call(ctx, "", target, invocation{}, Calling{})
	}
	says := func(status func(n int32) Status) *Router {
		var asked atomic.Int32
		r := pair(t, func(*actor.Node, *CallRequest) *CallReply {
			return &CallReply{Status: status(asked.Add(1)), Detail: "no lease here"}
		})
		r.Patience = 30 * time.Millisecond
		return r
	}
	always := func(s Status) func(int32) Status { return func(int32) Status { return s } }
	err := refused(says(always(StatusNoLease)), 20*time.Second)
	require.ErrorIs(t, err, wire.ErrNoLease)
	require.ErrorIs(t, err, wire.ErrNotExecuted)
	require.ErrorContains(t, err, "no lease here")

	ever := says(always(StatusNoLease))
	ever.everPatient = true
	err = refused(ever, 300*time.Millisecond)
	require.NotErrorIs(t, err, wire.ErrNoLease, "nothing notices that a call has no end")

	err = refused(says(always(StatusMoving)), 300*time.Millisecond)
	require.ErrorIs(t, err, wire.ErrNotExecuted)
	require.NotErrorIs(t, err, wire.ErrNoLease, "it may be served in a moment")
	require.NoError(t, refused(says(func(n int32) Status {
		if n <= 6 {
			return []Status{StatusNoLease, StatusMoving}[n%2]
		}
		return StatusOK
	}), 20*time.Second))

	// A silo that is cut off reaches nobody.
	for _, leased := range []bool{true, false} {
		r := says(always(StatusOK))
		r.Leased = func() bool { return leased }
		r.Peers.Views.Set(view.Frozen(2, []string{target.Kind()}, view.Member{Run: view.Run{ID: "store", Incarnation: 1}, Addr: "nobody"}))
		err := refused(r, 300*time.Millisecond)
		require.ErrorIs(t, err, wire.ErrNotExecuted)
		require.Equal(t, !leased, errors.Is(err, wire.ErrNoLease))
	}
}

// Who is told where the grain is goes there at once, and follows only who knows a newer view than the last.
func TestRefusalsShowTheWay(t *testing.T) {
	t.Parallel()
	network := &actor.Network{}
	r := pairOn(t, network, func(*actor.Node, *CallRequest) *CallReply {
		return &CallReply{Status: StatusNotOwner, Number: 5, Holder: "other"}
	})
	other := node(t, network, "other")
	var there atomic.Int32
	other.Handle(ServiceCalls, func(context.Context, actor.Peer, []byte) ([]byte, error) {
		if there.Add(1) == 1 {
			return (&CallReply{Status: StatusNotOwner, Number: 4, Holder: "silo"}).Append(nil), nil
		}
		return (&CallReply{Status: StatusOK}).Append(nil), nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, r.Call(ctx, "", target, invocation{}, Calling{}), wire.ErrNotExecuted)
	require.EqualValues(t, 1, there.Load(), "they send nobody to and fro")
	require.NoError(t, r.Call(t.Context(), "", target, invocation{}, Calling{}))
	require.EqualValues(t, 2, there.Load())
}

// The turn of a grain that has a successor ends with the first call that says so; who may not call any more
// makes no call.
func TestStaleCallers(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	by := view.Grant{Kind: "test.Grain", Slot: 3, Token: 7}
	r := pair(t, func(_ *actor.Node, req *CallRequest) *CallReply {
		asked.Add(1)
		require.Equal(t, by, req.By)
		return &CallReply{Status: StatusStale, Detail: "token 7 is refused"}
	})
	err := r.Call(t.Context(), "", target, invocation{}, Calling{By: by})
	stale, ok := err.(*Stale)
	require.True(t, ok)
	require.ErrorIs(t, stale, wire.ErrFenced)
	require.EqualValues(t, 1, asked.Load())
	over := errors.New("over")
	require.Equal(t, over, r.Call(t.Context(), "", target, invocation{}, Calling{By: by, May: func() error { return over }}))
	require.EqualValues(t, 1, asked.Load())
}

// A kind that no silo was ever given is an error of the program, and not of the moment.
func TestKindsThatNobodyHosts(t *testing.T) {
	t.Parallel()
	r := pair(t, nil)
	require.ErrorIs(t, r.Call(t.Context(), "", wire.NewID("test.Other", "a"), invocation{}, Calling{}), wire.ErrNoSuchKind)
	// Its silos have died, and may come back.
	hosts := func(id view.SiloID, state view.State, kinds ...string) view.Member {
		return view.Member{Run: view.Run{ID: id, Incarnation: 1}, Addr: string(id), State: state, Kinds: kinds}
	}
	r.Peers.Views.Set(view.Frozen(2, nil, hosts("a", view.Active, "k"), hosts("b", view.Dead, "test.Other")))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, r.Call(ctx, "", wire.NewID("test.Other", "a"), invocation{}, Calling{}), wire.ErrNotExecuted)
}

// What a node has no room for is overload: it is not made again, and its caller is told so. So are those that
// would be too many at the caller's own node.
func TestNoRoomIsOverload(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string]func(silo, client *actor.Config){
		"at the silo":   func(silo, _ *actor.Config) { silo.InFlight = 1 },
		"at the caller": func(_, client *actor.Config) { client.PeerInFlight = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			network := &actor.Network{}
			silo, client := actor.Config{Network: network, Addr: "silo", Silo: true}, actor.Config{Network: network, Addr: "client"}
			bound(&silo, &client)
			start := func(c actor.Config) *actor.Node {
				n, err := actor.Start(c)
				require.NoError(t, err)
				t.Cleanup(func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					defer cancel()
					_ = n.Stop(ctx)
				})
				return n
			}
			at := start(silo)
			serving, let := make(chan struct{}), make(chan struct{})
			at.Handle(ServiceCalls, func(context.Context, actor.Peer, []byte) ([]byte, error) {
				close(serving) // once: the second is not served
				<-let
				return (&CallReply{Status: StatusOK}).Append(nil), nil
			})
			views := &view.Holder{}
			views.Set(view.Frozen(1, []string{target.Kind()}, view.Member{Run: view.Run{ID: "store", Incarnation: 1}, Addr: "silo"}))
			r := &Router{Peers: Peers{Node: start(client), Views: views, Service: ServiceCalls}, Refresh: func(context.Context, uint64) {}}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			done := make(chan error, 1) // one: the only send never waits
			go func() { done <- r.Call(ctx, "", target, invocation{}, Calling{}) }()
			<-serving
			err := r.Call(ctx, "", target, invocation{}, Calling{})
			require.ErrorIs(t, err, wire.ErrOverloaded)
			require.NoError(t, ctx.Err(), "it was made again until its deadline")
			close(let)
			require.NoError(t, <-done)
			require.Equal(t, name == "at the silo", at.Refused() == 1)
		})
	}
}
