package consensus

import (
	"context"
	"io"
	"log"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// The storage of the log comes with a package that takes over Go's standard logger when it is
// initialized, and with it the lines of every program that imports this one. That is undone here.
func init() {
	log.SetOutput(os.Stderr)
	log.SetPrefix("")
	log.SetFlags(log.LstdFlags)
}

// routine is what raft warns of in the course of every start, election and stop.
var routine = map[string]bool{
	"heartbeat timeout reached, starting election": true,
	"failed to accept connection":                  true,
	"failed to decode incoming command":            true,
	"no known peers, aborting election":            true,
}

// bridgeLogger gives raft a logger that hands warnings and errors to log. Less
// than that is for those who debug raft itself.
func bridgeLogger(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "consensus", Level: hclog.Off, Output: io.Discard})
	l.RegisterSink(&slogSink{log, &sync.Mutex{}, map[string]time.Time{}})
	return l
}

// slogSink hands on what raft says, each sentence once in a while: a replica that reaches no majority
// repeats itself many times a second.
type slogSink struct {
	log *slog.Logger

	mu   *sync.Mutex
	said map[string]time.Time
}

// sayAgain is how long the same sentence is kept back.
const sayAgain = 10 * time.Second

// Accept implements hclog.SinkAdapter. Raft calls an error what is a warning to
// its host (a peer that does not answer), so nothing is passed on above that.
func (s slogSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	if level < hclog.Warn || routine[msg] {
		return
	}
	s.mu.Lock()
	late := time.Since(s.said[msg]) < sayAgain
	if !late {
		s.said[msg] = time.Now()
	}
	s.mu.Unlock()
	if !late {
		s.log.With("from", name).Log(context.Background(), slog.LevelWarn, msg, args...)
	}
}
