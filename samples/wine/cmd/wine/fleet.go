package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	silos = 3
	// startWithin is how long silos may take to found their cluster, or one to come back.
	startWithin = 30 * time.Second
	// stopWithin is how long a silo may take to stop.
	stopWithin = 10 * time.Second
)

// fleet is the silo processes.
type fleet struct {
	dir   string // has a directory and a log for each
	addrs []string
	args  []string // of every silo
	procs []*process
}

// process is one run of one silo.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer // the silo stops when it is closed, or this process dies
	log    *os.File
	exited chan struct{} // closed when err is set
	err    error
}

// newFleet picks the ports.
func newFleet(dir string, port int, args ...string) (*fleet, error) {
	addrs, err := pickPorts(port)
	return &fleet{dir: dir, addrs: addrs, args: args, procs: make([]*process, silos)}, err
}

func (f *fleet) list() string { return strings.Join(f.addrs, ",") }

func (f *fleet) logOf(i int) string { return filepath.Join(f.dir, fmt.Sprintf("silo-%d.log", i+1)) }

// startAll starts all silos, and returns when they serve.
func (f *fleet) startAll(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range f.addrs {
		g.Go(func() error { return f.start(ctx, i) })
	}
	return g.Wait()
}

// start starts the i-th silo and returns when it serves.
func (f *fleet) start(ctx context.Context, i int) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	p := &process{exited: make(chan struct{})}
	p.log, err = os.OpenFile(f.logOf(i), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	args := append([]string{
		"silo", "--child", "--listen", f.addrs[i], "--join", f.list(),
		"--dir", filepath.Join(f.dir, fmt.Sprintf("silo-%d", i+1)),
	}, f.args...)
	p.cmd = exec.Command(exe, args...)
	p.cmd.Stderr = p.log
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start silo %d: %w", i+1, err)
	}
	f.procs[i] = p
	serves := make(chan struct{})
	go p.watch(stdout, serves)
	limit := time.NewTimer(startWithin)
	defer limit.Stop()
	select {
	case <-serves:
		return nil
	case <-p.exited:
		f.procs[i] = nil
		return fmt.Errorf("silo %d (%s) did not start: %w\n%s", i+1, f.addrs[i], p.err, tail(f.logOf(i)))
	case <-limit.C:
		return fmt.Errorf("silo %d (%s) did not serve within %v\n%s", i+1, f.addrs[i], startWithin, tail(f.logOf(i)))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// watch closes serves at the process's first line, and exited at its end.
func (p *process) watch(stdout io.Reader, serves chan<- struct{}) {
	lines := bufio.NewScanner(stdout)
	if lines.Scan() && strings.HasPrefix(lines.Text(), serving) {
		close(serves)
	}
	_, _ = io.Copy(io.Discard, stdout)
	p.err = p.cmd.Wait()
	if p.err == nil {
		p.err = errors.New("it stopped by itself")
	}
	p.log.Close()
	close(p.exited)
}

// kill ends the i-th silo as a power cut would, SIGKILL, and returns when it is gone.
func (f *fleet) kill(i int) error {
	p := f.procs[i]
	f.procs[i] = nil
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill silo %d: %w", i+1, err)
	}
	<-p.exited
	p.stdin.Close()
	return nil
}

// stop stops what runs; a silo that does not stop in time is killed, which is an error.
func (f *fleet) stop() error {
	var errs []error
	for _, p := range f.procs {
		if p != nil {
			p.stdin.Close()
		}
	}
	limit := time.NewTimer(stopWithin + time.Second)
	defer limit.Stop()
	for i, p := range f.procs {
		if p == nil {
			continue
		}
		select {
		case <-p.exited:
		case <-limit.C:
			errs = append(errs, fmt.Errorf("silo %d did not stop within %v; its log is %s", i+1, stopWithin, f.logOf(i)))
			_ = p.cmd.Process.Kill() // it has exited meanwhile, or is now
			<-p.exited
			limit.Reset(0) // the others are not waited for either
		}
		f.procs[i] = nil
	}
	return errors.Join(errs...)
}

// died returns an error that names the silos which are gone without having been killed.
func (f *fleet) died() error {
	var errs []error
	for i, p := range f.procs {
		if p == nil {
			continue
		}
		select {
		case <-p.exited:
			errs = append(errs, fmt.Errorf("silo %d died: %w\n%s", i+1, p.err, tail(f.logOf(i))))
		default:
		}
	}
	return errors.Join(errs...)
}

// tail is the end of a log, for error messages.
func tail(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return fmt.Sprintf("the end of %s:\n%s", file, bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
}

// PortTaken says that a silo could not have the port that follows from --port.
type PortTaken struct {
	Port, Silo, Base int
	Cause            error
}

func (e *PortTaken) Error() string {
	return fmt.Sprintf("port %d, which silo %d would use because of --port %d, is in use: give --port another, or leave it out: %v",
		e.Port, e.Silo, e.Base, e.Cause)
}

func (e *PortTaken) Unwrap() error { return e.Cause }

// pickPorts returns an address for each silo, whose port and the one after it are free: the six from base
// on, or any for base 0.
func pickPorts(base int) ([]string, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	hold := func(port int) (int, error) {
		l, err := net.Listen("tcp", local(port))
		if err != nil {
			return 0, err
		}
		held = append(held, l)
		return l.Addr().(*net.TCPAddr).Port, nil
	}
	var addrs []string
	if base > 0 {
		for i := range silos {
			for _, port := range []int{base + 2*i, base + 2*i + 1} {
				if _, err := hold(port); err != nil {
					return nil, &PortTaken{Port: port, Silo: i + 1, Base: base, Cause: err}
				}
			}
			addrs = append(addrs, local(base+2*i))
		}
		return addrs, nil
	}
	for tries := 0; len(addrs) < silos; tries++ {
		port, err := hold(0)
		if err != nil {
			return nil, fmt.Errorf("find free ports on 127.0.0.1: %w", err)
		}
		if _, err := hold(port + 1); err == nil {
			addrs = append(addrs, local(port))
		} else if tries > 100 {
			return nil, fmt.Errorf("find two free ports in a row on 127.0.0.1: %w", err)
		}
	}
	return addrs, nil
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
