package view

import (
	"fmt"
	"io"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Entry is what the log says of one run of one silo.
type Entry struct {
	Silo        SiloID
	Addr        string // of an Up
	Incarnation uint64
	Up          bool
}

// Append appends the entry's encoding to b.
func (e Entry) Append(b []byte) []byte { return Silo{e.Silo, e.Addr, e.Incarnation, e.Up}.append(b) }

// DecodeEntry decodes an entry.
func DecodeEntry(b []byte) (Entry, error) {
	s, err := decodeSilo(b)
	return Entry{s.ID, s.Addr, s.Incarnation, s.Up}, err
}

func (s Silo) append(b []byte) []byte {
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendString(b, string(s.ID))
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendString(b, s.Addr)
	b = protowire.AppendTag(b, 3, protowire.VarintType)
	b = protowire.AppendVarint(b, s.Incarnation)
	b = protowire.AppendTag(b, 4, protowire.VarintType)
	return protowire.AppendVarint(b, protowire.EncodeBool(s.Up))
}

func decodeSilo(b []byte) (s Silo, err error) {
	err = wire.EachField(b, func(f wire.Field) error {
		var err error
		var id string
		switch f.Number {
		case 1:
			id, err = f.String()
			s.ID = SiloID(id)
		case 2:
			s.Addr, err = f.String()
		case 3:
			s.Incarnation, err = f.Uint()
		case 4:
			s.Up, err = f.Bool()
		}
		return err
	})
	return s, err
}

// Append appends the view's encoding to b.
func (v *View) Append(b []byte) []byte {
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, v.Number)
	for _, s := range v.Silos {
		b = protowire.AppendTag(b, 2, protowire.BytesType)
		b = protowire.AppendBytes(b, s.append(nil))
	}
	return b
}

// maxSilos bounds what is decoded.
const maxSilos = 1 << 10

// Decode decodes a view.
func Decode(b []byte) (*View, error) {
	var number uint64
	var silos []Silo
	err := wire.EachField(b, func(f wire.Field) error {
		var err error
		switch f.Number {
		case 1:
			number, err = f.Uint()
		case 2:
			var m []byte
			if m, err = f.Bytes(); err != nil {
				return err
			}
			var s Silo
			if s, err = decodeSilo(m); err != nil {
				return fmt.Errorf("silo %d: %w", len(silos), err)
			}
			if len(silos) == maxSilos {
				return f.Errorf("more than %d silos", maxSilos)
			}
			silos = append(silos, s)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	return New(number, silos), nil
}

// Machine makes views of entries. It is driven by the log, in its order, by one goroutine at a time.
type Machine struct{ view *View }

// NewMachine returns a machine whose first view, number 0, has all founders down.
func NewMachine(founders []Silo) *Machine {
	down := slices.Clone(founders)
	for i := range down {
		down[i].Up, down[i].Incarnation = false, 0
	}
	return &Machine{New(0, down)}
}

// View returns the newest view.
func (m *Machine) View() *View { return m.view }

// Apply takes one entry and says whether there is a new view. An entry that changes nothing makes none:
// that a silo is down of a run that is not its last, or what the view says already.
func (m *Machine) Apply(e Entry) (changed bool, err error) {
	i, ok := m.view.index[e.Silo]
	if !ok {
		return false, fmt.Errorf("silo %s is not a founder of this cluster", e.Silo)
	}
	old := m.view.Silos[i]
	next := old
	if e.Up {
		next = Silo{e.Silo, e.Addr, e.Incarnation, true}
	} else if old.Incarnation == e.Incarnation {
		next.Up = false
	}
	if next == old {
		return false, nil
	}
	silos := slices.Clone(m.view.Silos)
	silos[i] = next
	m.view = New(m.view.Number+1, silos)
	return true, nil
}

// Snapshot returns what Restore takes.
func (m *Machine) Snapshot() []byte { return m.view.Append(nil) }

// Restore replaces the machine's state.
func (m *Machine) Restore(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, 16<<20))
	if err != nil {
		return err
	}
	v, err := Decode(b)
	if err == nil {
		m.view = v
	}
	return err
}
