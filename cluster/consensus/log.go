package consensus

import (
	"context"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// bridgeLogger gives raft a logger that hands warnings and errors to log. Less
// than that is for those who debug raft itself.
func bridgeLogger(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "consensus", Level: hclog.Off, Output: io.Discard})
	l.RegisterSink(slogSink{log})
	return l
}

type slogSink struct{ log *slog.Logger }

// Accept implements hclog.SinkAdapter. Raft calls an error what is a warning to
// its host (a peer that does not answer), so nothing is passed on above that.
func (s slogSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	if level >= hclog.Warn {
		s.log.With("from", name).Log(context.Background(), slog.LevelWarn, msg, args...)
	}
}
