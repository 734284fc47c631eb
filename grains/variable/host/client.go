package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Client writes and reads variables at the silos' hosts, for processes that keep none themselves. Its
// methods may be called from any goroutine; they promise and return what those of Host do.
type Client struct {
	views    *view.Holder
	kinds    map[string]wire.Kind
	requests Transport
	limit    int
}

// NewClient returns a client. limit is the most bytes of one message, 0 stands for 4 MiB.
func NewClient(views *view.Holder, kinds map[string]wire.Kind, requests Transport, limit int) *Client {
	return &Client{views, kinds, requests, limitOf(limit)}
}

// Mutate applies an operation at the first replica that is up and takes it. See Host.Mutate.
func (c *Client) Mutate(ctx context.Context, id wire.ID, op []byte) error {
	return patiently(ctx, func() error { return c.mutate(ctx, id, op, "") })
}

// Prepare adds to an operation what it observes at a replica. See Host.Prepare.
func (c *Client) Prepare(ctx context.Context, id wire.ID, op []byte) (prepared []byte, err error) {
	err = patiently(ctx, func() (err error) {
		prepared, err = c.prepare(ctx, id, op, "")
		return err
	})
	return prepared, err
}

// Read calls use with a copy of the object at a replica.
func (c *Client) Read(ctx context.Context, id wire.ID, use func(wire.Object)) error {
	return patiently(ctx, func() error { return c.read(ctx, id, use, "") })
}

// Keys returns the keys of a family that hold something, sorted. See Host.Keys.
func (c *Client) Keys(ctx context.Context, family string) ([]string, error) {
	return c.keys(ctx, family, "", nil)
}

// RemoteHashes returns what Host.Hashes of a silo does.
func (c *Client) RemoteHashes(ctx context.Context, silo view.SiloID, kind string) (map[string]uint64, error) {
	if _, err := kindOf(c.kinds, kind); err != nil {
		return nil, err
	}
	hashes := map[string]uint64{}
	err := c.pages(ctx, silo, request{op: opHashes, kind: kind}, func(i item) { hashes[i.key] = i.hash })
	if err != nil {
		return nil, fmt.Errorf("hashes of %s: %w", kind, err)
	}
	return hashes, nil
}

func (c *Client) mutate(ctx context.Context, id wire.ID, op []byte, self view.SiloID) error {
	_, err := c.atReplica(ctx, request{op: opMutate, kind: id.Kind(), key: id.Key(), body: op}, self, false)
	return err
}

func (c *Client) prepare(ctx context.Context, id wire.ID, op []byte, self view.SiloID) ([]byte, error) {
	r, err := c.atReplica(ctx, request{op: opPrepare, kind: id.Kind(), key: id.Key(), body: op}, self, true)
	return r.body, err
}

func (c *Client) read(ctx context.Context, id wire.ID, use func(wire.Object), self view.SiloID) error {
	k, err := kindOf(c.kinds, id.Kind())
	if err != nil {
		return err
	}
	r, err := c.atReplica(ctx, request{op: opRead, kind: id.Kind(), key: id.Key()}, self, true)
	if err != nil {
		return err
	}
	object := k.Lattice.New()
	if len(r.body) > 0 {
		if _, err := object.Join(r.body); err != nil {
			return fmt.Errorf("variable %v: the state that a replica sent: %w", id, &wire.DecodeFailure{Err: err})
		}
	}
	use(object)
	return nil
}

// atReplica has a request about a variable served by the first replica that is up and serves it. The next
// one is tried when a replica surely did not serve it or, where that is harmless, whenever none answered.
func (c *Client) atReplica(ctx context.Context, r request, self view.SiloID, harmless bool) (reply, error) {
	id := wire.NewID(r.kind, r.key)
	k, err := kindOf(c.kinds, r.kind)
	if err == nil {
		err = checkID(id)
	}
	if err != nil {
		return reply{}, err
	}
	v := c.views.Current()
	if v == nil {
		return reply{}, &wire.CallError{To: id, Cause: wire.ErrNotExecuted, Detail: "no view of the cluster yet"}
	}
	payload := r.append(nil)
	if len(payload) > c.limit {
		return reply{}, &wire.CallError{To: id, Cause: wire.ErrTooLarge, Detail: fmt.Sprintf("an operation of %d bytes, a message takes %d", len(r.body), c.limit)}
	}
	var tried []string
	var last error
	var fresh *NotCounted // a replica refused because it is new
	for _, s := range v.Replicas(id, k.Replicas) {
		if !s.Alive() || s.ID == self {
			tried = append(tried, s.Addr+" is "+state(s))
			continue
		}
		answer, err := c.ask(ctx, s.ID, payload)
		errors.As(err, &fresh)
		switch {
		case err == nil:
			return answer, nil
		case notExecuted(err), answered(err) && errors.Is(err, wire.ErrNoSuchKind):
		case answered(err), errors.Is(err, wire.ErrTooLarge):
			return reply{}, fmt.Errorf("variable %v at silo %s: %w", id, s.Addr, err)
		case ctx.Err() != nil, !harmless:
			return reply{}, fmt.Errorf("variable %v at silo %s: %w: %w", id, s.Addr, wire.ErrUnknown, err)
		}
		tried = append(tried, fmt.Sprintf("%s: %v", s.Addr, err))
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	if answered(last) && errors.Is(last, wire.ErrNoSuchKind) {
		return reply{}, fmt.Errorf("variable %v: %w", id, last)
	}
	err = &wire.CallError{To: id, Cause: wire.ErrNotExecuted, Detail: fmt.Sprintf("no replica served it (%s)", strings.Join(tried, "; "))}
	if fresh != nil {
		err = fmt.Errorf("%w: %w", err, fresh)
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", err, ctx.Err())
	}
	return reply{}, err
}

func state(s view.Member) string {
	if s.Alive() {
		return "this silo"
	}
	return "down"
}

// ask sends one request. Its error is an *errorReply if the other side answered with one.
func (c *Client) ask(ctx context.Context, silo view.SiloID, payload []byte) (reply, error) {
	b, err := c.requests.Request(ctx, silo, payload)
	if err != nil {
		return reply{}, err
	}
	return decodeReply(b)
}

// pages calls each with all items that a silo answers a request with.
func (c *Client) pages(ctx context.Context, silo view.SiloID, r request, each func(item)) error {
	for {
		page, err := c.ask(ctx, silo, r.append(nil))
		if err != nil {
			return fmt.Errorf("silo %s: %w", silo, err)
		}
		for _, i := range page.items {
			each(i)
		}
		if !page.more {
			return nil
		}
		n := len(page.items)
		if n == 0 || r.resumed && page.items[n-1].key <= r.key {
			return fmt.Errorf("silo %s: %w", silo, &wire.DecodeFailure{Err: errors.New("a page that does not advance")})
		}
		r.key, r.resumed = page.items[n-1].key, true
	}
}

// keys asks all silos that are up for their keys of a family; here, if it is not nil, answers for self.
func (c *Client) keys(ctx context.Context, family string, self view.SiloID, here func(string) []string) ([]string, error) {
	k, err := kindOf(c.kinds, family)
	if err != nil {
		return nil, err
	}
	v := c.views.Current()
	if v == nil {
		return nil, fmt.Errorf("keys of %s: no view of the cluster yet: %w", family, wire.ErrNotExecuted)
	}
	var (
		asking sync.WaitGroup
		mu     sync.Mutex
		keys   []string
		errs   []error
		silent int // silos that are down or do not answer
	)
	keepers := v.Keepers()
	for _, s := range keepers {
		switch {
		case s.ID == self && here != nil:
			mine := here(family)
			mu.Lock()
			keys = append(keys, mine...)
			mu.Unlock()
		case !s.Alive():
			mu.Lock()
			silent++
			mu.Unlock()
		default:
			asking.Go(func() {
				var theirs []string
				err := c.pages(ctx, s.ID, request{op: opKeys, kind: family}, func(i item) { theirs = append(theirs, i.key) })
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					silent++
					errs = append(errs, err)
				}
				keys = append(keys, theirs...)
			})
		}
	}
	asking.Wait()
	replicas := k.Replicas
	if replicas == 0 {
		replicas = view.DefaultReplicas
	}
	if replicas < 0 || replicas > len(keepers) {
		replicas = len(keepers)
	}
	if len(errs) > 0 && silent >= replicas { // all replicas of some variable may be among them
		return nil, fmt.Errorf("keys of %s: %w", family, errors.Join(errs...))
	}
	if silent == len(keepers) {
		return nil, fmt.Errorf("keys of %s: no silo is up: %w", family, wire.ErrNotExecuted)
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}
