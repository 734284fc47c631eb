package variable_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// process is the engine of a process's turn.
type process struct {
	*node
	written, doubtful map[string]struct{}
	did               []string // writes to the record, by what they say, and to the variable
	tracked           int
	cutAfterWrite     bool // the run ends when it has changed the variable
}

func newProcess() *process {
	return &process{node: newNode(1), written: map[string]struct{}{}, doubtful: map[string]struct{}{}}
}

func (p *process) place() variable.Place { return wire.NewPlace(p) }

func (p *process) Outputs(context.Context, wire.ID) (written, doubtful map[string]struct{}, err error) {
	return maps.Clone(p.written), maps.Clone(p.doubtful), nil
}

func (p *process) RecordOutputs(_ context.Context, _ wire.ID, c wire.OutputChange) error {
	for _, part := range []struct {
		what            string
		of              []string
		written, doubts bool
	}{{"begun", c.Begun, false, true}, {"written", c.Written, true, false}, {"doubted", c.Doubted, false, true}} {
		for _, e := range part.of {
			delete(p.written, e)
			delete(p.doubtful, e)
			if part.written {
				p.written[e] = struct{}{}
			}
			if part.doubts {
				p.doubtful[e] = struct{}{}
			}
			v, _ := text.Decode([]byte(e))
			p.did = append(p.did, part.what+" "+v)
		}
	}
	return nil
}

func (p *process) Read(ctx context.Context, id wire.ID, use func(wire.Object)) error {
	p.tracked++
	return p.node.Read(ctx, id, use)
}

var errCut = errors.New("the run was cut off")

func (p *process) Mutate(ctx context.Context, id wire.ID, op []byte) error {
	p.did = append(p.did, "write")
	err := p.node.Mutate(ctx, id, op)
	if err == nil && p.cutAfterWrite {
		err = errCut
	}
	return err
}

func (p *process) assign(t *testing.T, e ...string) []string {
	t.Helper()
	p.did = nil
	require.NoError(t, tags.On(p.place()).Assign(t.Context(), slices.Values(e)))
	return p.did
}

func (p *process) held(t *testing.T) []string {
	t.Helper()
	all, err := tags.On(p.node.place()).All(t.Context())
	require.NoError(t, err)
	return slices.Sorted(all)
}

func TestAssign(t *testing.T) {
	t.Parallel()
	n, ctx := newNode(1), t.Context()
	set := tags.On(n.place())
	for _, want := range [][]string{{"a", "b"}, {"b", "c"}, {"b", "c"}, nil} {
		require.NoError(t, set.Assign(ctx, slices.Values(want)))
		all, err := set.All(ctx)
		require.NoError(t, err)
		require.Equal(t, want, slices.Sorted(all))
	}
	require.Len(t, n.made, 3, "nothing is written where nothing differs")
}

// In a process, Assign writes what differs from what the process wrote, and nothing that others did.
func TestAssignByDifference(t *testing.T) {
	t.Parallel()
	p, ctx := newProcess(), t.Context()
	others := tags.On(p.node.place())
	require.Equal(t, []string{"begun a", "begun b", "write", "written a", "written b"}, p.assign(t, "a", "b"), "on record before it is written")
	require.Empty(t, p.assign(t, "b", "a", "a"))

	require.NoError(t, others.Remove(ctx, "a"))
	require.NoError(t, others.Add(ctx, "c"))
	require.Empty(t, p.assign(t, "a", "b"))
	require.Equal(t, []string{"b", "c"}, p.held(t), "what others removed stays removed, and what they added stays")
	require.Zero(t, p.tracked, "what a process only writes is nothing that it is run again for")

	// What should be taken back and is not to be seen may come yet: the process is run again then.
	require.Equal(t, []string{"doubted a", "doubted b", "write"}, p.assign(t))
	require.Equal(t, []string{"c"}, p.held(t))
	require.Positive(t, p.tracked)
	require.NoError(t, others.Add(ctx, "a")) // as a late replica would bring it
	p.tracked = 0
	require.Equal(t, []string{"write"}, p.assign(t))
	require.Positive(t, p.tracked, "and it may come again, by another write")
	require.Equal(t, []string{"c"}, p.held(t))
	require.Empty(t, p.assign(t))
	require.Empty(t, p.written)
	require.Len(t, p.doubtful, 2)
}

// A write that was begun, and whose fate is unknown, is made again or taken back.
func TestAssignAfterAFailure(t *testing.T) {
	t.Parallel()
	for _, arrived := range []bool{false, true} {
		for _, wanted := range []bool{false, true} {
			p := newProcess()
			p.refuse = errors.New("the disk is full")
			err := tags.On(p.place()).Assign(t.Context(), slices.Values([]string{"a"}))
			require.ErrorIs(t, err, p.refuse)
			p.refuse = nil
			require.Len(t, p.doubtful, 1)
			require.Empty(t, p.written)
			if arrived {
				require.NoError(t, tags.On(p.node.place()).Add(t.Context(), "a"))
			}
			if wanted {
				p.assign(t, "a")
				require.Equal(t, []string{"a"}, p.held(t))
				require.Len(t, p.written, 1)
				require.Empty(t, p.doubtful)
				continue
			}
			p.assign(t)
			require.Empty(t, p.held(t))
			require.Empty(t, p.written)
			require.Len(t, p.doubtful, 1, "it may come yet")
		}
	}
}

// A run that is cut off in the middle of taking something back leaves nothing that looks as if others had
// removed it: the next run that wants it has it.
func TestAssignCutOffWhileTakingBack(t *testing.T) {
	t.Parallel()
	p := newProcess()
	p.assign(t, "a")
	p.cutAfterWrite = true
	require.ErrorIs(t, tags.On(p.place()).Assign(t.Context(), slices.Values([]string{})), errCut)
	require.Empty(t, p.held(t), "the removal came through")
	p.cutAfterWrite = false
	p.assign(t, "a")
	require.Equal(t, []string{"a"}, p.held(t))
}

func TestAssignNamesARecordThatIsDamaged(t *testing.T) {
	t.Parallel()
	p := newProcess()
	p.written["\xff"] = struct{}{}
	err := tags.On(p.place()).Assign(t.Context(), slices.Values([]string{"a"}))
	require.ErrorContains(t, err, "the record of what a process wrote to test.tags: ")
	require.Empty(t, p.did)
}
