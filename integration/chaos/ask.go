package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/integration/chaos/register"
	"github.com/martinelli-go/martinelli/txn"
)

// askCommand, as the first argument, makes the program a client with a place of its own in the fabric, so that
// it can be kept from silos; it is not for people.
const askCommand = "ask"

// question is what such a client is asked to do; reply is what came of it. Each is a line of JSON.
type question struct {
	Number    int64         `json:"number"`
	Operation *operation    `json:"operation"`
	Within    time.Duration `json:"within"`
}

type reply struct {
	Number  int64         `json:"number"`
	Seen    register.Seen `json:"seen"`
	Outcome outcome       `json:"outcome"`
	Error   string        `json:"error,omitempty"`
	Block   txn.ID        `json:"block,omitzero"`   // whose fate is unknown
	Result  txn.Result    `json:"result,omitempty"` // of an inquiry
}

// ask does operations that stdin names, all at once, until it ends or ctx does.
func ask(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet(askCommand, flag.ContinueOnError)
	flags.SetOutput(stderr)
	place := flags.Int("place", 0, "in the fabric")
	silos := flags.String("silos", "", "what all advertise")
	fault := flags.String("mutate", "", "the safety check that is switched off")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := switchOff(*fault); err != nil {
		return err
	}
	net.DefaultResolver = resolver(*place)
	connecting, connected := context.WithTimeout(ctx, startWithin)
	defer connected()
	c, err := cluster.Connect(connecting, cluster.Config{Silos: *silos, Grains: shared(), Logger: quiet(stderr), TrustNetwork: true})
	if err != nil {
		return err
	}
	defer c.Close() // silos that are gone need no farewell
	fmt.Fprintln(stdout, saysServing)
	var mu sync.Mutex // of stdout
	for in := json.NewDecoder(stdin); ; {
		var q question
		if err := in.Decode(&q); err != nil || q.Operation == nil {
			return nil // who asked has gone
		}
		go func() { // ends with the operation's deadline, or with the process
			bounded, cancel := context.WithTimeout(ctx, q.Within)
			defer cancel()
			seen, err := perform(bounded, c, q.Operation)
			a := reply{Number: q.Number, Seen: seen, Outcome: classify(err), Result: q.Operation.Result}
			if err != nil {
				a.Error = err.Error()
			}
			if a.Outcome == unknown {
				a.Block, _ = txn.IDOf(err) // zero where there is none
			}
			line, err := json.Marshal(a)
			if err != nil {
				panic(err) // texts and numbers are encodable
			}
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(stdout, "%s\n", line) // who does not hear it counts it as unanswered
		}()
	}
}

// outsider is such a client, as its parent sees it. Its methods may be called from any goroutine.
type outsider struct {
	place   int
	proc    *process
	history *history

	mu      sync.Mutex
	next    int64
	waiting map[int64]chan reply // each with room for one
}

// outside starts a client at a place in the fabric, and returns when it is connected.
func (r *run) outside(ctx context.Context, place int) (*outsider, error) {
	o := &outsider{place: place, history: r.history, waiting: map[int64]chan reply{}}
	log := filepath.Join(r.dir, fmt.Sprintf("client-%d.log", place))
	var err error
	if o.proc, err = spawn(log, o.hear, askCommand, "--place", fmt.Sprint(place), "--silos", r.join(), "--mutate", r.mutate); err != nil {
		return nil, fmt.Errorf("start client %d: %w", place, err)
	}
	r.outsiders = append(r.outsiders, o)
	limit := time.NewTimer(startWithin)
	defer limit.Stop()
	select {
	case <-o.proc.serving:
		return o, nil
	case <-o.proc.exited:
		return nil, fmt.Errorf("client %d ended before it was connected: %w (its log is %s)", place, o.proc.err, log)
	case <-limit.C:
		return nil, fmt.Errorf("client %d was not connected within %v", place, startWithin)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (o *outsider) hear(line []byte) {
	var a reply
	if json.Unmarshal(line, &a) != nil {
		return
	}
	o.mu.Lock()
	waits := o.waiting[a.Number]
	delete(o.waiting, a.Number)
	o.mu.Unlock()
	if waits != nil {
		waits <- a
	}
}

// errSilent is the error of a client that has not answered, long after the deadline.
var errSilent = errors.New("the client did not answer")

// call has an operation done and writes it down. The times are those of this process, a little longer than
// the client's own.
func (o *outsider) call(op *operation, within time.Duration) error {
	o.history.begin(op, within)
	waits := make(chan reply, 1)
	o.mu.Lock()
	o.next++
	number := o.next
	o.waiting[number] = waits
	line, err := json.Marshal(question{number, op, within})
	if err == nil {
		_, err = fmt.Fprintf(o.proc.stdin, "%s\n", line) // under the lock: lines are whole
	}
	o.mu.Unlock()
	if err != nil {
		return err
	}
	limit := time.NewTimer(within + givenUp)
	defer limit.Stop()
	select {
	case a := <-waits:
		op.Result = a.Result
		if a.Outcome == unknown && op.Kind != inquiry {
			op.Block = a.Block
		}
		o.history.endAs(op, a.Seen, a.Outcome, a.Error)
		if a.Outcome != done {
			return errors.New(a.Error)
		}
		return nil
	case <-o.proc.exited:
		return fmt.Errorf("client %d: %w: %w", o.place, errSilent, o.proc.err)
	case <-limit.C:
		return fmt.Errorf("client %d: %w", o.place, errSilent)
	}
}

// reaches lets the client reach some silos alone, from now on: no silos, all.
func (o *outsider) reaches(r *run, silos ...int) {
	for s := 1; s <= len(r.silos); s++ {
		open := len(silos) == 0
		for _, to := range silos {
			open = open || s == to
		}
		if open {
			r.fabric.unshut(o.place, s)
		} else {
			r.fabric.shut(o.place, s)
		}
	}
}

// close ends the process.
func (o *outsider) close() {
	o.proc.stdin.Close()
	select {
	case <-o.proc.exited:
	case <-time.After(stacksWithin):
		_ = o.proc.cmd.Process.Kill() // it holds nothing
		<-o.proc.exited
	}
}
