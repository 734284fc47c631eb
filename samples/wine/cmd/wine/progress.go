package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress shows how far the demonstration is: bars on a terminal, a line for each step elsewhere.
type progress struct {
	out   io.Writer
	bars  *mpb.Progress // nil when out is no terminal
	begin time.Time
	steps []stepTime
}

// stepTime is how long a step took.
type stepTime struct {
	Name    string  `json:"name"`
	Note    string  `json:"note"`
	Seconds float64 `json:"seconds"`
}

// step is a part of the demonstration that is under way.
type step struct {
	p     *progress
	name  string
	begin time.Time
	total int
	done  atomic.Int64
	bar   *mpb.Bar
	end   atomic.Pointer[stepTime] // nil until it has ended
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, begin: time.Now()}
	if f, ok := out.(*os.File); ok && hasRoom(f) {
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(40), mpb.WithRefreshRate(100*time.Millisecond))
	}
	return p
}

// hasRoom says whether f is a terminal that shows anything; some say that they have no lines.
func hasRoom(f *os.File) bool {
	_, lines, err := term.GetSize(int(f.Fd()))
	return err == nil && lines > 0
}

// begins shows a step of total parts. Steps follow each other.
func (p *progress) begins(name string, total int) *step {
	s := &step{p: p, name: name, begin: time.Now(), total: max(total, 1)}
	if p.bars != nil {
		s.bar = p.bars.AddBar(int64(s.total),
			mpb.PrependDecorators(decor.Name(fmt.Sprintf("%-34s", name))),
			mpb.AppendDecorators(
				decor.Any(func(decor.Statistics) string {
					if end := s.end.Load(); end != nil {
						return fmt.Sprintf(" %5.1fs  %s", end.Seconds, end.Note)
					}
					return fmt.Sprintf(" %5.1fs", time.Since(s.begin).Seconds())
				})))
	}
	return s
}

// add notes n more parts; it may be called from any goroutine.
func (s *step) add(n int) { s.at(int(s.done.Add(int64(n)))) }

// at notes that so many parts are done.
func (s *step) at(n int) {
	s.done.Store(int64(n))
	if s.bar != nil {
		s.bar.SetCurrent(int64(min(n, s.total-1))) // the last part is ends
	}
}

// ends ends the step with what there is to say about it.
func (s *step) ends(format string, args ...any) {
	now := time.Now()
	end := stepTime{s.name, fmt.Sprintf(format, args...), now.Sub(s.begin).Seconds()}
	s.p.steps = append(s.p.steps, end)
	if s.bar != nil {
		s.end.Store(&end)
		s.bar.SetCurrent(int64(s.total))
		return
	}
	fmt.Fprintf(s.p.out, "%6.1fs  %-34s %6.1fs  %s\n", now.Sub(s.p.begin).Seconds(), end.Name, end.Seconds, end.Note)
}

// close leaves the terminal to others.
func (p *progress) close() {
	if p.bars != nil {
		p.bars.Shutdown()
	}
}
