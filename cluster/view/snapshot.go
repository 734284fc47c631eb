package view

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// maxSnapshot bounds what is read as a snapshot, in bytes.
const maxSnapshot = 64 << 20

// Append appends the table's encoding to b, for clients and tools: about 16 KiB for each pool. Equal
// tables give equal bytes.
func (t *Table) Append(b []byte) []byte {
	b = append(b, formatV1)
	b = appendUint(b, 1, t.Number)
	for _, m := range t.Members {
		b = appendMessage(b, 2, m.append(nil, true))
	}
	for _, p := range t.pools {
		b = appendMessage(b, 3, p.append(nil))
	}
	return b
}

func (p *pool) append(b []byte) []byte {
	b = appendUint(b, 1, p.id)
	for _, k := range p.kinds {
		b = appendString(b, 2, k)
	}
	packed := make([]byte, 0, 4*Slots)
	for _, r := range p.rows {
		packed = protowire.AppendVarint(packed, uint64(r.holder))
		packed = protowire.AppendVarint(packed, uint64(r.target))
		packed = protowire.AppendVarint(packed, r.token)
	}
	return appendMessage(b, 3, packed)
}

// DecodeTable is the inverse of [Table.Append]. It takes exactly what that makes, allocates in proportion
// to b, and copies what it keeps. Errors match [ErrMalformed].
func DecodeTable(b []byte) (*Table, error) {
	if len(b) == 0 || b[0] != formatV1 {
		return nil, fmt.Errorf("view: table: %w: not of a format that this version knows", ErrMalformed)
	}
	t := &Table{}
	err := wire.EachField(b[1:], t.field)
	if err != nil {
		return nil, fmt.Errorf("view: table: %w: %w", ErrMalformed, err)
	}
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("view: table: %w: %w", ErrMalformed, err)
	}
	if !bytes.Equal(t.Append(nil), b) {
		return nil, fmt.Errorf("view: table: %w: not in its canonical form", ErrMalformed)
	}
	t.index()
	return t, nil
}

func (t *Table) field(f wire.Field) (err error) {
	if f.Number == 1 {
		t.Number, err = f.Uint()
		return err
	}
	body, err := f.Bytes()
	if err != nil {
		return err
	}
	switch f.Number {
	case 2:
		if len(t.Members) == maxMembers+maxDead+maxVoters {
			return f.Errorf("more than %d members", maxMembers+maxDead+maxVoters)
		}
		m, err := decodeMember(body, true)
		t.Members = append(t.Members, m)
		return err
	case 3:
		p, err := decodePool(body)
		t.pools = append(t.pools, p)
		return err
	}
	return f.Errorf("a field that this version does not know")
}

func decodePool(b []byte) (*pool, error) {
	p := &pool{}
	err := wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			p.id, err = f.Uint()
		case 2:
			var kind string
			kind, err = f.String()
			p.kinds = append(p.kinds, kind)
		case 3:
			var packed []byte
			if packed, err = f.Bytes(); err == nil {
				p.rows, err = decodeRows(f, packed)
			}
		default:
			err = f.Errorf("a field that this version does not know")
		}
		return err
	})
	return p, err
}

func decodeRows(f wire.Field, b []byte) (*[Slots]row, error) {
	if len(b) < 3*Slots {
		return nil, f.Errorf("%d bytes are too few for %d slots", len(b), Slots)
	}
	rows := new([Slots]row)
	for i := range rows {
		var v [3]uint64
		for j := range v {
			var n int
			if v[j], n = protowire.ConsumeVarint(b); n < 0 {
				return nil, f.Errorf("slot %d is cut off", i)
			}
			b = b[n:]
		}
		rows[i] = row{seat(v[0]), seat(v[1]), v[2]} // a seat that is cut short here is found not to be canonical
	}
	if len(b) > 0 {
		return nil, f.Errorf("%d bytes after the last slot", len(b))
	}
	return rows, nil
}

// check finds what no log makes: a table that was made of bytes is used like any other.
func (t *Table) check() error {
	alive := map[seat]bool{0: true}
	used := map[seat]bool{0: true}
	for i, m := range t.Members {
		if i > 0 && t.Members[i-1].ID >= m.ID {
			return fmt.Errorf("members are not sorted at %s", m.ID)
		}
		if m.State == 0 || used[m.seat] {
			return fmt.Errorf("member %s has no state, or no seat of its own", m.ID)
		}
		used[m.seat], alive[m.seat] = true, m.Alive()
	}
	kinds := map[string]bool{}
	for i, p := range t.pools {
		if i > 0 && t.pools[i-1].id >= p.id || p.id == 0 {
			return fmt.Errorf("pools are not sorted at %d", p.id)
		}
		if len(p.kinds) == 0 || !slices.IsSorted(p.kinds) || p.rows == nil {
			return fmt.Errorf("pool %d has no kinds, no rows, or is not sorted", p.id)
		}
		for _, k := range p.kinds {
			if kinds[k] || len(k) > maxName {
				return fmt.Errorf("kind %.40q is in two pools, or too long", k)
			}
			kinds[k] = true
		}
		for slot, r := range p.rows {
			if !alive[r.holder] || !alive[r.target] || r.token > t.Number {
				return fmt.Errorf("slot %d of pool %d is of nobody who lives, or of a view to come", slot, p.id)
			}
		}
	}
	return nil
}

// Snapshot returns what [Registry.Restore] takes. Equal states give equal bytes.
func (g *Registry) Snapshot() []byte {
	b := []byte{formatV1}
	b = appendMessage(b, 1, g.table.Append(nil))
	b = appendUint(b, 2, uint64(g.seats))
	b = appendUint(b, 3, g.pools)
	for _, r := range g.Current().Renewed {
		b = appendMessage(b, 4, r.append(nil))
	}
	return b
}

// Restore replaces the whole state by one that Snapshot returned; with an error it leaves it as it was.
// Errors of what the bytes say match [ErrMalformed].
func (g *Registry) Restore(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, maxSnapshot+1))
	if err != nil {
		return fmt.Errorf("view: reading a snapshot: %w", err)
	}
	if len(b) == 0 || len(b) > maxSnapshot || b[0] != formatV1 {
		return fmt.Errorf("view: snapshot: %w: of %d bytes, or not of a format that this version knows", ErrMalformed, len(b))
	}
	next := NewRegistry()
	if err := wire.EachField(b[1:], next.field); err != nil {
		return fmt.Errorf("view: snapshot: %w: %w", ErrMalformed, err)
	}
	for _, m := range next.table.Members {
		if m.seat > next.seats {
			return fmt.Errorf("view: snapshot: %w: member %s has a seat that nobody was given", ErrMalformed, m.ID)
		}
	}
	for _, p := range next.table.pools {
		if p.id > next.pools {
			return fmt.Errorf("view: snapshot: %w: pool %d was never made", ErrMalformed, p.id)
		}
	}
	if !bytes.Equal(next.Snapshot(), b) {
		return fmt.Errorf("view: snapshot: %w: not in its canonical form", ErrMalformed)
	}
	*g = *next
	return nil
}

func (g *Registry) field(f wire.Field) error {
	switch f.Number {
	case 1:
		b, err := f.Bytes()
		if err != nil {
			return err
		}
		if g.table, err = DecodeTable(b); err != nil {
			return err
		}
		for _, m := range g.table.Members {
			if m.Alive() {
				g.marks[m.ID] = 0
			}
		}
	case 2:
		n, err := f.Uint()
		if g.seats = seat(n); err != nil {
			return err
		}
	case 3:
		n, err := f.Uint()
		if g.pools = n; err != nil {
			return err
		}
	case 4:
		b, err := f.Bytes()
		if err != nil {
			return err
		}
		r, err := decodeRenewal(b)
		if err != nil {
			return err
		}
		if _, ok := g.table.Has(r.Run); !ok {
			return f.Errorf("%v is no member", r.Run)
		}
		g.marks[r.Run.ID] = r.Mark
	default:
		return f.Errorf("a field that this version does not know")
	}
	return nil
}
