package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Memory of grains that move. The old silo sends it, after the last turn and before the slot is released, to
// the silo that the slot goes to. That keeps it until the grain's first activation there, which takes it.
// None of this is needed for anything: memory that is lost, late, or in doubt is not taken over.

// handOver sends what the grain remembers to its next silo.
func (a *activation) handOver(e ending) {
	h := a.host
	from, ok := a.impl.(grains.HandsOver)
	if !ok || h.HandOver == nil || e.to == h.Self || e.in.Err() != nil {
		return
	}
	var memory []byte
	err := a.guard("HandOver", func() (err error) {
		memory, err = from.HandOver(e.in)
		return err
	})
	if err == nil && memory == nil {
		return // it has nothing to say
	}
	if err == nil {
		err = a.resume() // what it remembers may be old
	}
	if err == nil && len(memory) > h.Limit {
		err = fmt.Errorf("%d bytes, of %d at most (Config.MaxMessage): %w", len(memory), h.Limit, wire.ErrTooLarge)
	}
	if err == nil {
		_, err = h.HandOver(e.in, e.to, appendHandover(nil, handover{a.id(), a.grant(), memory}))
	}
	if err != nil {
		h.Logger.Warn("a grain's memory was not handed over: it starts without at its next silo",
			slog.String("grain", a.id().String()), slog.String("to", string(e.to)), slog.Any("error", err))
	}
}

// handover is one grain's memory on its way.
type handover struct {
	id     wire.ID
	grant  view.Grant // under which the grain was active
	memory []byte
}

func appendHandover(b []byte, m handover) []byte {
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendString(b, m.id.Key())
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendBytes(b, link.AppendGrant(nil, m.grant))
	b = protowire.AppendTag(b, 3, protowire.BytesType)
	return protowire.AppendBytes(b, m.memory)
}

// decodeHandover decodes a handover; its memory is a copy.
func decodeHandover(b []byte) (m handover, err error) {
	var key string
	err = wire.EachField(b, func(f wire.Field) (err error) {
		var grant, memory []byte
		switch f.Number {
		case 1:
			key, err = f.String()
		case 2:
			if grant, err = f.Bytes(); err == nil {
				m.grant, err = link.DecodeGrant(grant)
			}
		case 3:
			memory, err = f.Bytes()
			m.memory = append([]byte{}, memory...)
		}
		return err
	})
	m.id = wire.NewID(m.grant.Kind, key)
	if err == nil && (m.memory == nil || m.grant.Kind == "" || view.Slot(m.id) != m.grant.Slot) {
		err = errors.New("a grant of another grain, or no memory")
	}
	return m, err
}

// ServeHandover takes the memory of a grain that moves here. It is the handler of link.ServiceHandover; only
// silos are to be let in. An error says why the memory was not kept, which its sender does nothing about.
func (h *Host) ServeHandover(_ context.Context, payload []byte) ([]byte, error) {
	m, err := decodeHandover(payload)
	if err != nil {
		return nil, fmt.Errorf("the memory of a grain: %w", err)
	}
	if kind, ok := h.Kinds[m.id.Kind()]; !ok || kind.Grain() == nil {
		return nil, fmt.Errorf("the memory of %s: silo %s does not host it", m.id, h.Addr)
	}
	return nil, h.memories.put(h, m)
}

// handoverKept is how long memory is kept for a grain that nobody calls.
const handoverKept = 30 * time.Second

// memories is what was handed over to grains that are not active yet.
//
// Memory of token n may be used under the token that follows n for the slot, and under no other: in between
// somebody else has served the grain. Which token follows is seen in the views; where some of them were
// not seen, what cannot be proven is not used.
type memories struct {
	mu    sync.Mutex
	seen  uint64 // the newest view
	all   map[wire.ID]*memory
	bytes int
}

type memory struct {
	from  uint64 // the token of whom it was
	under uint64 // the one that follows; 0: not seen yet
	b     []byte
	timer *time.Timer // forgets it
}

func (s *memories) put(h *Host, m handover) error {
	t := h.newest()
	s.observe(h, t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if row, ok := t.Of(m.id); !ok || row.Token > m.grant.Token {
		return fmt.Errorf("the memory of %s comes too late: its slot has been acquired since", m.id)
	}
	if h.draining.Load() {
		return fmt.Errorf("the memory of %s: silo %s is stopping", m.id, h.Addr)
	}
	if had := s.all[m.id]; had != nil && had.from >= m.grant.Token {
		return nil // it came twice
	}
	s.drop(m.id)
	if s.bytes+len(m.memory) > h.HandoverRoom {
		return fmt.Errorf("the memory of %s: %d bytes, and there is room for %d more", m.id, len(m.memory), h.HandoverRoom-s.bytes)
	}
	kept := &memory{from: m.grant.Token, b: m.memory}
	kept.timer = time.AfterFunc(handoverKept, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.all[m.id] == kept {
			s.drop(m.id)
		}
	})
	s.all[m.id] = kept
	s.bytes += len(kept.b)
	return nil
}

// observe takes a newer view.
func (s *memories) observe(h *Host, t *view.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Number <= s.seen {
		return
	}
	next := s.seen + 1
	s.seen = t.Number
	if h.faults.applyOldMemory {
		return
	}
	for id, m := range s.all {
		row, ok := t.Of(id)
		switch {
		case ok && row.Token <= m.from: // it has not moved yet
		case ok && row.Holder.ID == h.Self && row.Token == m.under:
		case ok && row.Holder.ID == h.Self && m.under == 0 && (t.Number == next || row.Token == next):
			m.under = row.Token
		default:
			s.drop(id)
		}
	}
}

// take returns what was handed over to a grain that is activated under a token. Whatever there was is gone
// after that.
func (s *memories) take(h *Host, id wire.ID, token uint64) ([]byte, bool) {
	s.observe(h, h.newest())
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.all[id]
	if m == nil {
		return nil, false
	}
	s.drop(id)
	return m.b, m.under == token || h.faults.applyOldMemory
}

// drop forgets one; s.mu is held.
func (s *memories) drop(id wire.ID) {
	if m := s.all[id]; m != nil {
		m.timer.Stop()
		s.bytes -= len(m.b)
		delete(s.all, id)
	}
}

// forget forgets all.
func (s *memories) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.all {
		s.drop(id)
	}
}
