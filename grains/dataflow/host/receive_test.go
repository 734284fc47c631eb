package host

import (
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

func TestReceiver(t *testing.T) {
	t.Parallel()
	change := func(from, to uint64) *message {
		return &message{Type: tellChange, Incarnation: 1, From: from, To: to, Batch: []byte{byte(to)}, Last: true}
	}
	beat := func(at, number uint64) *message {
		return &message{Type: tellChange, Incarnation: 1, From: at, To: at, Last: true,
			Frontier: frontiers{"s": {Ingress: 1, Number: number}}}
	}
	old := change(5, 6)
	old.Incarnation = 9
	part := func(from, to, n uint64, last bool, b string) *message {
		return &message{Type: tellChange, Incarnation: 1, From: from, To: to, Part: n, Last: last, Batch: []byte(b)}
	}
	for _, c := range []struct {
		name    string
		in      []*message
		applied string // what was applied, by its end, "gap" where a snapshot was asked for
	}{
		{"in order", []*message{change(5, 6), change(6, 7)}, "6 7"},
		{"twice", []*message{change(5, 6), change(5, 6), change(6, 7)}, "6 7"},
		{"covered", []*message{change(3, 4), change(4, 5)}, ""},
		{"one is missing", []*message{change(6, 7), change(7, 8)}, "gap"},
		{"the last is missing", []*message{beat(6, 1)}, "gap"},
		{"heartbeats", []*message{beat(5, 1), beat(5, 2)}, "5 5"},
		{"a heartbeat that was overtaken", []*message{beat(5, 2), beat(5, 1)}, "5"},
		{"a late heartbeat", []*message{beat(4, 1)}, ""},
		{"of another run", []*message{old, change(5, 6)}, "6"},
		{"parts", []*message{part(5, 6, 0, false, "a"), part(5, 6, 1, true, "b"), change(6, 7)}, "6 7"},
		{"a part is missing", []*message{part(5, 6, 0, false, "a"), part(5, 6, 2, true, "b"), beat(6, 1)}, "gap"},
		{"parts of two changes", []*message{part(5, 6, 0, false, "a"), part(6, 7, 1, true, "b"), change(7, 8)}, "gap"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var r receiver
			r.snapshot(1, 5, nil)
			var got []string
			for _, m := range c.in {
				apply, gap := r.take(m)
				if apply != nil {
					got = append(got, string('0'+byte(apply.to)))
				}
				if gap {
					got = append(got, "gap")
				}
			}
			require.Equal(t, c.applied, strings.Join(got, " "))
		})
	}
}

// What arrives while a snapshot is fetched is applied on it.
func TestReceiverKeepsWhatIsAhead(t *testing.T) {
	t.Parallel()
	var r receiver
	for to := uint64(3); to <= 8; to++ {
		apply, gap := r.take(&message{Incarnation: 1, From: to - 1, To: to, Batch: []byte{1}, Last: true})
		require.Nil(t, apply)
		require.False(t, gap)
	}
	r.snapshot(1, 5, nil)
	for to := uint64(6); to <= 8; to++ {
		apply, gap := r.kept()
		require.False(t, gap)
		require.Equal(t, to, apply.to)
	}
	apply, gap := r.kept()
	require.Nil(t, apply)
	require.False(t, gap)
}

func TestReceiverIsBounded(t *testing.T) {
	t.Parallel()
	var r receiver
	big := make([]byte, maxAheadBytes/8)
	for to := range uint64(100) {
		r.take(&message{Incarnation: 1, From: to, To: to + 1, Batch: big, Last: true})
		require.LessOrEqual(t, r.aheadBytes, maxAheadBytes)
	}
	for to := range uint64(3 * maxAhead) {
		r.take(&message{Incarnation: 1, From: to, To: to + 1, Last: true})
		require.LessOrEqual(t, len(r.ahead), maxAhead)
	}
	var p parts
	for n := range uint64(100) {
		p.add(&message{Incarnation: 1, To: 1, Part: n, Batch: big})
		require.LessOrEqual(t, len(p.of.batch), maxAheadBytes)
	}
}

// A publisher and a receiver between which messages are lost, doubled and overtaken: what is applied is
// always the output at some number, and in the end the newest.
func TestPublisherAndReceiver(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var wire [][]byte // between them
		now := time.Unix(0, 0)
		p := publisher{
			node: "n", incarnation: 3, limit: overhead + 40, timing: quick,
			send:        func(_ string, b []byte) { wire = append(wire, b) },
			subscribers: map[subscriber]time.Time{}, snapshots: map[uint64]*snapshot{},
		}
		// The output is one element, the number; weights show what was applied twice or not at all.
		batch := func(from, to int) []byte {
			items := []flow.Weighted[string]{{Elem: strings.Repeat("x", to%70) + string(rune('A'+to)), Weight: 1}}
			if from > 0 {
				items = append(items, flow.Weighted[string]{Elem: strings.Repeat("x", from%70) + string(rune('A'+from)), Weight: -1})
			}
			return flow.AppendBatch(nil, items, opaque)
		}
		n := 0
		var r receiver
		held := flow.NewMaterialized(opaque)
		at := map[uint64]int{0: 0} // what the output is at each number
		subscribe := func() {
			r.unsync()
			a := p.subscribe(subscriber{"a", 1, 1}, r.incarnation, r.seq, func(limit int) iter.Seq[[]byte] {
				return flow.SplitBatch(batchOrNil(batch, n), limit)
			}, now)
			if a.Type == answerPage {
				var pages [][]byte
				for i := uint64(0); ; i++ {
					page := p.page(a.Incarnation, a.To, i, now)
					if len(page.Batch) > 0 {
						pages = append(pages, page.Batch)
					}
					if page.Last {
						break
					}
				}
				_, _, err := held.Reset(pages)
				require.NoError(t, err)
			}
			if a.Type == answerChange {
				require.Equal(t, r.seq, a.From)
				_, _, err := held.Apply(a.Batch)
				require.NoError(t, err)
			}
			r.snapshot(a.Incarnation, a.To, a.Frontier)
		}
		apply := func(c *change) {
			if c != nil {
				_, _, err := held.Apply(c.batch)
				require.NoError(t, err)
			}
		}
		check := func() {
			require.Equal(t, min(1, at[r.seq]), held.Len())
			if at[r.seq] > 0 {
				k := at[r.seq]
				require.True(t, held.Contains(strings.Repeat("x", k%70)+string(rune('A'+k))))
			}
		}
		subscribe()
		drain := func() {
			for len(wire) > 0 {
				b := wire[0]
				wire = wire[1:]
				m, err := decodeMessage(b)
				require.NoError(t, err)
				c, gap := r.take(m)
				apply(c)
				if gap {
					subscribe()
				}
				check()
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "do") {
			case 0, 1:
				n++
				p.emit(batch(n-1, n), nil, false, now)
				at[p.seq] = n
			case 2:
				if len(wire) > 0 {
					i := rapid.IntRange(0, len(wire)-1).Draw(t, "lost")
					wire = slices.Delete(wire, i, i+1)
				}
			case 3:
				if len(wire) > 1 {
					i := rapid.IntRange(0, len(wire)-2).Draw(t, "swapped")
					wire[i], wire[i+1] = wire[i+1], wire[i]
				}
			case 4:
				if len(wire) > 0 {
					wire = append(wire, wire[rapid.IntRange(0, len(wire)-1).Draw(t, "doubled")])
				}
			case 5:
				drain()
			}
		}
		p.beat(now)
		last := wire[len(wire)-1]
		drain()
		wire = [][]byte{last}
		drain()
		require.Equal(t, p.seq, r.seq)
		check()
	})
}

func batchOrNil(batch func(from, to int) []byte, n int) []byte {
	if n == 0 {
		return nil
	}
	return batch(0, n)
}

func TestRecentChangesAreBounded(t *testing.T) {
	t.Parallel()
	p := publisher{
		node: "n", incarnation: 3, limit: 1 << 20, timing: quick, send: func(string, []byte) {},
		subscribers: map[subscriber]time.Time{}, snapshots: map[uint64]*snapshot{},
	}
	for i := range 50 {
		elem := string(rune('a'+i)) + strings.Repeat("x", maxRecentBytes/10)
		p.emit(flow.AppendBatch(nil, []flow.Weighted[string]{{Elem: elem, Weight: 1}}, opaque), nil, i == 47, time.Time{})
		require.LessOrEqual(t, p.recentBytes, maxRecentBytes)
		require.Equal(t, p.seq, p.recent[len(p.recent)-1].to)
	}
	require.Nil(t, p.since(3), "not kept")
	require.Nil(t, p.since(50), "nothing is missing")
	require.Nil(t, p.since(51), "from a future that never was")
	m := p.since(46)
	items, err := flow.DecodeBatch(m.Batch, opaque)
	require.NoError(t, err)
	require.Len(t, items, 4)
	require.True(t, m.Reset)
	require.False(t, p.since(48).Reset)
	p.limit = maxRecentBytes / 5
	require.Nil(t, p.since(46), "more than fits in a message")
}

func TestPublisherForgets(t *testing.T) {
	t.Parallel()
	start := time.Unix(0, 0)
	sent := 0
	p := publisher{
		node: "n", incarnation: 3, limit: 1 << 10, timing: quick, send: func(string, []byte) { sent++ },
		subscribers: map[subscriber]time.Time{}, snapshots: map[uint64]*snapshot{},
	}
	none := func(int) iter.Seq[[]byte] { return func(func([]byte) bool) {} }
	p.subscribe(subscriber{"a", 1, 1}, 0, 0, none, start)
	p.tick(start.Add(quick.beat))
	require.Equal(t, 1, sent, "a heartbeat")
	p.tick(start.Add(quick.expire + 1))
	require.Empty(t, p.subscribers)
	require.Empty(t, p.snapshots)
	for i := range uint64(100) {
		p.seq = i
		p.subscribe(subscriber{"a", 1, i}, 0, 0, none, start)
		require.LessOrEqual(t, len(p.snapshots), maxSnapshots)
	}
	require.Equal(t, uint64(answerRefused), p.page(3, 1, 0, start).Type, "a snapshot that is kept no more")
	require.Equal(t, uint64(answerRefused), p.page(3, 99, 7, start).Type, "a page that is not there")
	require.Equal(t, uint64(answerRefused), p.page(4, 99, 0, start).Type, "another run")
}

func TestFrontiers(t *testing.T) {
	t.Parallel()
	a := frontiers{"x": {Ingress: 1, Number: 5}, "y": {Ingress: 2, Number: 9}}
	b := frontiers{"x": {Ingress: 1, Number: 3}}
	require.Equal(t, frontiers{"x": {Ingress: 1, Number: 3}, "y": {Ingress: 2, Number: 9}}, merge([]frontiers{a, b}))
	require.Equal(t, frontiers{"x": {Ingress: 4}}, merge([]frontiers{b, {"x": {Ingress: 4, Number: 7}}}))
	require.Equal(t, wire.Frontier{Ingress: 1, Number: 3}, b.whole())
	require.Equal(t, uint64(14), a.whole().Number)
	require.True(t, b.behind(a))
	require.False(t, a.behind(b))
}

func FuzzDecodeMessage(f *testing.F) {
	m := message{
		Type: tellChange, Node: "likes", Subscription: 7, Incarnation: 1 << 63, From: 4, To: 5, Batch: []byte("batch"), Part: 1,
		Last: true, Reset: true, Fingerprint: 9, Text: "why", Sender: 3, Frontier: frontiers{"s": {Ingress: 1, Number: 2}},
	}
	f.Add(m.append(nil))
	f.Add([]byte{0x3a, 0x02, 0x0a, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMessage(b)
		if err != nil {
			return
		}
		again, err := decodeMessage(m.append(nil))
		require.NoError(t, err)
		if len(m.Batch) == 0 {
			m.Batch = again.Batch
		}
		require.Equal(t, m, again)
	})
}
