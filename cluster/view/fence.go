package view

import (
	"fmt"

	"github.com/martinelli-go/martinelli/cluster/machine/faults"
)

// StaleToken refuses what comes from an activation that has a successor. What came must have no effect;
// if it was a call, the caller's turn must end.
type StaleToken struct {
	Grant  Grant
	Newest uint64
}

func (e *StaleToken) Error() string {
	return fmt.Sprintf("slot %d of %s: token %d is refused, token %d has been seen: the activation has a successor, its turn must end",
		e.Grant.Slot, e.Grant.Kind, e.Grant.Token, e.Newest)
}

// Fence refuses tokens that are older than the newest that was seen for their slot. Whoever takes calls,
// replies or writes from grains has one. It takes 32 KiB for each kind that it has met; it is not safe
// for concurrent use. The zero Fence has seen nothing.
type Fence struct {
	table *Table
	seen  map[string]*[Slots]uint64
	hooks hooks
}

// Apply takes a newer view: the tokens in it count as seen.
func (f *Fence) Apply(t *Table) {
	if f.table == nil || t.Number > f.table.Number {
		f.table = t
	}
}

// Admit lets a grant pass and remembers its token, or returns *StaleToken.
func (f *Fence) Admit(g Grant) error {
	newest := f.Newest(g.Kind, g.Slot)
	if g.Token < newest && !f.hooks.noTokens && !faults.Is(faults.Epoch) {
		return &StaleToken{g, newest}
	}
	if g.Token > newest {
		f.remember(g)
	}
	return nil
}

// Newest is the newest token that was seen for a slot; 0 if none was.
func (f *Fence) Newest(kind string, slot int) (token uint64) {
	if seen := f.seen[kind]; seen != nil {
		token = seen[slot]
	}
	if f.table != nil {
		if p := f.table.kinds[kind]; p != nil {
			token = max(token, p.rows[slot].token)
		}
	}
	return token
}

// maxFenced bounds the kinds that tokens are remembered for; views know the tokens of all others soon.
const maxFenced = 1 << 10

func (f *Fence) remember(g Grant) {
	seen := f.seen[g.Kind]
	if seen == nil {
		if len(f.seen) == maxFenced {
			return
		}
		if f.seen == nil {
			f.seen = map[string]*[Slots]uint64{}
		}
		seen = new([Slots]uint64)
		f.seen[g.Kind] = seen
	}
	seen[g.Slot] = g.Token
}
