package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/martinelli-go/martinelli/integration/chaos/register"
)

const (
	// startWithin is how long a silo may take to serve.
	startWithin = 30 * time.Second
	// turnsWithin is how long a silo that stops lets turns end, stopWithin how long it may take in all.
	turnsWithin = 10 * time.Second
	stopWithin  = 15 * time.Second
	// stacksWithin is how long it may take to write its goroutines' stacks.
	stacksWithin = 5 * time.Second
	// turnWithin is how long a silo that is to stop in the middle of a turn waits for one.
	turnWithin = time.Second
)

// member is one of the silos: a process, one run after the other.
type member struct {
	number int
	args   []string
	log    string // the file that its runs write to

	fault sync.Mutex // held by the fault that ends, starts, stops or continues the process

	mu   sync.Mutex
	proc *process // nil while there is none
	runs int
}

// process is one run.
type process struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	serving chan struct{} // closed when it serves
	stops   chan struct{} // one for each time that it says to stop in the middle of a turn; one: nobody asks twice
	exited  chan struct{} // closed when err is set
	err     error
}

// misbehaved is the error of a silo that ended without having been told to, or did not although it was.
type misbehaved struct {
	silo int
	what string
	tail string
}

func (e *misbehaved) Error() string {
	return fmt.Sprintf("silo %d %s\n%s", e.silo, e.what, e.tail)
}

func (s *member) ended(p *process) error {
	return &misbehaved{s.number, "ended by itself: " + p.err.Error(), s.tail()}
}

func (s *member) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// spawn starts this program again in another role, whose errors go to the end of a file. hear, which may be
// nil, is given each line that it says beyond what every role does, from one goroutine.
func spawn(log string, hear func(line []byte), args ...string) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p := &process{serving: make(chan struct{}), stops: make(chan struct{}, 1), exited: make(chan struct{})}
	p.cmd = exec.Command(exe, args...)
	p.cmd.Stderr = file
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.watch(stdout, hear)
	return p, nil
}

// start starts a run, and returns when it serves.
func (s *member) start(ctx context.Context) error {
	s.mu.Lock()
	s.runs++
	run := s.runs
	s.mu.Unlock()
	p, err := spawn(s.log, nil, append([]string{serveCommand}, append(s.args, "--journal", s.journal(run))...)...)
	if err != nil {
		return fmt.Errorf("start silo %d: %w", s.number, err)
	}
	s.mu.Lock()
	s.proc = p
	s.mu.Unlock()
	limit := time.NewTimer(startWithin)
	defer limit.Stop()
	select {
	case <-p.serving:
		return nil
	case <-p.exited:
		return fmt.Errorf("silo %d ended before it served: %w\n%s", s.number, p.err, s.tail())
	case <-limit.C:
		return fmt.Errorf("silo %d did not serve within %v\n%s", s.number, startWithin, s.tail())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// watch hears what the process says, until its end.
func (p *process) watch(stdout io.Reader, hear func(line []byte)) {
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		switch lines.Text() {
		case saysServing:
			close(p.serving)
		case saysStopping:
			select {
			case p.stops <- struct{}{}:
			default:
			}
		default:
			if hear != nil {
				hear(lines.Bytes())
			}
		}
	}
	if p.err = p.cmd.Wait(); p.err == nil {
		p.err = errors.New("status 0")
	}
	close(p.exited)
}

// journal is the file of a run.
func (s *member) journal(run int) string {
	return filepath.Join(filepath.Dir(s.log), fmt.Sprintf("journal-%d-%d.jsonl", s.number, run))
}

// journals lists the files of all runs.
func (s *member) journals() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for run := 1; run <= s.runs; run++ {
		if _, err := os.Stat(s.journal(run)); err == nil { // a run that ended too early has made none
			all = append(all, s.journal(run))
		}
	}
	return all
}

// take returns the run, which the caller ends, or *misbehaved.
func (s *member) take() (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.proc
	if p == nil {
		return nil, fmt.Errorf("silo %d does not run", s.number)
	}
	s.proc = nil
	select {
	case <-p.exited:
		return nil, s.ended(p)
	default:
		return p, nil
	}
}

// kill ends the run as a power cut would, and returns when it is gone.
func (s *member) kill() error {
	p, err := s.take()
	if err != nil {
		return err
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill silo %d: %w", s.number, err)
	}
	<-p.exited
	p.stdin.Close()
	return nil
}

// stop asks the run to end, by SIGTERM, and returns when it has. Errors: *misbehaved.
func (s *member) stop() error {
	p, err := s.take()
	if err != nil {
		return err
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.stdin.Close() // which says the same, where there are no signals
	}
	defer p.stdin.Close()
	limit := time.NewTimer(stopWithin)
	defer limit.Stop()
	select {
	case <-p.exited:
		if exit := (*exec.ExitError)(nil); errors.As(p.err, &exit) {
			return s.ended(p)
		}
		return nil
	case <-limit.C:
		// What its goroutines do goes into its log. Whether it is still there to be told does not matter.
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		select {
		case <-p.exited:
		case <-time.After(stacksWithin):
			_ = p.cmd.Process.Kill()
			<-p.exited
		}
		return &misbehaved{s.number, fmt.Sprintf("did not stop within %v and was killed", stopWithin), s.tail()}
	}
}

// signal sends a signal to the run.
func (s *member) signal(sig syscall.Signal) error {
	p := s.current()
	if p == nil {
		return fmt.Errorf("silo %d does not run", s.number)
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal %v to silo %d: %w", sig, s.number, err)
	}
	return nil
}

// stopInTurn lets the silo stop itself in the middle of its next turn of a kind. It returns when it does, or
// says that none came.
func (s *member) stopInTurn(kind register.Kind) error {
	p := s.current()
	if p == nil {
		return fmt.Errorf("silo %d does not run", s.number)
	}
	if _, err := io.WriteString(p.stdin, tellStop+string(kind)+"\n"); err != nil {
		return fmt.Errorf("silo %d: %w", s.number, err)
	}
	limit := time.NewTimer(2 * turnWithin)
	defer limit.Stop()
	select {
	case <-p.stops:
		return nil
	case <-p.exited:
		return fmt.Errorf("silo %d has ended", s.number)
	case <-limit.C:
		return errNoTurn
	}
}

var errNoTurn = errors.New("no turn began to stop in")

// alive is *misbehaved if the run has ended.
func (s *member) alive() error {
	p := s.current()
	if p == nil {
		return nil
	}
	select {
	case <-p.exited:
		return s.ended(p)
	default:
		return nil
	}
}

// tail is the end of the log.
func (s *member) tail() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return fmt.Sprintf("the end of %s:\n%s", s.log, strings.Join(lines[max(0, len(lines)-15):], "\n"))
}
