package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

func TestHelp(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, report.ExitMeasured, command.Run(t.Context(), []string{"--help"}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "usage: go run ./integration/benchflow")
}

func TestEveryBarIsMeasured(t *testing.T) {
	t.Parallel()
	r := measure(t.Context(), plan{[]int{1e3, 3e3}, 1, 2 * batch}, io.Discard)
	require.Empty(t, r.Failures)
	require.Len(t, r.Sections, len(subjects))
	for _, s := range r.Sections {
		require.Len(t, s.Rows, 2)
	}
	require.Len(t, r.Bars, 7)
	for _, at := range []int{1, 3, 4, 5, 6} {
		require.Contains(t, r.Bars[at].Bar, "counted work")
		require.True(t, r.Bars[at].OK, "%v", r.Bars[at])
	}
}

// What is measured is right: an operator's view has as many elements as what plain Go makes of the same, and
// the changes that are timed leave it as it was.
func TestOperatorsAgreeWithTheRecomputation(t *testing.T) {
	t.Parallel()
	for _, make := range subjects {
		s := make(800)
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			run := s.fill()
			require.NoError(t, run.err)
			in := set{}
			for i := range s.n {
				in[uint64(i)] = struct{}{}
			}
			view := run.ops[len(run.ops)-1]
			want := size(t, s.naive(in, s.other))
			require.Equal(t, want, view.Len())
			steps, elements := run.work()
			s.changes(run, 2*batch)
			require.NoError(t, run.err)
			require.Equal(t, want, view.Len())
			nowSteps, nowElements := run.work()
			require.Greater(t, nowSteps, steps)
			require.GreaterOrEqual(t, nowElements, elements+2*batch*int64(len(run.ops)), "no filter drops what is timed")
		})
	}
}

func size(t *testing.T, out any) int {
	switch out := out.(type) {
	case set:
		return len(out)
	case values:
		return len(out)
	case map[uint64]flow.Average:
		return len(out)
	case map[uint64][]uint64:
		n := 0
		for _, es := range out {
			n += len(es)
		}
		return n
	case []couple:
		return len(out)
	}
	require.Fail(t, "not an output", "%T", out)
	return 0
}

func TestCodecsRoundTrip(t *testing.T) {
	t.Parallel()
	roundTrip(t, codec, 1<<63+7)
	roundTrip(t, signed, -3)
	roundTrip(t, averages, flow.Average{Sum: -5, Count: 2})
	_, err := averages.Decode([]byte{1, 2, 3})
	require.Error(t, err)
	_, err = averages.Decode(make([]byte, 15))
	require.Error(t, err)
}

func roundTrip[E any](t *testing.T, c crdt.Codec[E], e E) {
	got, err := c.Decode(c.Append(nil, e))
	require.NoError(t, err)
	require.Equal(t, e, got)
}
