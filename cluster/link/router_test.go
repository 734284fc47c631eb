package link

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// invocation is a call without arguments.
type invocation struct{ wire.Invocation }

func (invocation) Method() wire.Handler {
	return &wire.Method[struct{}, struct{}]{Number: 1, Name: "Run"}
}
func (invocation) AppendArgs(b []byte) []byte  { return b }
func (invocation) Traits() wire.Traits         { return wire.Traits{} }
func (invocation) DecodeResult(b []byte) error { return nil }
func (invocation) DecodeError(b []byte) error  { return wire.DecodeError(b, nil) }

// pair is a router, and a silo that serves its calls with serve.
func pair(t *testing.T, serve func(n *actor.Node, req *CallRequest) *CallReply) *Router {
	return pairOn(t, &actor.Network{}, serve)
}

func pairOn(t *testing.T, network *actor.Network, serve func(n *actor.Node, req *CallRequest) *CallReply) *Router {
	silo := node(t, network, "silo")
	silo.Handle(ServiceCalls, func(_ context.Context, _ actor.Peer, b []byte) ([]byte, error) {
		req, err := DecodeCallRequest(b)
		if err != nil {
			return nil, err
		}
		return serve(silo, req).Append(nil), nil
	})
	views := &view.Holder{}
	views.Set(view.Frozen(1, []string{target.Kind()}, view.Member{Run: view.Run{ID: "store", Incarnation: 1}, Addr: "silo"}))
	return &Router{Peers: Peers{Node: node(t, network, "client"), Views: views, Service: ServiceCalls}, Refresh: func(context.Context, uint64) {}}
}

func node(t *testing.T, network *actor.Network, addr string) *actor.Node {
	n, err := actor.Start(actor.Config{Network: network, Addr: addr, Silo: true, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = n.Stop(ctx)
	})
	return n
}

var target = wire.NewID("test.Grain", "a")

// A call whose answer is lost may have run: its fate is unknown, with the id to ask by, and it is never
// made again.
func TestWhatMayHaveRunIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	ran := func(again bool) (int32, error) {
		var n atomic.Int32
		began := make(chan struct{}, 8)
		hold := make(chan struct{})
		t.Cleanup(func() { close(hold) })
		r := pair(t, func(*actor.Node, *CallRequest) *CallReply {
			began <- struct{}{}
			if n.Add(1) == 1 {
				<-hold
			}
			return &CallReply{Status: StatusOK}
		})
		r.retryUnknown = again
		go func() {
			<-began
			r.Peers.Node.Fail("silo")
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := r.Call(ctx, "", target, invocation{}, Calling{Root: wire.BlockID{Client: 3, Seq: 4}})
		return n.Load(), err
	}
	n, err := ran(false)
	require.EqualValues(t, 1, n)
	require.ErrorIs(t, err, wire.ErrUnknown)
	var call *wire.CallError
	require.ErrorAs(t, err, &call)
	require.Equal(t, wire.BlockID{Client: 3, Seq: 4}, call.Call)
	n, _ = ran(true)
	require.Greater(t, n, int32(1), "nothing notices that a call may run twice")
}

// What surely did not run is made again until it does, or until the context ends.
func TestWhatDidNotRunIsMadeAgain(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	r := pair(t, func(*actor.Node, *CallRequest) *CallReply {
		switch asked.Add(1) {
		case 1:
			return &CallReply{Status: StatusRefused, Detail: "stopping"}
		case 2:
			return &CallReply{Status: StatusNotOwner, Number: 7}
		}
		return &CallReply{Status: StatusOK}
	})
	require.NoError(t, r.Call(t.Context(), "", target, invocation{}, Calling{}))
	require.EqualValues(t, 3, asked.Load())

	// On a clock of its own: a context that ends while a try is under way leaves its fate unknown.
	synctest.Test(t, func(t *testing.T) {
		refused := pair(t, func(*actor.Node, *CallRequest) *CallReply {
			return &CallReply{Status: StatusRefused, Detail: "stopping"}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := refused.Call(ctx, "", target, invocation{}, Calling{})
		require.ErrorIs(t, err, wire.ErrNotExecuted)
		require.ErrorContains(t, err, "stopping")
	})
}

// A lost answer takes along what the call did in its block: the block cannot commit, and says so across
// silos as what it is.
func TestALostAnswerDoomsItsBlock(t *testing.T) {
	t.Parallel()
	r := pair(t, func(*actor.Node, *CallRequest) *CallReply {
		return &CallReply{Status: StatusOK, Doomed: wire.AppendError(nil, wire.ErrUnknown, nil)}
	})
	in := NewBranch(commit.Holder{Attempt: commit.Attempt{ID: commit.ID{Client: 1, Seq: 1}, N: 1}}, "client")
	require.NoError(t, r.Call(t.Context(), "", target, invocation{}, Calling{In: in}))
	require.ErrorIs(t, in.Err(), wire.ErrUnknown)
}

// A grain that was activated anew dooms the block where that is noticed first.
func TestBranchOfAReplacedActivation(t *testing.T) {
	t.Parallel()
	record := func(activation, revision uint64) commit.Record {
		return commit.Record{Participant: commit.Participant{Node: "silo", Grain: target, Activation: activation}, Revision: revision}
	}
	in := NewBranch(commit.Holder{}, "client")
	in.Join(commit.Participant{Node: "silo", Grain: target})
	in.Merge(record(1, 1), record(1, 2), record(1, 1))
	require.NoError(t, in.Err())
	require.EqualValues(t, 2, in.Records()[0].Revision)
	in.Merge(record(2, 1))
	require.ErrorIs(t, in.Err(), wire.ErrAborted)
	require.ErrorIs(t, in.Operate(commit.Operation{}), wire.ErrOutsideBlock, "an operation that nobody would pass on")
}

func FuzzDecode(f *testing.F) {
	req := &CallRequest{To: target, Method: 1, Args: []byte("x"), Chain: []Link{{Grain: target, Call: 1, InBlock: true}}, Coordinator: "c"}
	req.Block.Attempt = commit.Attempt{ID: commit.ID{Client: 1, Seq: 2}, N: 3}
	req.Values = wire.ValuesOf(wire.WithValue(context.Background(), "name", "text"))
	req.OneWay = true
	req.Of = wire.Interface{Version: 3, Fingerprint: 1 << 63, Lineage: 1}
	f.Add(req.Append(nil))
	f.Add((&CallReply{Status: StatusOK, Result: []byte("x"), Record: []commit.Record{{Reads: []commit.Read{{}}, Writes: []commit.Write{{}}}}}).Append(nil))
	f.Add(Notice{Kind: NoticeAborted, Stale: []commit.Read{{}}}.Append(nil))
	f.Add((&LeaderRequest{Op: OpValidate, Reads: []commit.Read{{}}}).Append(nil))
	f.Add((&LeaderReply{Status: LeaderOK, Value: []byte{}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := DecodeCallRequest(b); err == nil {
			again, err := DecodeCallRequest(r.Append(nil))
			require.NoError(t, err)
			require.Equal(t, r.To, again.To)
			require.Equal(t, len(r.Chain), len(again.Chain))
		}
		_, _ = DecodeCallReply(b)
		_, _ = DecodeNotice(b)
		_, _ = DecodeLeaderRequest(b)
		_, _ = DecodeLeaderReply(b)
	})
}
