package commit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// ErrSnapshot is wrapped by every error of [Ledger.Restore] that is not the reader's own: the bytes are
// no snapshot of a ledger, or were damaged.
var ErrSnapshot = errors.New("not a ledger's snapshot")

// Snapshot is a ledger as it was at one position. Taking it costs little and blocks appliers for that
// long only; it must be released.
type Snapshot struct {
	ledger     *Ledger
	generation uint64

	pos, hash, nextClient uint64
	clients               map[uint64]client
	kept                  view[ID, kept]
	states                view[StateKey, state]
	own                   view[wire.ID, []byte]
	logged                map[string]uint64
	owed                  []Delta
}

// Snapshot captures the ledger as it is now. Applying goes on meanwhile, at the price of a second
// look-up until Release. The clients and what is owed to silos are copied, the rest is shared.
func (l *Ledger) Snapshot() *Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &Snapshot{
		ledger: l, generation: l.generation,
		pos: l.pos, hash: l.hash, nextClient: l.nextClient,
		clients: maps.Clone(l.clients),
		kept:    l.kept.capture(),
		states:  l.states.capture(),
		own:     l.own.capture(),
		logged:  maps.Clone(l.outbox.logged),
		owed:    slices.Clone(l.outbox.kept),
	}
	return s
}

// Release gives the capture back. Releasing twice does nothing.
func (s *Snapshot) Release() {
	l := s.ledger
	if l == nil {
		return
	}
	s.ledger = nil
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.generation != s.generation {
		return
	}
	l.kept.release()
	l.states.release()
	l.own.release()
}

// A snapshot is its magic, then records (tag, length, body) in a fixed order, then the hash of all
// that stands before it.
const (
	snapshotMagic = "martinelli ledger 2\n"

	recHead   = 1
	recClient = 2
	recKept   = 3
	recState  = 4
	recOwn    = 5
	recLogged = 6
	recOwed   = 7
	recEnd    = 8

	maxRecord = 1 << 30 // bytes
)

// Write writes the snapshot. Two ledgers that were fed the same entries write the same bytes. It sorts
// the keys, so it takes time, but holds no lock.
func (s *Snapshot) Write(w io.Writer) error {
	e := recordWriter{w: bufio.NewWriterSize(w, 64<<10)}
	e.raw([]byte(snapshotMagic))
	e.record(recHead, func(b []byte) []byte {
		b = appendNum(b, 1, s.pos)
		b = appendNum(b, 2, s.hash)
		return appendNum(b, 3, s.nextClient)
	})
	for _, n := range slices.Sorted(maps.Keys(s.clients)) {
		c := s.clients[n]
		e.record(recClient, func(b []byte) []byte {
			b = appendNum(b, 1, n)
			b = appendNum(b, 2, c.horizon)
			b = appendNum(b, 3, c.highest)
			return appendNum(b, 4, c.touched)
		})
	}
	writeSorted(&e, recKept, s.kept, ID.Compare, func(b []byte, id ID, k kept) []byte {
		b = appendAttempt(b, 1, Attempt{ID: id, N: k.n})
		if k.committed {
			b = appendNum(b, 2, 1)
		}
		if k.hasReply {
			b = protowire.AppendTag(b, 3, protowire.BytesType)
			b = protowire.AppendBytes(b, k.reply)
		}
		return b
	})
	writeSorted(&e, recState, s.states, StateKey.Compare, func(b []byte, k StateKey, st state) []byte {
		b = appendRead(b, Read{Key: k, Version: st.version})
		return appendBytes(b, 5, st.value)
	})
	writeSorted(&e, recOwn, s.own, compareID, func(b []byte, v wire.ID, own []byte) []byte {
		return appendBytes(appendVariable(b, v), 3, own)
	})
	for _, silo := range slices.Sorted(maps.Keys(s.logged)) {
		e.record(recLogged, Logged{Silo: silo, Pos: s.logged[silo]}.body)
	}
	for _, d := range s.owed {
		e.record(recOwed, func(b []byte) []byte { return appendDelta(b, d) })
	}
	e.record(recEnd, func(b []byte) []byte { return protowire.AppendFixed64(b, e.sum.Sum64()) })
	if e.err != nil {
		return fmt.Errorf("commit: write snapshot at %d: %w", s.pos, e.err)
	}
	if err := e.w.Flush(); err != nil {
		return fmt.Errorf("commit: write snapshot at %d: %w", s.pos, err)
	}
	return nil
}

func appendDelta(b []byte, d Delta) []byte {
	b = appendBytes(appendVariable(b, d.Variable), 3, d.Bytes)
	return appendNum(b, 4, d.Pos)
}

func appendVariable(b []byte, v wire.ID) []byte {
	b = appendBytes(b, 1, []byte(v.Kind()))
	return appendBytes(b, 2, []byte(v.Key()))
}

func writeSorted[K comparable, V any](e *recordWriter, tag uint64, t view[K, V], order func(a, b K) int, body func([]byte, K, V) []byte) {
	type entry struct {
		k K
		v V
	}
	var all []entry
	t.all(func(k K, v V) bool {
		all = append(all, entry{k, v})
		return true
	})
	slices.SortFunc(all, func(a, b entry) int { return order(a.k, b.k) })
	for _, a := range all {
		e.record(tag, func(b []byte) []byte { return body(b, a.k, a.v) })
	}
}

type recordWriter struct {
	w   *bufio.Writer
	sum xxh3.Hasher
	buf []byte
	err error
}

func (e *recordWriter) raw(b []byte) {
	if e.err != nil {
		return
	}
	_, _ = e.sum.Write(b)
	_, e.err = e.w.Write(b)
}

func (e *recordWriter) record(tag uint64, body func([]byte) []byte) {
	e.buf = body(e.buf[:0])
	var head [20]byte
	h := protowire.AppendVarint(head[:0], tag)
	h = protowire.AppendVarint(h, uint64(len(e.buf)))
	e.raw(h)
	e.raw(e.buf)
}

// Restore replaces all that the ledger holds by a snapshot; on an error it is as it was. All deltas
// that the snapshot still keeps are drained again.
func (l *Ledger) Restore(r io.Reader) error {
	n := NewLedger(l.config)
	if err := n.read(r); err != nil {
		return fmt.Errorf("commit: restore: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pos, l.hash, l.nextClient = n.pos, n.hash, n.nextClient
	l.clients, l.kept, l.states, l.own = n.clients, n.kept, n.states, n.own
	l.outbox, l.fresh = n.outbox, n.fresh
	l.generation++
	return nil
}

func (l *Ledger) read(r io.Reader) error {
	d := recordReader{r: bufio.NewReaderSize(r, 64<<10)}
	magic := make([]byte, len(snapshotMagic))
	if err := d.full(magic); err != nil {
		return err
	}
	if string(magic) != snapshotMagic {
		return fmt.Errorf("%w: it begins with %q", ErrSnapshot, magic)
	}
	l.outbox = newOutbox(nil) // founders may have left
	for last, silo := uint64(0), ""; ; {
		before := d.sum.Sum64()
		tag, body, err := d.record()
		if err != nil {
			return err
		}
		if tag < last || (tag == recHead) != (last == 0) {
			return fmt.Errorf("%w: record %d after %d", ErrSnapshot, tag, last)
		}
		last = tag
		if tag == recEnd {
			if sum, n := protowire.ConsumeFixed64(body); n != len(body) || sum != before {
				return fmt.Errorf("%w: its checksum does not match", ErrSnapshot)
			}
			return nil
		}
		if tag == recLogged {
			silo, err = l.readLogged(body, silo)
		} else {
			err = l.readRecord(tag, body)
		}
		if err != nil {
			return fmt.Errorf("%w: record %d: %w", ErrSnapshot, tag, err)
		}
	}
}

func (l *Ledger) readRecord(tag uint64, b []byte) error {
	switch tag {
	case recHead:
		return eachField(b, func(n protowire.Number, f field) error {
			switch n {
			case 1:
				l.pos = f.num
			case 2:
				l.hash = f.num
			case 3:
				l.nextClient = f.num
			default:
				return unknownField(n, f)
			}
			return nil
		})
	case recClient:
		return l.readClient(b)
	case recKept:
		return l.readKept(b)
	case recState:
		return l.readState(b)
	case recOwn:
		o, _, err := readVariable(b)
		if err != nil {
			return err
		}
		l.own.put(o.Variable, o.Op)
		return nil
	case recOwed:
		return l.readOwed(b)
	}
	return errMalformed
}

// readLogged reads a silo that is waited for, which comes after another by name, and returns its own.
func (l *Ledger) readLogged(b []byte, after string) (silo string, err error) {
	c, err := decodeCommand(tagLogged, b)
	if err != nil {
		return "", err
	}
	s := c.(Logged)
	switch {
	case s.Silo <= after, len(l.outbox.logged) >= maxSilos, s.Pos > 0 && s.Pos >= l.pos, !bytes.Equal(s.body(nil), b):
		return "", fmt.Errorf("%w: silo %q", errMalformed, s.Silo)
	}
	l.outbox.enter(s.Silo, s.Pos)
	return s.Silo, nil
}

// readOwed reads a delta that some silo waits for.
func (l *Ledger) readOwed(b []byte) error {
	o, pos, err := readVariable(b)
	if err != nil {
		return err
	}
	d := Delta{Pos: pos, Variable: o.Variable, Bytes: o.Op}
	kept := l.outbox.kept
	switch {
	case pos <= l.outbox.floor, pos > l.pos, len(kept) > 0 && kept[len(kept)-1].Pos > pos, !bytes.Equal(appendDelta(nil, d), b):
		return fmt.Errorf("%w: a delta of %v at %d", errMalformed, d.Variable, pos)
	}
	l.outbox.add(d)
	l.fresh = append(l.fresh, d)
	return nil
}

func (l *Ledger) readClient(b []byte) error {
	var c client
	var num uint64
	err := eachField(b, func(n protowire.Number, f field) error {
		switch n {
		case 1:
			num = f.num
		case 2:
			c.horizon = f.num
		case 3:
			c.highest = f.num
		case 4:
			c.touched = f.num
		default:
			return unknownField(n, f)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if num == 0 || num >= l.nextClient || c.highest > maxSeq || c.highest < c.horizon || c.highest-c.horizon > uint64(l.config.Window) {
		return fmt.Errorf("%w: client %d", errMalformed, num)
	}
	l.clients[num] = c
	return nil
}

func (l *Ledger) readKept(b []byte) error {
	var a Attempt
	var k kept
	err := eachField(b, func(n protowire.Number, f field) (err error) {
		switch n {
		case 1:
			a, err = decodeAttempt(f.bytes)
		case 2:
			k.committed = f.num == 1
		case 3:
			k.reply, k.hasReply = f.bytes, true
		default:
			err = unknownField(n, f)
		}
		return err
	})
	if err != nil {
		return err
	}
	c, ok := l.clients[a.ID.Client]
	if !ok || a.ID.Seq <= c.horizon || a.ID.Seq > c.highest {
		return fmt.Errorf("%w: a result of %v", errMalformed, a.ID)
	}
	k.n = a.N
	c.bytes += len(k.reply)
	l.clients[a.ID.Client] = c
	l.kept.put(a.ID, k)
	return nil
}

func (l *Ledger) readState(b []byte) error {
	var r Read
	var value []byte
	var kind, key string
	err := eachField(b, func(n protowire.Number, f field) (err error) {
		switch n {
		case 4:
			r.Version, err = decodeAttempt(f.bytes)
		case 5:
			value = f.bytes
		default:
			err = decodeKeyField(n, f, &kind, &key, &r.Key.State)
		}
		return err
	})
	r.Key.Grain = wire.NewID(kind, key)
	l.states.put(r.Key, state{version: r.Version, value: value})
	return err
}

func readVariable(b []byte) (o Operation, pos uint64, err error) {
	var kind, key string
	err = eachField(b, func(n protowire.Number, f field) error {
		switch n {
		case 1:
			kind = string(f.bytes)
		case 2:
			key = string(f.bytes)
		case 3:
			o.Op = f.bytes
		case 4:
			pos = f.num
		default:
			return unknownField(n, f)
		}
		return nil
	})
	o.Variable = wire.NewID(kind, key)
	return o, pos, err
}

type recordReader struct {
	r   *bufio.Reader
	sum xxh3.Hasher
}

func (d *recordReader) full(b []byte) error {
	_, err := io.ReadFull(d.r, b)
	_, _ = d.sum.Write(b)
	return torn(err)
}

func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early", ErrSnapshot)
	}
	return err
}

func (d *recordReader) varint() (uint64, error) {
	var b []byte
	for {
		c, err := d.r.ReadByte()
		if err != nil {
			return 0, torn(err)
		}
		if b = append(b, c); c < 0x80 || len(b) == 10 {
			break
		}
	}
	_, _ = d.sum.Write(b)
	v, n := protowire.ConsumeVarint(b)
	if n < 0 {
		return 0, fmt.Errorf("%w: %w", ErrSnapshot, errMalformed)
	}
	return v, nil
}

// record reads one; memory grows with what is there, not with what a length claims.
func (d *recordReader) record() (tag uint64, body []byte, err error) {
	if tag, err = d.varint(); err != nil {
		return 0, nil, err
	}
	size, err := d.varint()
	if err != nil {
		return 0, nil, err
	}
	if size > maxRecord {
		return 0, nil, fmt.Errorf("%w: a record of %d bytes", ErrSnapshot, size)
	}
	if size <= 64<<10 {
		body = make([]byte, size)
		return tag, body, d.full(body)
	}
	var buf bytes.Buffer
	if _, err = io.CopyN(&buf, d.r, int64(size)); err != nil {
		return 0, nil, torn(err)
	}
	_, _ = d.sum.Write(buf.Bytes())
	return tag, buf.Bytes(), nil
}
