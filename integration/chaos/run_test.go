package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/integration/chaos/register"
)

// The silos and clients of a test are this program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == serveCommand || os.Args[1] == askCommand) {
		main()
	}
	net.DefaultResolver = resolver(0)
	os.Exit(m.Run())
}

// Every fault of a process, made by hand: what is found out about it is what was done.
func TestSilosAreKilledPausedAndStarted(t *testing.T) {
	t.Parallel()
	if raceDetector {
		t.Skip("each node over TCP sets gRPC's global logger when it starts, which the race detector reports, and this test has four")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r := &run{name: "test", seed: 1, dir: t.TempDir(), say: t.Logf, history: newHistory()}
	defer func() { require.Empty(t, r.close()) }()
	require.NoError(t, r.start(ctx))
	leader, err := r.leader(ctx)
	require.NoError(t, err)
	at := r.locate(ctx, bystanders)
	require.Len(t, at, bystanders)
	had := map[int64]int{}
	for _, silo := range at {
		had[silo]++
	}
	require.Len(t, had, silos, "each has some")

	// One that stops in the middle of a turn does not end it before it is let go on.
	paused := r.silos[leader%silos]
	answered := make(chan map[int]int64, 1)
	stopped := make(chan error, 1)
	go func() { stopped <- paused.stopInTurn(register.Touch) }()
	require.Eventually(t, func() bool {
		go func() { // whose call is the one that is stopped in
			select {
			case answered <- r.locate(ctx, bystanders):
			default:
			}
		}()
		select {
		case err := <-stopped:
			return err == nil
		case <-time.After(100 * time.Millisecond):
			return false
		}
	}, 10*time.Second, time.Millisecond)
	stat := fmt.Sprintf("/proc/%d/stat", paused.current().cmd.Process.Pid)
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(stat)
		return err == nil && strings.Contains(string(b), ") T ") // proc(5)
	}, 10*time.Second, time.Millisecond, "it is stopped")
	turns, err := register.Turns(paused.journal(1))
	require.NoError(t, err)
	before := len(turns)
	require.NoError(t, paused.signal(sigCont))
	require.Eventually(t, func() bool {
		go r.locate(ctx, bystanders) // the turn that it was stopped in has no end if that took longer than its lease
		turns, err := register.Turns(paused.journal(1))
		return err == nil && len(turns) > before
	}, 20*time.Second, 100*time.Millisecond, "it goes on")

	// The leader dies: its grains answer elsewhere, and it comes back.
	victim := r.silos[leader-1]
	at = r.locate(ctx, bystanders)
	require.NoError(t, victim.kill())
	const bound = 30 * time.Second // how soon is for runs to measure
	took := r.load.takeover(at, leader, time.Now(), bound)
	require.NotEmpty(t, took)
	for _, d := range took {
		require.Less(t, d, bound)
	}
	require.Error(t, victim.kill(), "it is dead")
	require.NoError(t, victim.start(ctx))
	require.NoError(t, victim.alive())
	require.Len(t, victim.journals(), 2)

	// One that is asked to stop does, and one that ends by itself is told of.
	require.NoError(t, paused.stop())
	require.NoError(t, paused.start(ctx))
	require.NoError(t, paused.signal(syscall.SIGKILL))
	require.Eventually(t, func() bool { return paused.alive() != nil }, 10*time.Second, 10*time.Millisecond)
	var gone *misbehaved
	require.ErrorAs(t, paused.stop(), &gone)
	require.Equal(t, paused.number, gone.silo)
}
