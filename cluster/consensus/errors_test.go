package consensus

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

func isInDoubt(err error) bool   { return errors.Is(err, ErrInDoubt) }
func isNotLeader(err error) bool { return errors.Is(err, ErrNotLeader) }

func TestClassification(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raft     error
		want     error
		definite bool
	}{
		{raft.ErrNotLeader, ErrNotLeader, true},
		{raft.ErrLeadershipTransferInProgress, ErrNotLeader, true},
		{raft.ErrEnqueueTimeout, ErrNotSubmitted, true},
		{raft.ErrLeadershipLost, ErrInDoubt, false},
		{raft.ErrRaftShutdown, ErrInDoubt, false},
		{raft.ErrAbortedByRestore, ErrInDoubt, false},
		{raft.ErrLogNotFound, ErrInDoubt, false},
		{io.ErrShortWrite, ErrInDoubt, false},
		{fmt.Errorf("wal: %w", io.ErrUnexpectedEOF), ErrInDoubt, false},
		{errors.New("whatever the disk says"), ErrInDoubt, false},
	} {
		got := classify(c.raft, Server{ID: "b"})
		require.ErrorIs(t, got, c.want, "%v", c.raft)
		require.Equal(t, !c.definite, isInDoubt(got), "%v", c.raft)
		if !c.definite {
			require.ErrorIs(t, got, c.raft, "the cause must stay visible")
		}
	}
	require.NoError(t, classify(nil, Server{}))
}
