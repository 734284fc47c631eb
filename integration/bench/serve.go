package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
)

// serveCommand, as the first argument, makes the program a child of another; it is not for people.
const serveCommand = "serve"

// serve is the other process of a rival: it starts what the role says, prints one line by which it is
// found, and stops when stdin ends or ctx does.
func serve(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("which role?")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan string) // not buffered: who wants a line waits for it
	go func() {
		defer cancel()
		in := bufio.NewScanner(stdin)
		for in.Scan() {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	p := parent{lines: lines, stdout: stdout, log: quiet(stderr)}
	switch args[0] {
	case roleGRPC:
		return serveGRPC(ctx, p, args[1:])
	case roleRemote:
		return serveRemote(ctx, p)
	case roleCluster:
		return serveCluster(ctx, p)
	case roleSilo:
		return serveSilo(ctx, p, args[1:])
	case roleIdle:
		return serveIdle(ctx, p, args[1:])
	default:
		return fmt.Errorf("no role %q", args[0])
	}
}

// parent is a child's view of the process that started it.
type parent struct {
	lines  <-chan string
	stdout io.Writer
	log    *slog.Logger
}

// tell prints the line by which the child is found.
func (p parent) tell(line string) { fmt.Fprintln(p.stdout, line) }

// hear waits for a line.
func (p parent) hear(ctx context.Context) (string, error) {
	select {
	case line := <-p.lines:
		return line, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// quiet returns a logger of what goes wrong, and of nothing else: what systems log when all is well is
// not measured.
func quiet(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelError}))
}
