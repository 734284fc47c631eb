package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/integration/bank"
	"github.com/martinelli-go/martinelli/integration/chaos/register"
	"github.com/martinelli-go/martinelli/txn"
)

// outcome is what became of an operation, as far as its client knows.
type outcome string

// The outcomes.
const (
	done       outcome = "ok"
	refused    outcome = "refused"    // a typed error that says that it has no effect
	unknown    outcome = "unknown"    // a typed error that says that it may have one
	untyped    outcome = "untyped"    // any other error
	unanswered outcome = "unanswered" // nothing came, long after the deadline
)

// Kinds of operations besides those of registers.
const (
	addToSet    register.Kind = "add"
	removeOfSet register.Kind = "remove"
	count       register.Kind = "count"
	transfer    register.Kind = "transfer"
	inquiry     register.Kind = "outcome"  // of an atomic block whose fate was unknown
	readSet     register.Kind = "read-set" // and see whether Item is there
)

// operation is one entry of the history.
type operation struct {
	ID     register.Op   `json:"id"`
	Client int           `json:"client"`
	Kind   register.Kind `json:"kind"`
	Key    string        `json:"key"`
	To     string        `json:"to,omitempty"`     // of a transfer or a relay
	Amount int64         `json:"amount,omitempty"` // of a transfer
	Old    int64         `json:"old,omitempty"`    // of a compare-and-set
	Item   int64         `json:"item,omitempty"`   // of a set
	Own    bool          `json:"own,omitempty"`    // in a block that the client begins, and not the grain

	Invoke   int64         `json:"invoke"` // nanoseconds, by register.Now
	Return   int64         `json:"return"`
	Deadline int64         `json:"deadline"`
	Outcome  outcome       `json:"outcome"`
	Error    string        `json:"error,omitempty"`
	Seen     register.Seen `json:"seen"`
	// Settled says what was found out about an unknown operation, at SettledAt.
	Settled   settled `json:"settled,omitempty"`
	SettledAt int64   `json:"settledAt,omitempty"`

	// Block is what an inquiry asks about, and Result what it has heard. Of another operation of an outsider
	// Block is its own, where it is unknown what has become of it.
	Block  txn.ID     `json:"block,omitzero"`
	Result txn.Result `json:"result,omitempty"`
}

// settled is what an inquiry has found out.
type settled string

const (
	committed settled = "committed"
	aborted   settled = "aborted"
)

// ofLoad: a caller of the load has made it.
func (o *operation) ofLoad() bool { return o.Client >= 0 && o.Kind != inquiry }

// effect reports whether the operation surely had its effect, and whether it may have had it.
func (o *operation) effect() (has, mayHave bool) {
	switch {
	case o.Outcome == done || o.Settled == committed:
		return true, true
	case o.Outcome == refused || o.Settled == aborted:
		return false, false
	}
	return false, true
}

// classify turns an error of a call into an outcome. An error of the method's own is an answer like any.
func classify(err error) outcome {
	switch {
	case err == nil:
		return done
	case errors.Is(err, grains.ErrUnknown), errors.As(err, new(*txn.InDoubt)), errors.Is(err, txn.ErrReplyLost):
		return unknown
	case errors.Is(err, grains.ErrNotExecuted), errors.Is(err, txn.ErrAborted), errors.Is(err, bank.ErrNoMoney):
		return refused
	}
	return untyped
}

// history is what all clients have done. Its methods may be called from any goroutine.
type history struct {
	next atomic.Int64
	mu   sync.Mutex
	ops  []*operation
	open map[*operation]struct{}
}

func newHistory() *history { return &history{open: map[*operation]struct{}{}} }

// begin gives an operation its number and the time.
func (h *history) begin(o *operation, within time.Duration) {
	o.ID = register.Op(h.next.Add(1))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[o] = struct{}{}
	o.Invoke = register.Now()
	o.Deadline = o.Invoke + int64(within)
	if o.Kind == addToSet {
		o.Item = int64(o.ID) // nobody else adds it
	}
}

// end notes what became of it.
func (h *history) end(o *operation, seen register.Seen, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	h.endAs(o, seen, classify(err), text)
}

// endAs notes what somebody else has found to have become of it.
func (h *history) endAs(o *operation, seen register.Seen, as outcome, text string) {
	now := register.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	o.Return, o.Seen, o.Outcome, o.Error = now, seen, as, text
	delete(h.open, o)
	h.ops = append(h.ops, o)
}

// settle notes what an inquiry has heard of an operation that has ended as unknown.
func (h *history) settle(o *operation, heard txn.Result) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch heard {
	case txn.Committed:
		o.Settled, o.SettledAt = committed, register.Now()
	case txn.Aborted:
		o.Settled, o.SettledAt = aborted, register.Now()
	}
}

// close returns everything; what has not returned is unanswered.
func (h *history) close() []*operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := register.Now()
	all := h.ops
	for o := range h.open {
		// The operation itself still belongs to its call.
		all = append(all, &operation{
			ID: o.ID, Client: o.Client, Kind: o.Kind, Key: o.Key, To: o.To, Amount: o.Amount, Old: o.Old, Item: o.Item, Own: o.Own,
			Invoke: o.Invoke, Deadline: o.Deadline, Return: now, Outcome: unanswered,
		})
	}
	h.ops, h.open = nil, map[*operation]struct{}{}
	return all
}

// writeHistory writes a line for each operation.
func writeHistory(file string, ops []*operation) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, o := range ops {
		line, err := json.Marshal(o)
		if err != nil {
			return fmt.Errorf("operation %d: %w", o.ID, err)
		}
		if _, err := f.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}
