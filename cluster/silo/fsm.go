package silo

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/martinelli-go/martinelli/cluster/link"
	variables "github.com/martinelli-go/martinelli/grains/variable/host"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// viewFSM is what the group of views replicates: who is a member, who holds what, and who has a lease.
type viewFSM struct{ membership *membership }

// Apply implements consensus.FSM.
func (f viewFSM) Apply(_ uint64, entry []byte) []byte {
	result, err := f.membership.apply(entry)
	if err != nil {
		return []byte(err.Error())
	}
	return result
}

// Snapshot implements consensus.FSM.
func (f viewFSM) Snapshot() (func(io.Writer) error, error) {
	b := f.membership.snapshot()
	b = binary.BigEndian.AppendUint64(b, xxh3.Hash(b)) // a part of one may look like another
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}, nil
}

// Restore implements consensus.FSM.
func (f viewFSM) Restore(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, maxViews))
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	end := len(b) - 8
	if end < 0 || binary.BigEndian.Uint64(b[end:]) != xxh3.Hash(b[:end]) {
		return fmt.Errorf("snapshot of the views: its %d bytes are not what was written, or more than %d", len(b), maxViews)
	}
	if err := f.membership.restore(bytes.NewReader(b[:end])); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// maxViews bounds a snapshot of the views.
const maxViews = 64 << 20

// fsm is what the group of the ledger replicates.
type fsm struct {
	ledger *commit.Ledger
	apply  func([]variables.Delta) error
	failed func(error)

	drained atomic.Uint64 // up to here, what blocks did to variables is with the replicas here
}

// Apply implements consensus.FSM.
func (f *fsm) Apply(pos uint64, entry []byte) []byte {
	result := f.ledger.Apply(pos, entry)
	f.drain()
	return result
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
	ledger := f.ledger.Snapshot()
	return func(w io.Writer) error {
		defer ledger.Release()
		return ledger.Write(w)
	}, nil
}

// Restore implements consensus.FSM.
func (f *fsm) Restore(r io.Reader) error {
	if err := f.ledger.Restore(r); err != nil {
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
		if s.confirm(ctx, at) == nil {
			confirmed = at
		}
		cancel()
	}
}

// confirm tells the log that what is up to there is durable here.
func (s *run) confirm(ctx context.Context, at uint64) error {
	if err := s.variables.Durable(ctx); err != nil {
		return err
	}
	_, err := s.blocks.Leader.Do(ctx, &link.LeaderRequest{
		Op: link.OpPropose, Entry: commit.EncodeEntry(commit.Logged{Silo: string(s.id), Pos: at}),
	})
	return err
}

// confirmFirst has the ledger keep for this store, too, what it has not logged, before variables are kept here.
// An answer that is lost is no matter: it is told again.
func (s *run) confirmFirst(ctx context.Context) error {
	for !slices.Contains(s.ledger.Silos(), string(s.id)) {
		err := s.confirm(ctx, s.fsm.drained.Load())
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("silo: registering with the ledger: %w", err)
		}
		select {
		case <-time.After(joinPause):
		case <-ctx.Done():
		}
	}
	return nil
}
