package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	require.Equal(t, 2.0, Median([]float64{9, 1, 2}))
	require.Equal(t, 1.5, Median([]float64{2, 1}))
}

func TestReport(t *testing.T) {
	t.Parallel()
	r := &Report{Environment: "here"}
	require.JSONEq(t, `{"rows":[]}`, string(r.Document()))
	r.Figure("faster", 0.12345)
	r.Require("right", 0, None, false)
	r.AtMost("small enough", 2.0004, 2)
	r.AtMost("smaller", 2, 2)
	require.JSONEq(t, `{"rows":[
		{"bar":"faster","value":0.123,"required":"–","ok":true},
		{"bar":"right","value":0,"required":"–","ok":false},
		{"bar":"small enough","value":2,"required":"<= 2","ok":false},
		{"bar":"smaller","value":2,"required":"<= 2","ok":true}
	]}`, string(r.Document()))
	var out bytes.Buffer
	r.Print(&out)
	require.Contains(t, out.String(), "here")
	require.Contains(t, out.String(), "2 of 4 bars MISSED")
}

// Whatever is measured, the document can be read.
func TestFiguresAreEncodable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0})).Draw(t, "value")
		r := &Report{}
		r.Figure("some", v)
		var read struct{ Rows []Bar }
		require.NoError(t, json.Unmarshal(r.Document(), &read))
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			require.InDelta(t, v, read.Rows[0].Value, 0.005*math.Abs(v)+1e-300)
		}
	})
}

// inModule makes a module and works in it.
func inModule(t *testing.T) (results string) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), nil, 0o644))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "deep", "down"), 0o755))
	t.Chdir(filepath.Join(dir, "deep", "down"))
	return filepath.Join(dir, "integration", "results", "some.json")
}

func TestCommandMeasuresAndWrites(t *testing.T) {
	file := inModule(t)
	var failure error
	c := Command{Name: "some", About: "Measures.", Results: "some.json", Measure: func(_ context.Context, short bool, _ string, _ io.Writer) *Report {
		r := &Report{}
		if failure != nil {
			r.Failures = append(r.Failures, failure)
		}
		r.Require("short", 1, "1", short)
		return r
	}}
	var stdout, stderr bytes.Buffer
	require.Equal(t, ExitMeasured, c.Run(t.Context(), nil, &stdout, &stderr), "a bar that is missed is no failure")
	require.Contains(t, stdout.String(), "1 of 1 bars MISSED")
	require.Empty(t, stderr.String())
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	require.JSONEq(t, `{"rows":[{"bar":"short","value":1,"required":"1","ok":false}]}`, string(written))

	stdout.Reset()
	require.Equal(t, ExitMeasured, c.Run(t.Context(), []string{"--short", "--json"}, &stdout, &stderr))
	require.JSONEq(t, `{"rows":[{"bar":"short","value":1,"required":"1","ok":true}]}`, stdout.String())

	failure = errors.New("no disk")
	require.Equal(t, ExitFailed, c.Run(t.Context(), nil, &stdout, &stderr))
	require.Contains(t, stdout.String(), "could not be measured: 1")
	require.Contains(t, stderr.String(), "some: no disk")
}

func TestCommandOutsideOfAModule(t *testing.T) {
	t.Chdir(t.TempDir())
	var stdout, stderr bytes.Buffer
	c := Command{Name: "some"}
	require.Equal(t, ExitFailed, c.Run(t.Context(), nil, &stdout, &stderr))
	require.Contains(t, stderr.String(), "run it inside of the repository")
}

func TestRivalsTakeTurns(t *testing.T) {
	t.Parallel()
	var turns string
	turn := func(name string, cost float64) func() Cost {
		return func() Cost {
			turns += name
			return Cost{Time: cost}
		}
	}
	all, err := Alternate(t.Context(), 3, turn("a", 1), turn("b", 4))
	require.NoError(t, err)
	require.Equal(t, "abbaab", turns)
	require.Equal(t, 4.0, Ratio(all[1], all[0], Time))
	require.Equal(t, 0.0, Ratio(all[1], all[0], CPU), "not known")
	require.Equal(t, 4.0, all[1].Median(Time))

	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	_, err = Alternate(ctx, 1, turn("a", 1))
	require.ErrorIs(t, err, enough)
}

func TestStopwatchLeavesOutWhatItDoesNotTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Stopwatch
		for range 3 {
			time.Sleep(3 * time.Second)
			w.Begin()
			time.Sleep(time.Microsecond)
			w.End()
		}
		require.Equal(t, 1000.0, w.Over(3).Time)
	})
	var kept []*[64]byte
	c := Timed(100, func() {
		for range 100 {
			kept = append(kept, new([64]byte))
		}
	})
	require.Len(t, kept, 100)
	require.InDelta(t, 1.1, c.Allocs, 0.3, "one each, and those of the slice")
}

func TestHeldIsWhatStays(t *testing.T) {
	made, bytes := Held(func() []byte {
		_ = make([]byte, 8<<20)
		return make([]byte, 4<<20)
	})
	require.Len(t, made, 4<<20)
	require.InDelta(t, 4<<20, bytes, 1<<19)
}
