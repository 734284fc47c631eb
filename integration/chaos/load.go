package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/integration/bank"
	"github.com/martinelli-go/martinelli/integration/chaos/register"
	"github.com/martinelli-go/martinelli/txn"
)

const (
	// clients are nodes of their own; callers are goroutines of theirs.
	clients          = 3
	callersPerClient = 8
	// registers is how many keys share the load: few enough to be written at once, and many enough for
	// each history to be checked in little time.
	registers = 48
	// bystanders are registers that are only touched, to see where they are and how soon they are back.
	bystanders = 300
	// sinks are registers that others relay to.
	sinks     = 8
	variables = 8
	accounts  = 12
	deposit   = 1_000_000

	// thinking is the longest pause of a caller between two calls, at random: so that silos are busy and not
	// saturated, and a figure of goodput tells more of them than of what else the machine does.
	thinking = 40 * time.Millisecond

	// answerWithin is the deadline of calls: longer than a pause, so that an answer that comes after one
	// is still taken if nothing keeps it from being given.
	answerWithin = 8 * time.Second
	// impatientWithin is that of callers who give up while a silo is away.
	impatientWithin = 2 * time.Second
	// probeWithin is that of calls that look for a grain's new home.
	probeWithin = time.Second
	// askWithin is that of questions about atomic blocks.
	askWithin = 5 * time.Second
	// givenUp is how long after its deadline a call counts as unanswered.
	givenUp = 10 * time.Second
)

func registerKey(i int) register.Key  { return register.Key(fmt.Sprintf("register-%d", i)) }
func bystanderKey(i int) register.Key { return register.Key(fmt.Sprintf("bystander-%d", i)) }
func sinkKey(i int) register.Key      { return register.Key(fmt.Sprintf("sink-%d", i)) }
func variableKey(i int) register.Key  { return register.Key(fmt.Sprintf("variable-%d", i)) }
func accountKey(i int) bank.AccountID { return bank.AccountID(fmt.Sprintf("account-%d", i)) }
func noteOf(o *operation) string      { return fmt.Sprintf("%d %s %s %d", o.ID, o.Key, o.To, o.Amount) }
func shared() []grains.Kind           { return append(register.Shared(), bank.Shared()...) }
func quiet(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelError}))
}

// load is the clients and what they do.
type load struct {
	history *history
	clients []*cluster.Client
	callers sync.WaitGroup
	stop    chan struct{} // closed when callers are to begin nothing more
	// impatient callers are every second one, where it is set.
	impatient bool
}

// connect connects the clients.
func connect(ctx context.Context, join string, h *history) (*load, error) {
	l := &load{history: h, stop: make(chan struct{})}
	for range clients {
		c, err := cluster.Connect(ctx, cluster.Config{
			Silos: join, Grains: shared(), Logger: quiet(io.Discard),
			TrustNetwork: true, // the names are all of this machine's
		})
		if err != nil {
			l.close()
			return nil, err
		}
		l.clients = append(l.clients, c)
	}
	return l, nil
}

func (l *load) close() {
	for _, c := range l.clients {
		_ = c.Close() // silos that are gone need no farewell
	}
}

// open fills the accounts and wakes every grain, once n silos share the slots and everybody knows: while slots
// move, silos that run without a check get it wrong already, and nobody looks.
func (l *load) open(ctx context.Context, n int) error {
	if err := l.shared(ctx, n); err != nil {
		return err
	}
	c := l.clients[0]
	for i := range accounts {
		if _, err := bank.GetAccount(c, accountKey(i)).Deposit(ctx, deposit); err != nil {
			return fmt.Errorf("fill account %d: %w", i, err)
		}
	}
	for i := range registers {
		if _, err := register.GetRegister(c, registerKey(i)).Touch(ctx, 0); err != nil {
			return fmt.Errorf("wake register %d: %w", i, err)
		}
	}
	return nil
}

// shared waits until n silos have each slot where it belongs, in a view that all of them and all clients have.
func (l *load) shared(ctx context.Context, n int) error {
	for {
		newest := l.clients[0].View()
		same := newest.Settled() && len(newest.Members) == n
		for _, c := range l.clients {
			same = same && c.View().Number == newest.Number
		}
		if same {
			report, err := l.clients[0].Inspect(ctx, cluster.Inspection{})
			if err == nil && report.Healthy() && report.View == newest.Number {
				return nil
			}
		}
		hold(ctx, 20*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("%d silos do not share the slots, in view %d: %w", n, newest.Number, context.Cause(ctx))
		}
	}
}

// begin lets the callers call.
func (l *load) begin(seed uint64) {
	for i := range clients * callersPerClient {
		c := &caller{load: l, number: i, client: l.clients[i%clients], random: rand.New(rand.NewPCG(seed, uint64(i))), patience: answerWithin}
		if l.impatient && i%2 == 1 {
			c.patience = impatientWithin
		}
		l.callers.Go(c.run)
	}
}

// end stops the callers. It returns when their last calls are answered, or must have been.
func (l *load) end() {
	close(l.stop)
	returned := make(chan struct{})
	go func() { l.callers.Wait(); close(returned) }()
	select {
	case <-returned:
	case <-time.After(answerWithin + askWithin + givenUp):
	}
}

// caller makes one call after the other.
type caller struct {
	load     *load
	number   int
	client   *cluster.Client
	random   *rand.Rand
	patience time.Duration
	mine     []*operation     // what it has added to sets, and not removed
	last     map[string]int64 // what it has last seen in a register
}

// mix is what callers do, in hundredths.
var mix = []struct {
	share int
	do    func(*caller)
}{
	{34, (*caller).read}, {20, (*caller).write}, {10, (*caller).compareAndSet}, {17, (*caller).touch},
	{3, (*caller).relay}, {5, (*caller).transfer}, {5, (*caller).add}, {2, (*caller).remove}, {4, (*caller).count},
}

func (c *caller) run() {
	c.last = map[string]int64{}
	for {
		select {
		case <-c.load.stop:
			return
		case <-time.After(time.Duration(c.random.Int64N(int64(thinking)))):
		}
		n := c.random.IntN(100)
		for _, m := range mix {
			if n -= m.share; n < 0 {
				m.do(c)
				break
			}
		}
	}
}

// call does an operation and writes it down.
func (l *load) call(c *cluster.Client, o *operation, within time.Duration) error {
	l.history.begin(o, within)
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	seen, err := perform(ctx, c, o)
	l.history.end(o, seen, err)
	return err
}

// settle asks what became of an atomic block, a few times: silos may be away.
func (c *caller) settle(o *operation, err error) {
	id, ok := txn.IDOf(err)
	if !ok {
		return
	}
	for range 4 {
		ask := &operation{Client: c.number, Kind: inquiry, Key: o.Key, Block: id}
		if c.load.call(c.client, ask, askWithin) == nil {
			c.load.history.settle(o, ask.Result) // one that is forgotten nobody knows any more
			return
		}
	}
}

// do does an operation, and finds out what became of a block.
func (c *caller) do(o *operation) {
	o.Client = c.number
	err := c.load.call(c.client, o, c.patience)
	if classify(err) != unknown {
		return
	}
	switch o.Kind {
	case register.Write, register.CompareAndSet, transfer:
		c.settle(o, err)
	}
}

func (c *caller) register() string { return string(registerKey(c.random.IntN(registers))) }

func (c *caller) read() {
	o := &operation{Kind: register.Read, Key: c.register()}
	c.do(o)
	if o.Outcome == done {
		c.last[o.Key] = o.Seen.Value
	}
}

func (c *caller) write() { c.do(&operation{Kind: register.Write, Key: c.register()}) }

func (c *caller) compareAndSet() {
	key := c.register()
	o := &operation{Kind: register.CompareAndSet, Key: key, Old: c.last[key]}
	c.do(o)
	if o.Outcome == done {
		c.last[key] = o.Seen.Value
		if o.Seen.Swapped {
			c.last[key] = int64(o.ID)
		}
	}
}

func (c *caller) touch() { c.do(&operation{Kind: register.Touch, Key: c.register()}) }

func (c *caller) relay() {
	c.do(&operation{Kind: register.Relay, Key: c.register(), To: string(sinkKey(c.random.IntN(sinks)))})
}

func (c *caller) transfer() {
	from := c.random.IntN(accounts)
	to := (from + 1 + c.random.IntN(accounts-1)) % accounts
	c.do(&operation{Kind: transfer, Key: string(accountKey(from)), To: string(accountKey(to)), Amount: 1 + c.random.Int64N(50)})
}

func (c *caller) add() {
	o := &operation{Kind: addToSet, Key: string(variableKey(c.random.IntN(variables)))}
	c.do(o)
	c.mine = append(c.mine, o)
}

func (c *caller) remove() {
	if len(c.mine) == 0 {
		return
	}
	i := c.random.IntN(len(c.mine))
	added := c.mine[i]
	c.mine = append(c.mine[:i], c.mine[i+1:]...)
	c.do(&operation{Kind: removeOfSet, Key: added.Key, Item: added.Item})
}

func (c *caller) count() {
	c.do(&operation{Kind: count, Key: string(variableKey(c.random.IntN(variables))), Amount: 1})
}

// locate touches n bystanders, and returns which silo has answered for each.
func (l *load) locate(ctx context.Context, n int) map[int]int64 {
	at := make(map[int]int64, n)
	var mu sync.Mutex
	each(n, func(i int) {
		for ctx.Err() == nil {
			seen, err := l.probe(i)
			if err == nil {
				mu.Lock()
				at[i] = seen.By.Silo
				mu.Unlock()
				return
			}
		}
	})
	return at
}

// probe touches a bystander.
func (l *load) probe(i int) (register.Seen, error) {
	o := &operation{Client: -1, Kind: register.Touch, Key: string(bystanderKey(i))}
	err := l.call(l.clients[i%clients], o, probeWithin)
	return o.Seen, err
}

// takeover measures how long it takes, after a silo was killed, until each of the bystanders that it had
// answers elsewhere; within at most.
func (l *load) takeover(at map[int]int64, victim int, killed time.Time, within time.Duration) []time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	its := owned(at, victim)
	each(len(its), func(n int) {
		i := its[n]
		d := within
		for time.Since(killed) < within {
			if seen, err := l.probe(i); err == nil && seen.By.Silo != int64(victim) {
				d = min(d, time.Since(killed))
				break
			}
			time.Sleep(10 * time.Millisecond) // a refusal may come at once
		}
		mu.Lock()
		took = append(took, d)
		mu.Unlock()
	})
	return took
}

// each runs f(0) to f(n-1), all at once.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}
