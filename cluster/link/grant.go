package link

import (
	"errors"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// AppendGrant appends the grant's encoding to b.
func AppendGrant(b []byte, g view.Grant) []byte {
	b = appendText(b, 1, g.Kind)
	b = appendUint(b, 2, uint64(g.Slot))
	return appendUint(b, 3, g.Token)
}

// DecodeGrant decodes a grant. One that names no kind, or no slot that there is, is refused.
func DecodeGrant(b []byte) (g view.Grant, err error) {
	err = wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			g.Kind, err = f.String()
		case 2:
			var slot uint64
			if slot, err = f.Uint(); err == nil && slot >= view.Slots {
				return f.Errorf("slot %d, of %d that there are", slot, view.Slots)
			}
			g.Slot = int(slot)
		case 3:
			g.Token, err = f.Uint()
		}
		return err
	})
	if err == nil && g.Kind == "" {
		return g, &wire.DecodeFailure{Err: errors.New("a grant without a kind")}
	}
	return g, err
}
