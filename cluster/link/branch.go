package link

import (
	"fmt"
	"sync"

	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// Branch is one attempt of an atomic block as a node sees it on which a part of it runs: what the calls
// made from there did, to be passed on to whoever called. At the coordinator it feeds the block itself.
// It is what contexts inside the block carry, and is safe for concurrent use.
type Branch struct {
	Holder      commit.Holder
	Coordinator string // address

	mu      *sync.Mutex   // of the block, at its coordinator: its attempts share it
	block   *commit.Block // at the coordinator alone
	records map[wire.ID]*commit.Record
	order   []wire.ID
	doom    error
}

// NewBranch returns the branch of a block that was begun elsewhere.
func NewBranch(h commit.Holder, coordinator string) *Branch {
	return &Branch{Holder: h, Coordinator: coordinator, mu: new(sync.Mutex), records: map[wire.ID]*commit.Record{}}
}

// RootBranch returns the branch of b's present attempt, at b's coordinator. From here on b is used
// through With alone, or under mu, which all attempts of b share: an earlier one's branch may still be used.
func RootBranch(b *commit.Block, coordinator string, mu *sync.Mutex) *Branch {
	return &Branch{Holder: b.Holder(), Coordinator: coordinator, mu: mu, block: b}
}

// BranchOf returns the branch that ctx is inside of, nil for none.
func BranchOf(b wire.Block) *Branch {
	br, _ := b.(*Branch)
	return br
}

// BlockID names the block.
func (b *Branch) BlockID() wire.BlockID { return wire.BlockID(b.Holder.Attempt.ID) }

// With calls do with the block itself, at its coordinator, and while nothing else uses it.
func (b *Branch) With(do func(*commit.Block)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	do(b.block)
}

// Join notes that a grain is about to be called.
func (b *Branch) Join(p commit.Participant) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current() {
		b.block.Join(p)
		return
	}
	if b.block == nil && b.records[p.Grain] == nil {
		b.records[p.Grain] = &commit.Record{Participant: p}
		b.order = append(b.order, p.Grain)
	}
}

// Merge takes in what a participant did.
func (b *Branch) Merge(records ...commit.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range records {
		if b.current() {
			_ = b.block.Merge(r) // a contradiction dooms the attempt, which its submission finds
			continue
		}
		if b.block != nil {
			continue // of an attempt that is over
		}
		had := b.records[r.Participant.Grain]
		if had == nil {
			b.order = append(b.order, r.Participant.Grain)
			b.records[r.Participant.Grain] = &r
			continue
		}
		known := had.Participant.Activation
		if known != 0 && known != r.Participant.Activation {
			// What the first one did is lost with it.
			b.doomed(fmt.Errorf("%v was activated anew in the block's course: %w", r.Participant.Grain, wire.ErrAborted))
			continue
		}
		if known == 0 || r.Revision >= had.Revision {
			b.records[r.Participant.Grain] = &r
		}
	}
}

// Operate notes an operation of the block's function itself, outside any grain's turn. Inside of one the
// grain is the place for it: wire.ErrOutsideBlock.
func (b *Branch) Operate(o commit.Operation) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.block == nil:
		return fmt.Errorf("variable %s, changed in a block that was not begun at this place: %w", o.Variable, wire.ErrOutsideBlock)
	case !b.current():
		return fmt.Errorf("variable %s: the block's attempt is over: %w", o.Variable, wire.ErrAborted)
	}
	b.block.Operate(o)
	return nil
}

// Doom makes the attempt fail, whatever its function returns: a part of it failed in a way that leaves
// its effects unknown.
func (b *Branch) Doom(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doomed(err)
}

func (b *Branch) doomed(err error) {
	if b.current() {
		_ = b.block.Doom(err)
	}
	if b.doom == nil {
		b.doom = err
	}
}

// Err says why the attempt cannot commit, as far as this node knows.
func (b *Branch) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current() {
		return b.block.Err()
	}
	return b.doom
}

// current says whether the block is still at this branch's attempt.
func (b *Branch) current() bool {
	return b.block != nil && b.block.Attempt() == b.Holder.Attempt && b.block.Phase() == commit.Running
}

// Records are what is passed on to the caller, in the order in which grains joined.
func (b *Branch) Records() []commit.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]commit.Record, 0, len(b.order))
	for _, g := range b.order {
		all = append(all, *b.records[g])
	}
	return all
}
