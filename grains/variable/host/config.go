package host

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Transport reaches the hosts of other silos. It is safe for concurrent use.
type Transport interface {
	// Request sends a request to the host's ServeRequest and returns its answer. An error that is a
	// wire.ErrNotExecuted or wire.ErrTooLarge says that the request surely was not served; after any
	// other it may have been.
	Request(ctx context.Context, to view.SiloID, payload []byte) ([]byte, error)
	// Notify hands a message to the host's ServeNotify at most once, in order while a connection lives.
	Notify(to view.SiloID, payload []byte) error
}

// Config is what a Host needs. Self, Incarnation, Actor, Views, Kinds, Requests and Replicas must be set.
type Config struct {
	// Self is this silo, and Incarnation this run of it: each run has a greater one, the one that views
	// give it.
	Self        view.SiloID
	Incarnation uint64
	// Actor mints the dots of this store. It lives and ends with the store's directory.
	Actor crdt.Actor
	Views *view.Holder
	// Kinds by name; those that are variables are kept here.
	Kinds map[string]wire.Kind

	// Requests carries operations and reads, Replicas the novelties.
	Requests, Replicas Transport
	// Repairs carries what compares and transfers states, which is large and never urgent: notifications and
	// requests. Default: the notifications Replicas does, and the requests Requests does.
	Repairs Transport

	// Dir is the directory of the store; "" keeps everything in memory.
	Dir string
	// FS is what the store is on; nil: the disk, or memory where Dir is "". Whoever keeps an FS in memory
	// can open the same store again.
	FS vfs.FS
	// Limit is the most bytes of one message; default 4 MiB. A single delta is a little smaller.
	Limit int
	// RepairLimit is the same of what Repairs carries: a state that is larger reaches no new replica, and is
	// not handed over by a former one.
	// Default Limit.
	RepairLimit int
	// Now is the clock of timestamps; default time.Now.
	Now func() time.Time
	// Logger hears of what cannot be told to anybody else; default slog.Default.
	Logger *slog.Logger
	// Fatal, if set, is called once, from any goroutine, when the store cannot be written any more. The
	// host refuses everything from then on; the silo should stop.
	Fatal func(error)

	hooks hooks
}

// hooks switch safety off, so that tests can show that it is what keeps them green.
type hooks struct {
	skipOwn bool // do not store what this store keeps about a variable
	ackNow  bool // answer writers before the disk has

	countAtOnce bool // a new replica serves before it has heard from those before it
}

// both sends requests by one transport and notifications by another.
type both struct{ requests, notifications Transport }

func (b both) Request(ctx context.Context, to view.SiloID, payload []byte) ([]byte, error) {
	return b.requests.Request(ctx, to, payload)
}

func (b both) Notify(to view.SiloID, payload []byte) error {
	return b.notifications.Notify(to, payload)
}

// keyLimit bounds the length of a variable's kind and key together.
const keyLimit = 4 << 10

// slack is what a message needs beside one delta: the variable's name and the framing.
const slack = keyLimit + 1<<10

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Self == "", c.Incarnation == 0, c.Actor == 0:
		return c, fmt.Errorf("variable host: Config.Self, Incarnation and Actor must be set")
	case c.Views == nil, c.Requests == nil, c.Replicas == nil:
		return c, fmt.Errorf("variable host: Config.Views, Requests and Replicas must be set")
	}
	c.Limit = limitOf(c.Limit)
	if c.Repairs == nil {
		c.Repairs = both{c.Requests, c.Replicas}
	}
	c.RepairLimit = max(c.RepairLimit, c.Limit)
	if c.FS == nil {
		c.FS = vfs.Default
		if c.Dir == "" {
			c.FS = vfs.NewMem()
		}
	}
	if c.Dir == "" {
		c.Dir = "variables"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

func limitOf(limit int) int {
	if limit <= 0 {
		return 4 << 20
	}
	return max(limit, 4*slack)
}

// Delta is a change of a variable that was made elsewhere and needs no operation.
type Delta struct {
	Variable wire.ID
	Bytes    []byte
}

// ForeignStore says that the directory belongs to another store.
type ForeignStore struct {
	Dir         string
	Found, Want crdt.Actor
}

func (e *ForeignStore) Error() string {
	return fmt.Sprintf("variable host: %s holds variables of actor %d, this store is actor %d: point the silo at its own directory, or remove this one",
		e.Dir, e.Found, e.Want)
}

// StoreError says that what is stored cannot be read, or, when Write is set, that nothing more can be
// stored.
type StoreError struct {
	Dir      string
	Variable wire.ID // zero when it is not about one
	What     string
	Write    bool
	Err      error
}

func (e *StoreError) Error() string {
	of, help := "", "restore the directory, or remove the silo's whole data directory so that it comes back as a new store and fetches everything from the other replicas"
	if !e.Variable.IsZero() {
		of = fmt.Sprintf(" variable %v:", e.Variable)
	}
	if e.Write {
		help = "mend the disk and start the silo again"
	}
	return fmt.Sprintf("variable host: %s:%s %s: %v: %s", e.Dir, of, e.What, e.Err, help)
}

func (e *StoreError) Unwrap() error { return e.Err }
