// Package child runs further processes of a program that measures or tests: the program itself, in another role.
package child

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
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// StartWithin is how long a child may take to serve.
	StartWithin = 30 * time.Second
	// StopWithin is how long it may take to stop.
	StopWithin = 15 * time.Second
)

// Process is a second process: this program again, with other arguments. It ends when its standard input does,
// hence with this process at the latest.
type Process struct {
	Ready  string // the line that it printed when it served
	role   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	log    *tail
	lines  chan string   // what it prints after that
	exited chan struct{} // closed when err is set
	err    error
}

// Spawn starts a child and returns when it has printed a line. The first arguments name its role.
func Spawn(ctx context.Context, args ...string) (*Process, error) {
	role := strings.Join(args[:min(2, len(args))], " ")
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &Process{role: role, log: &tail{}, lines: make(chan string, 16), exited: make(chan struct{})} // more lines than any role prints
	c.cmd = exec.Command(exe, args...)
	c.cmd.Stderr = c.log
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process (%s): %w", role, err)
	}
	line := make(chan string, 1) // one: the only one that is sent
	go func() {
		lines := bufio.NewScanner(stdout)
		if lines.Scan() {
			line <- lines.Text()
		}
		for lines.Scan() {
			c.lines <- lines.Text()
		}
		_, _ = io.Copy(io.Discard, stdout) // its end is that of the process
		c.err = c.cmd.Wait()
		close(c.exited)
	}()
	limit := time.NewTimer(StartWithin)
	defer limit.Stop()
	select {
	case c.Ready = <-line:
		return c, nil
	case <-c.exited:
		return nil, fmt.Errorf("process %s ended before it served: %v\n%s", role, c.err, c.log)
	case <-limit.C:
		err = fmt.Errorf("process %s did not serve within %v\n%s", role, StartWithin, c.log)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return nil, errors.Join(err, c.Stop())
}

// Tell writes a line to the child's standard input.
func (c *Process) Tell(line string) error {
	_, err := io.WriteString(c.stdin, line+"\n")
	return err
}

// Hear waits for the next line that the child prints.
func (c *Process) Hear(ctx context.Context, within time.Duration) (string, error) {
	limit := time.NewTimer(within)
	defer limit.Stop()
	select {
	case line := <-c.lines:
		return line, nil
	case <-c.exited:
		return "", fmt.Errorf("process %s ended: %v\n%s", c.role, c.err, c.log)
	case <-limit.C:
		return "", fmt.Errorf("process %s said nothing for %v\n%s", c.role, within, c.log)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// Stop ends the child, by force if it takes too long.
func (c *Process) Stop() error {
	c.stdin.Close()
	limit := time.NewTimer(StopWithin)
	defer limit.Stop()
	select {
	case <-c.exited:
		if c.err != nil {
			return fmt.Errorf("process %s: %w\n%s", c.role, c.err, c.log)
		}
		return nil
	case <-limit.C:
		_ = c.cmd.Process.Kill() // it has ended meanwhile, or does now
		<-c.exited
		return fmt.Errorf("process %s did not stop within %v and was killed\n%s", c.role, StopWithin, c.log)
	}
}

// CPU is the processor time that the child has used. Not every system tells.
func (c *Process) CPU() (time.Duration, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0, false
	}
	// Behind the name, which may hold anything and ends with the last parenthesis, fields 12 and 13 are
	// the ticks in user and system mode (proc(5)); a tick is 10 ms on every Linux that Go runs on.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0, false
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, err1 == nil && err2 == nil
}

// Memory is what the child has of the machine's memory now, and the most that it had, in MiB. Not every
// system tells: then both are 0.
func (c *Process) Memory() (now, most float64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(b)) { // "VmRSS:     1234 kB", see proc(5)
		for name, to := range map[string]*float64{"VmRSS:": &now, "VmHWM:": &most} {
			if fields := strings.Fields(line); len(fields) == 3 && fields[0] == name {
				if kib, err := strconv.ParseFloat(fields[1], 64); err == nil {
					*to = kib / 1024
				}
			}
		}
	}
	return now, most
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	end []byte
}

const tailSize = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, b...)
	if excess := len(t.end) - tailSize; excess > 0 {
		t.end = append(t.end[:0], t.end[excess:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.end)
}

// SiloAddrs returns addresses on loopback whose ports, and the ports after them, were free a moment ago.
func SiloAddrs(n int) ([]string, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	hold := func(port int) (int, error) {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return 0, err
		}
		held = append(held, l)
		return l.Addr().(*net.TCPAddr).Port, nil
	}
	var addrs []string
	for tries := 0; len(addrs) < n; tries++ {
		port, err := hold(0)
		if err != nil {
			return nil, fmt.Errorf("find a free port on 127.0.0.1: %w", err)
		}
		if _, err := hold(port + 1); err == nil {
			addrs = append(addrs, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		} else if tries > 100 {
			return nil, fmt.Errorf("find two free ports in a row on 127.0.0.1: %w", err)
		}
	}
	return addrs, nil
}
