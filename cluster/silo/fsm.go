package silo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
	variables "github.com/martinelli-go/martinelli/grains/variable/host"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// What an entry of the log is for, by its first byte.
const (
	entryView   = 'v'
	entryCommit = 't'
)

// fsm is what the log replicates: views, and the ledger of atomic blocks.
type fsm struct {
	ledger     *commit.Ledger
	membership *membership
	apply      func([]variables.Delta) error
	failed     func(error)

	drained atomic.Uint64 // up to here, what blocks did to variables is with the replicas here
}

// Apply implements consensus.FSM.
func (f *fsm) Apply(pos uint64, entry []byte) []byte {
	if len(entry) == 0 {
		return nil
	}
	switch entry[0] {
	case entryView:
		result, err := f.membership.apply(entry[1:])
		if err != nil {
			return []byte(err.Error())
		}
		return result
	case entryCommit:
		result := f.ledger.Apply(pos, entry[1:])
		f.drain()
		return result
	}
	return nil
}

// drain hands what blocks did to variables to the replicas here.
func (f *fsm) drain() {
	var deltas []variables.Delta
	f.ledger.Drain(func(d commit.Delta) {
		deltas = append(deltas, variables.Delta{Variable: d.Variable, Bytes: d.Bytes})
	})
	if len(deltas) > 0 {
		if err := f.apply(deltas); err != nil {
			f.failed(fmt.Errorf("applying what an atomic block did to variables: %w", err))
			return
		}
	}
	f.drained.Store(f.ledger.Pos())
}

// Snapshot implements consensus.FSM.
func (f *fsm) Snapshot() (func(io.Writer) error, error) {
	views := f.membership.snapshot()
	ledger := f.ledger.Snapshot()
	return func(w io.Writer) error {
		defer ledger.Release()
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(views)))
		for _, b := range [][]byte{n[:], views} {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return ledger.Write(w)
	}, nil
}

// Restore implements consensus.FSM.
func (f *fsm) Restore(r io.Reader) error {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	size := binary.BigEndian.Uint32(n[:])
	if size > 64<<20 {
		return errors.New("snapshot: its view is too large to be one")
	}
	views, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err == nil && len(views) < int(size) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	// The ledger first: who is told of the views may ask it.
	if err := f.ledger.Restore(r); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if err := f.membership.restore(func(g *view.Registry) error { return g.Restore(bytes.NewReader(views)) }); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	f.drain()
	return nil
}

// confirmLogged tells the log up to where the variables here are durable, so that it need not keep what
// blocks did to them.
func (s *run) confirmLogged() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var confirmed uint64
	for {
		select {
		case <-s.done:
			return
		case <-tick.C:
		}
		// Not the ledger's own position: what it has applied may still be on its way to the replicas.
		at := s.fsm.drained.Load()
		if known := slices.Contains(s.ledger.Silos(), string(s.id)); at == 0 || known && (at == confirmed || len(s.ledger.Outbox(confirmed)) == 0) {
			continue
		}
		ctx, cancel := context.WithTimeout(s.life, 5*time.Second)
		err := s.variables.Durable(ctx)
		if err == nil {
			_, err = s.blocks.Leader.Do(ctx, &link.LeaderRequest{
				Op: link.OpPropose, Entry: commit.EncodeEntry(commit.Logged{Silo: string(s.id), Pos: at}),
			})
		}
		cancel()
		if err == nil {
			confirmed = at
		}
	}
}
