package discovery

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Seeder yields seeds.
type Seeder interface {
	// Seeds returns the addresses that the source has now, at least one. The slice is the caller's. It
	// costs what asking the source costs: nothing is remembered. Errors: *[SourceError], which is [ErrNone]
	// where the source answered and has none yet.
	Seeds(ctx context.Context) ([]string, error)
}

// Watcher follows seeds.
type Watcher interface {
	// Watch yields the seeds of now and then each change of them, until ctx ends or the loop is left. An
	// error is yielded in place of seeds, once for as long as it lasts, and does not end the loop: what was
	// yielded before is still the best that there is. It runs on the caller's goroutine, which it blocks
	// between changes.
	Watch(ctx context.Context) iter.Seq2[[]string, error]
}

// Announcer takes addresses.
type Announcer interface {
	// Announce says that a silo is reached at addr, and goes on saying so until withdraw, which takes it
	// back; ctx bounds the announcement only. Withdraw returns the same however often it is called. A
	// process that dies withdraws nothing: what is left then is the source's matter. Errors: *[SourceError]
	// and, for what is no address, *[FormError].
	Announce(ctx context.Context, addr string) (withdraw func(context.Context) error, err error)
}

// Source is what [Parse] makes. Its methods may be called from any goroutine. String is the form that
// Parse reads, without passwords.
type Source interface {
	Seeder
	Watcher
	fmt.Stringer
}

// ErrNone says that a source was asked, and knows of no silo yet.
var ErrNone = errors.New("it names no silo")

// SourceError says that a source could not be asked, or said nothing that is of use. It may pass by itself.
type SourceError struct {
	Source string // as in its String
	Cause  error
	Next   string // what to do
}

func (e *SourceError) Error() string {
	return fmt.Sprintf("discovery: %s: %v: %s", e.Source, e.Cause, e.Next)
}

// Unwrap returns the cause.
func (e *SourceError) Unwrap() error { return e.Cause }

// FormError says why a text is no source or no address, and what is. It does not pass by itself.
type FormError struct{ Text, Reason string }

func (e *FormError) Error() string { return fmt.Sprintf("%.100q: %s", e.Text, e.Reason) }

// maxSeeds bounds what is taken from a source.
const maxSeeds = 4096

// tidy sorts addresses and leaves each once.
func tidy(addrs []string) []string {
	slices.Sort(addrs)
	return slices.Compact(addrs)
}

// news tells what differs from what was told before.
type news struct {
	yield func([]string, error) bool
	told  bool
	seeds []string
	wrong string
}

// tell passes seeds or err on if it is new; false when the listener has left.
func (n *news) tell(seeds []string, err error) bool {
	wrong := ""
	if err != nil {
		seeds, wrong = nil, err.Error()
	}
	if n.told && n.wrong == wrong && slices.Equal(n.seeds, seeds) {
		return true
	}
	n.told, n.seeds, n.wrong = true, slices.Clone(seeds), wrong
	return n.yield(seeds, err)
}

// poll follows a source that has to be asked again and again.
func poll(ctx context.Context, every time.Duration, s Seeder) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		n := news{yield: yield}
		for {
			seeds, err := s.Seeds(ctx)
			if ctx.Err() != nil || !n.tell(seeds, err) || !sleep(ctx, every) {
				return
			}
		}
	}
}

// sleep waits; false when ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
