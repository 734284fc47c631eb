package actor

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A node that many have come to and left keeps nothing of them.
func TestWhoIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Addr: "127.0.0.1:0", Limit: testLimit})
	testServices(b)
	for range 20 {
		a, err := Start(Config{Addr: "127.0.0.1:0", Limit: testLimit})
		require.NoError(t, err)
		_, err = a.Request(t.Context(), b.Addr(), echo, []byte("x"))
		require.NoError(t, err)
		require.NoError(t, a.Stop(t.Context()))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = b.Request(t.Context(), l.Addr().String(), echo, nil) // nobody was ever there
	require.ErrorIs(t, err, ErrNotExecuted)
	b.Fail(l.Addr().String())
	left := func() (all []any) {
		note := func(key, _ any) bool {
			all = append(all, key)
			return true
		}
		b.peers.Range(note)
		b.transport.(*tcp).links.Range(note)
		b.transport.(*tcp).inputs.Range(note)
		b.transport.(*tcp).ins.Range(note)
		return all
	}
	require.Eventually(t, func() bool { return len(left()) == 0 }, 10*time.Second, time.Millisecond, "%v", left())
}

// An inbox that was not used for a while ends, one that is being used does not,
// and whoever speaks again finds another.
func TestIdleInboxesEnd(t *testing.T) {
	t.Parallel()
	got, goOn := make(chan string), make(chan struct{})
	n := start(t, Config{Addr: "127.0.0.1:0"})
	n.HandleNotify(7, func(from Peer, payload []byte) {
		got <- from.Addr + " " + string(payload)
		<-goOn
	})
	b := &n.inboxes
	put := func(sender string, number int) {
		env := &Envelope{Kind: Kind_KIND_NOTIFY, Sender: sender, Service: 7, Payload: fmt.Append(nil, number)}
		require.True(t, b.put(env, origin{channel: Calls}))
	}
	sweep := func() (left int) {
		for i := range b.shard {
			s := &b.shard[i]
			s.Lock()
			b.sweep(s.boxes, time.Now().Add(time.Hour))
			left += len(s.boxes)
			s.Unlock()
		}
		return left
	}
	put("x", 1)
	put("x", 2)
	put("y", 1)
	require.ElementsMatch(t, []string{"x 1", "y 1"}, []string{<-got, <-got})
	require.Equal(t, 2, sweep(), "both are being handled")
	goOn <- struct{}{}
	goOn <- struct{}{}
	require.Equal(t, "x 2", <-got)
	require.Eventually(t, func() bool { return sweep() == 1 }, 10*time.Second, time.Millisecond, "that of x is being used")
	goOn <- struct{}{}
	require.Eventually(t, func() bool { return sweep() == 0 }, 10*time.Second, time.Millisecond)
	put("x", 3)
	require.Equal(t, "x 3", <-got)
	goOn <- struct{}{}
}
