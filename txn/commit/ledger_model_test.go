package commit

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// model says the ledger's rules as plainly as they can be said: it keeps everything for ever, and asks
// in the end whether the ledger may still know.
type model struct {
	window, clients, bytes int

	pos       uint64
	next      uint64
	live      []uint64
	touched   map[uint64]uint64
	horizon   map[uint64]uint64
	committed map[ID]Decision
	aborted   map[ID]uint32
	states    map[StateKey]Write
	versions  map[StateKey]Attempt
	counts    map[wire.ID]int
	deltas    []Delta
	kept      []Delta
	logged    map[string]uint64 // by the silos that are waited for
}

func (m *model) known(id ID) bool {
	return slices.Contains(m.live, id.Client) && id.Seq > m.horizon[id.Client]
}

func (m *model) apply(c Command) Result {
	switch c := c.(type) {
	case Register:
		for len(m.live) >= m.clients {
			first := slices.MinFunc(m.live, func(a, b uint64) int {
				if m.touched[a] != m.touched[b] {
					return int(m.touched[a]) - int(m.touched[b])
				}
				return int(a) - int(b)
			})
			m.apply(End{first})
		}
		m.next++
		m.live = append(m.live, m.next)
		m.touched[m.next] = m.pos
		return Result{Code: Done, Client: m.next}
	case End:
		m.live = slices.DeleteFunc(m.live, func(n uint64) bool { return n == c.Client })
		return Result{Code: Done}
	case Confirm:
		if !slices.Contains(m.live, c.Client) {
			return Result{Code: Forgotten}
		}
		m.touched[c.Client] = m.pos
		m.horizon[c.Client] = max(m.horizon[c.Client], c.UpTo)
		return Result{Code: Done}
	case Inquire:
		if !m.known(c.ID) {
			return Result{Code: Forgotten, Attempt: Attempt{ID: c.ID}}
		}
		if d, ok := m.committed[c.ID]; ok {
			return Result{Code: Committed, Attempt: d.Attempt, Reply: d.Reply, HasReply: d.HasReply}
		}
		n := c.N
		if n == 0 {
			n = AllAttempts
		}
		if c.Past > 0 {
			n = uint32(min(uint64(m.aborted[c.ID])+uint64(c.Past), uint64(AllAttempts)))
		}
		if highest := m.highest(c.ID.Client); m.aborted[c.ID] == 0 && c.ID.Seq > highest+uint64(m.window) {
			return invalid("the sequence is too far ahead of its client's")
		}
		m.abort(Attempt{c.ID, n})
		return Result{Code: Aborted, Attempt: Attempt{c.ID, m.aborted[c.ID]}}
	case Decision:
		return m.decide(c)
	case Logged:
		if c.Pos >= m.pos {
			return invalid("a position that was not applied cannot have been logged")
		}
		m.logged[c.Silo] = max(m.logged[c.Silo], c.Pos)
		return m.letGo()
	case Left:
		delete(m.logged, c.Silo)
		return m.letGo()
	}
	panic("unknown")
}

func (m *model) letGo() Result {
	m.kept = slices.DeleteFunc(m.kept, func(d Delta) bool {
		for _, pos := range m.logged {
			if pos < d.Pos {
				return false
			}
		}
		return true
	})
	return Result{Code: Done}
}

func (m *model) highest(client uint64) uint64 {
	highest := m.horizon[client]
	for id := range m.committed {
		if id.Client == client {
			highest = max(highest, id.Seq)
		}
	}
	for id := range m.aborted {
		if id.Client == client {
			highest = max(highest, id.Seq)
		}
	}
	return highest
}

func (m *model) abort(a Attempt) {
	m.aborted[a.ID] = max(m.aborted[a.ID], a.N)
	m.recorded(a.ID)
}

func (m *model) recorded(id ID) {
	m.touched[id.Client] = m.pos
	if id.Seq > uint64(m.window) {
		m.horizon[id.Client] = max(m.horizon[id.Client], id.Seq-uint64(m.window))
	}
	for {
		sum, highest := 0, uint64(0)
		for seq := m.horizon[id.Client] + 1; seq < 100; seq++ {
			d, c := m.committed[ID{id.Client, seq}]
			_, a := m.aborted[ID{id.Client, seq}]
			if c || a {
				highest = seq
			}
			sum += len(d.Reply)
		}
		if sum <= m.bytes || m.horizon[id.Client]+1 >= highest {
			return
		}
		m.horizon[id.Client]++
	}
}

func (m *model) decide(d Decision) Result {
	id := d.Attempt.ID
	if !m.known(id) {
		return Result{Code: Forgotten, Attempt: d.Attempt}
	}
	if was, ok := m.committed[id]; ok {
		return Result{Code: AlreadyCommitted, Attempt: was.Attempt, Reply: was.Reply, HasReply: was.HasReply}
	}
	if n := m.aborted[id]; d.Attempt.N <= n {
		return Result{Code: Refused, Attempt: Attempt{id, n}}
	}
	var stale []Read
	for _, r := range d.Reads {
		if m.versions[r.Key] != r.Version {
			stale = append(stale, Read{r.Key, m.versions[r.Key]})
		}
	}
	if len(stale) > 0 {
		m.abort(d.Attempt)
		return Result{Code: Conflict, Attempt: d.Attempt, Stale: stale}
	}
	for _, o := range d.Ops {
		if string(o.Op) == "no" {
			m.abort(d.Attempt)
			return Result{Code: Invalid, Attempt: d.Attempt, Reason: "an operation on " + o.Variable.String() + ": refused by the variable"}
		}
	}
	for _, w := range d.Writes {
		m.states[w.Key], m.versions[w.Key] = w, d.Attempt
	}
	for _, o := range d.Ops {
		m.counts[o.Variable]++
		delta, _, _ := countEffect(o.Variable, make([]byte, m.counts[o.Variable]-1), o.Op)
		m.deltas = append(m.deltas, Delta{m.pos, o.Variable, delta})
		m.kept = append(m.kept, m.deltas[len(m.deltas)-1])
	}
	m.letGo()
	m.committed[id] = d
	m.recorded(id)
	return Result{Code: Committed, Attempt: d.Attempt}
}

func drawCommand(t *rapid.T, pos uint64, made []Attempt) Command {
	id := ID{rapid.Uint64Range(1, 5).Draw(t, "client"), rapid.Uint64Range(1, 9).Draw(t, "seq")}
	n := rapid.Uint32Range(0, 3).Draw(t, "n")
	silo := rapid.SampledFrom([]string{"a", "b", "c"})
	switch rapid.SampledFrom([]string{"register", "confirm", "end", "inquire", "logged", "logged", "left",
		"decide", "decide", "decide", "decide", "decide"}).Draw(t, "command") {
	case "logged":
		return Logged{silo.Draw(t, "silo"), rapid.Uint64Range(0, pos).Draw(t, "pos")}
	case "left":
		return Left{silo.Draw(t, "silo")}
	case "register":
		return Register{}
	case "confirm":
		return Confirm{id.Client, id.Seq - 1}
	case "end":
		if n > 0 {
			return Register{}
		}
		return End{id.Client}
	case "inquire":
		return Inquire{id, n, rapid.SampledFrom([]uint32{0, 0, 1, 2}).Draw(t, "past")}
	}
	d := Decision{Attempt: Attempt{id, n + 1}, HasReply: rapid.Bool().Draw(t, "has reply")}
	if d.HasReply {
		d.Reply = make([]byte, rapid.IntRange(0, 12).Draw(t, "reply"))
	}
	for _, name := range []string{"x", "y"} {
		if !rapid.Bool().Draw(t, "touch "+name) {
			continue
		}
		d.Reads = append(d.Reads, Read{key(name), rapid.SampledFrom(append(made, Attempt{})).Draw(t, "version")})
		if rapid.Bool().Draw(t, "write") {
			d.Writes = append(d.Writes, Write{key(name), []byte(d.Attempt.String())})
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "ops") {
		d.Ops = append(d.Ops, Operation{
			wire.NewID("test.Var", rapid.SampledFrom([]string{"v", "w"}).Draw(t, "variable")),
			[]byte(rapid.SampledFrom([]string{"add", "add", "add", "no"}).Draw(t, "op")),
		})
	}
	return d
}

func TestLedgerAgreesWithTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		config := Config{Window: 5, Clients: 3, KeptBytes: 20, Effect: countEffect, Silos: []string{"a", "b"}}
		a, b := NewLedger(config), NewLedger(config)
		m := &model{window: 5, clients: 3, bytes: 20, touched: map[uint64]uint64{}, horizon: map[uint64]uint64{},
			committed: map[ID]Decision{}, aborted: map[ID]uint32{}, states: map[StateKey]Write{},
			versions: map[StateKey]Attempt{}, counts: map[wire.ID]int{},
			logged: map[string]uint64{"a": 0, "b": 0}}
		var drained []Delta
		var captured []*Snapshot
		var capturedAs [][]byte
		for range rapid.IntRange(1, 60).Draw(t, "entries") {
			var cmds []Command
			var want []Result
			m.pos += rapid.Uint64Range(1, 2).Draw(t, "gap")
			for range rapid.IntRange(1, 3).Draw(t, "commands") {
				made := make([]Attempt, 0, 4)
				for _, k := range []string{"x", "y"} {
					if v, ok := m.versions[key(k)]; ok {
						made = append(made, v, v, v)
					}
				}
				c := drawCommand(t, m.pos, made)
				cmds, want = append(cmds, c), append(want, m.apply(c))
			}
			entry := EncodeEntry(cmds...)
			result := a.Apply(m.pos, entry)
			require.Equal(t, result, b.Apply(m.pos, entry))
			require.Equal(t, encodeResults(want), result, "%#v", cmds)
			a.Drain(func(d Delta) { drained = append(drained, d) })
			require.ElementsMatch(t, m.kept, a.Outbox(0))
			require.Equal(t, slices.Sorted(maps.Keys(m.logged)), a.Silos())

			switch rapid.IntRange(0, 9).Draw(t, "then") {
			case 0:
				captured = append(captured, a.Snapshot())
				capturedAs = append(capturedAs, snapshotBytes(t, b))
			case 1:
				if len(captured) > 0 {
					requireSnapshot(t, capturedAs[0], captured[0])
					captured, capturedAs = captured[1:], capturedAs[1:]
				}
			case 2:
				require.NoError(t, b.Restore(bytes.NewReader(snapshotBytes(t, a))))
			}
		}
		for i := range captured {
			requireSnapshot(t, capturedAs[i], captured[i])
		}
		require.Nil(t, a.states.over)
		require.Equal(t, snapshotBytes(t, a), snapshotBytes(t, b))
		require.Equal(t, a.Hash(), b.Hash())
		for k, w := range m.states {
			version, value, ok := a.Get(k)
			require.True(t, ok)
			require.Equal(t, m.versions[k], version)
			require.Equal(t, w.Value, value)
		}
		require.Equal(t, m.deltas, drained)
	})
}

func snapshotBytes(t require.TestingT, l *Ledger) []byte {
	s := l.Snapshot()
	defer s.Release()
	var buf bytes.Buffer
	require.NoError(t, s.Write(&buf))
	return buf.Bytes()
}

func requireSnapshot(t require.TestingT, want []byte, s *Snapshot) {
	var buf bytes.Buffer
	require.NoError(t, s.Write(&buf))
	s.Release()
	s.Release()
	require.Equal(t, want, buf.Bytes())
}
