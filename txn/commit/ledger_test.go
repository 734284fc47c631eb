package commit

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// rig applies commands to a ledger, an entry each.
type rig struct {
	*Ledger
	at uint64
}

func newRig(c Config) *rig {
	if c.Effect == nil {
		c.Effect = countEffect
	}
	if c.Silos == nil {
		c.Silos = []string{"a", "b"}
	}
	return &rig{Ledger: NewLedger(c)}
}

func (r *rig) do(cmds ...Command) []Result {
	r.at++
	rs, err := DecodeResults(r.Apply(r.at, EncodeEntry(cmds...)))
	if err != nil {
		panic(err)
	}
	return rs
}

func (r *rig) one(c Command) Result { return r.do(c)[0] }

// countEffect is a dot counter: each operation makes a delta that names its number; "no" is refused.
func countEffect(_ wire.ID, own, op []byte) (delta, newOwn []byte, err error) {
	if string(op) == "no" {
		return nil, nil, errors.New("refused by the variable")
	}
	newOwn = append(bytes.Clone(own), '.')
	return fmt.Appendf(nil, "%s@%d", op, len(newOwn)), newOwn, nil
}

func key(name string) StateKey { return StateKey{Grain: wire.NewID("test.Grain", name), State: 1} }

func attempt(client, seq uint64, n uint32) Attempt {
	return Attempt{ID: ID{Client: client, Seq: seq}, N: n}
}

// write is a decision that replaces one version of k.
func write(a Attempt, k StateKey, version Attempt, value string) Decision {
	return Decision{
		Attempt: a, Reads: []Read{{Key: k, Version: version}}, Writes: []Write{{Key: k, Value: []byte(value)}},
		Reply: []byte("reply " + a.String()), HasReply: true,
	}
}

func TestLedgerExactlyOnce(t *testing.T) {
	t.Parallel()
	x := key("x")
	a1, a2, b1 := attempt(1, 1, 1), attempt(1, 1, 2), attempt(1, 2, 1)
	none := Attempt{}
	committed := func(a Attempt) Result { return Result{Code: Committed, Attempt: a} }
	kept := func(c Code, a Attempt) Result {
		return Result{Code: c, Attempt: a, Reply: []byte("reply " + a.String()), HasReply: true}
	}
	type step struct {
		do   Command
		want Result
	}
	for name, steps := range map[string][]step{
		"the same attempt twice": {
			{write(a1, x, none, "1"), committed(a1)},
			{write(a1, x, none, "1"), kept(AlreadyCommitted, a1)},
		},
		"a retry after a commit whose answer was lost": {
			{write(a1, x, none, "1"), committed(a1)},
			{write(a2, x, a1, "2"), kept(AlreadyCommitted, a1)},
		},
		"the first attempt late, after its retry": {
			{write(a2, x, none, "2"), committed(a2)},
			{write(a1, x, none, "1"), kept(AlreadyCommitted, a2)},
		},
		"a conflict stays one, even when its version comes to be": {
			{write(b1, x, a1, "2"), Result{Code: Conflict, Attempt: b1, Stale: []Read{{Key: x}}}},
			{write(a1, x, none, "1"), committed(a1)},
			{write(b1, x, a1, "2"), Result{Code: Refused, Attempt: b1}},
			{write(attempt(1, 2, 2), x, a1, "2"), committed(attempt(1, 2, 2))},
		},
		"a refused retry refuses the attempts before it": {
			{write(a2, x, b1, "2"), Result{Code: Conflict, Attempt: a2, Stale: []Read{{Key: x}}}},
			{write(a1, x, none, "1"), Result{Code: Refused, Attempt: a2}},
		},
		"asked for all attempts": {
			{Inquire{ID: a1.ID}, Result{Code: Aborted, Attempt: attempt(1, 1, AllAttempts)}},
			{write(a2, x, none, "2"), Result{Code: Refused, Attempt: attempt(1, 1, AllAttempts)}},
		},
		"asked for one attempt, and run again": {
			{Inquire{ID: a1.ID, N: 1}, Result{Code: Aborted, Attempt: a1}},
			{write(a1, x, none, "1"), Result{Code: Refused, Attempt: a1}},
			{write(a2, x, none, "2"), committed(a2)},
			{Inquire{ID: a1.ID, N: 1}, kept(Committed, a2)},
			{Inquire{ID: a1.ID}, kept(Committed, a2)},
		},
		"taken over, twice": {
			{Inquire{ID: a1.ID, Past: 100}, Result{Code: Aborted, Attempt: attempt(1, 1, 100)}},
			{Inquire{ID: a1.ID, Past: 100}, Result{Code: Aborted, Attempt: attempt(1, 1, 200)}},
			{write(attempt(1, 1, 101), x, none, "1"), Result{Code: Refused, Attempt: attempt(1, 1, 200)}},
			{write(attempt(1, 1, 201), x, none, "1"), committed(attempt(1, 1, 201))},
			{Inquire{ID: a1.ID, Past: 100}, kept(Committed, attempt(1, 1, 201))},
		},
		"taken over too often": {
			{Inquire{ID: a1.ID, Past: AllAttempts - 1}, Result{Code: Aborted, Attempt: attempt(1, 1, AllAttempts-1)}},
			{Inquire{ID: a1.ID, Past: 2}, Result{Code: Aborted, Attempt: attempt(1, 1, AllAttempts)}},
		},
		"asked twice": {
			{Inquire{ID: a1.ID}, Result{Code: Aborted, Attempt: attempt(1, 1, AllAttempts)}},
			{Inquire{ID: a1.ID, N: 1}, Result{Code: Aborted, Attempt: attempt(1, 1, AllAttempts)}},
		},
		"nobody's": {
			{write(attempt(7, 1, 1), x, none, "1"), Result{Code: Forgotten, Attempt: attempt(7, 1, 1)}},
			{Inquire{ID: ID{Client: 7, Seq: 1}}, Result{Code: Forgotten, Attempt: Attempt{ID: ID{Client: 7, Seq: 1}}}},
			{Confirm{Client: 7, UpTo: 1}, Result{Code: Forgotten}},
		},
		"no attempt at all": {
			{write(attempt(1, 0, 1), x, none, "1"), invalid("no such attempt")},
			{write(attempt(1, 1, 0), x, none, "1"), invalid("no such attempt")},
			{write(attempt(1, 1<<63, 1), x, none, "1"), invalid("no such attempt")},
			{Inquire{ID: ID{Client: 1}}, invalid("no such sequence")},
			{Inquire{ID: ID{Client: 1, Seq: 1 << 40}}, invalid("the sequence is too far ahead of its client's")},
		},
		"a write whose version was not read": {
			{Decision{Attempt: a1, Writes: []Write{{Key: x}}},
				Result{Code: Invalid, Attempt: a1, Reason: "a write of test.Grain/x:1, whose version was not read"}},
			{write(a1, x, none, "1"), Result{Code: Refused, Attempt: a1}},
		},
		"a key twice": {
			{Decision{Attempt: a1, Reads: []Read{{Key: x}, {Key: x}}},
				Result{Code: Invalid, Attempt: a1, Reason: "two reads of test.Grain/x:1"}},
			{Decision{Attempt: a2, Reads: []Read{{Key: x}}, Writes: []Write{{Key: x}, {Key: x}}},
				Result{Code: Invalid, Attempt: a2, Reason: "two writes of test.Grain/x:1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(Config{})
			require.Equal(t, Result{Code: Done, Client: 1}, r.one(Register{}))
			for i, s := range steps {
				require.Equal(t, s.want, r.one(s.do), "step %d: %#v", i, s.do)
			}
		})
	}
}

func TestLedgerGet(t *testing.T) {
	t.Parallel()
	r := newRig(Config{})
	r.do(Register{})
	x, a := key("x"), attempt(1, 1, 1)
	_, _, ok := r.Get(x)
	require.False(t, ok)
	require.Empty(t, r.Validate([]Read{{Key: x}}))
	r.do(write(a, x, Attempt{}, "one"))
	version, value, ok := r.Get(x)
	require.True(t, ok)
	require.Equal(t, a, version)
	require.Equal(t, "one", string(value))
	require.Equal(t, []Read{{Key: x, Version: a}}, r.Validate([]Read{{Key: x}}))
	require.Empty(t, r.Validate([]Read{{Key: x, Version: a}}))
}

// lateCommit says whether a decision commits although someone had been told that it is aborted.
func lateCommit(r *rig) bool {
	r.do(Register{})
	a := attempt(1, 1, 1)
	said := r.one(Inquire{ID: a.ID}).Code
	return said == Aborted && r.one(write(a, key("x"), Attempt{}, "1")).Code == Committed
}

// "No record of it" is not "aborted": the abort is recorded before it is said.
func TestAbortIsRecordedBeforeItIsSaid(t *testing.T) {
	t.Parallel()
	require.False(t, lateCommit(newRig(Config{})))
	broken := newRig(Config{})
	broken.faults.answerUnlogged = true
	require.True(t, lateCommit(broken), "the check does not notice a ledger that answers without recording")
}

// An id whose record was dropped is Forgotten: never aborted, never taken as new.
func TestDroppedResultsAreForgotten(t *testing.T) {
	t.Parallel()
	x, a := key("x"), attempt(1, 1, 1)
	drops := map[string]func(*rig){
		"confirmed":    func(r *rig) { r.do(Confirm{Client: 1, UpTo: 1}) },
		"client ended": func(r *rig) { r.do(End{Client: 1}) },
		"too many clients": func(r *rig) {
			r.do(Register{}, Register{}, Register{})
		},
		"out of the window": func(r *rig) {
			r.do(Decision{Attempt: attempt(1, 10, 1)})
		},
		"too many bytes": func(r *rig) {
			r.do(Decision{Attempt: attempt(1, 2, 1), Reply: make([]byte, 90), HasReply: true})
			r.do(Decision{Attempt: attempt(1, 3, 1), Reply: make([]byte, 20), HasReply: true})
		},
	}
	for name, drop := range drops {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(Config{Window: 8, Clients: 3, KeptBytes: 100})
			r.do(Register{})
			require.Equal(t, Committed, r.one(write(a, x, Attempt{}, "1")).Code)
			drop(r)
			for range 2 {
				require.Equal(t, Forgotten, r.one(Inquire{ID: a.ID}).Code)
				require.Equal(t, Forgotten, r.one(write(a, x, Attempt{}, "1")).Code)
				require.Equal(t, Forgotten, r.one(write(attempt(1, 1, 2), x, a, "2")).Code)
			}
			_, value, _ := r.Get(x)
			require.Equal(t, "1", string(value))
		})
	}
}

func TestLedgerKeepsNoMoreThanItsBounds(t *testing.T) {
	t.Parallel()
	r := newRig(Config{Window: 4, Clients: 2, KeptBytes: 64})
	for range 10 {
		c := r.one(Register{}).Client
		for seq := uint64(1); seq <= 50; seq += 1 + seq%3 {
			r.do(Decision{Attempt: attempt(c, seq, 1), Reply: make([]byte, 10), HasReply: true})
			r.do(Inquire{ID: ID{Client: c, Seq: seq + 2}})
		}
		r.do(Confirm{Client: c, UpTo: 1<<64 - 1})
		require.Equal(t, Forgotten, r.one(Decision{Attempt: attempt(c, 60, 1)}).Code)
	}
	require.Len(t, r.clients, 2)
	require.Empty(t, r.kept.base)
}

func TestOperationsAreAllOrNothing(t *testing.T) {
	t.Parallel()
	r := newRig(Config{})
	r.do(Register{})
	v, w := wire.NewID("test.Var", "v"), wire.NewID("test.Var", "w")
	x := key("x")
	d := write(attempt(1, 1, 1), x, Attempt{}, "1")
	d.Ops = []Operation{{v, []byte("add")}, {v, []byte("add")}, {w, []byte("no")}}
	require.Equal(t, Result{Code: Invalid, Attempt: d.Attempt, Reason: "an operation on test.Var/w: refused by the variable"}, r.one(d))
	_, _, ok := r.Get(x)
	require.False(t, ok)
	require.Empty(t, drain(r))

	d.Attempt.N = 2
	d.Ops = []Operation{{v, []byte("add")}, {w, []byte("add")}, {v, []byte("remove")}}
	require.Equal(t, Committed, r.one(d).Code)
	want := []Delta{{r.at, v, []byte("add@1")}, {r.at, w, []byte("add@1")}, {r.at, v, []byte("remove@2")}}
	require.Equal(t, want, drain(r))
	require.Empty(t, drain(r))
	require.Equal(t, want, r.Outbox(0))
	require.Empty(t, r.Outbox(r.at))
	require.Equal(t, AlreadyCommitted, r.one(d).Code)
	require.Empty(t, drain(r), "a duplicate has no second effect")
}

func drain(r *rig) (ds []Delta) {
	r.Drain(func(d Delta) { ds = append(ds, d) })
	return ds
}

func TestEntriesAreAppliedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(Config{})
	r.do(Register{})
	hash := r.Hash()
	require.Nil(t, r.Apply(1, EncodeEntry(Register{})))
	require.Equal(t, hash, r.Hash())
	require.Equal(t, uint64(2), r.one(Register{}).Client)
	require.NotEqual(t, hash, r.Hash())
}

func TestHashTellsDivergedReplicas(t *testing.T) {
	t.Parallel()
	a, b := newRig(Config{}), newRig(Config{Effect: func(v wire.ID, own, op []byte) ([]byte, []byte, error) {
		delta, own, err := countEffect(v, own, op)
		return append(delta, '!'), own, err
	}})
	for _, r := range []*rig{a, b} {
		r.do(Register{})
	}
	require.Equal(t, a.Hash(), b.Hash())
	for _, r := range []*rig{a, b} {
		r.do(Decision{Attempt: attempt(1, 1, 1), Ops: []Operation{{wire.NewID("test.Var", "v"), []byte("add")}}})
	}
	require.NotEqual(t, a.Hash(), b.Hash())
}

func FuzzApply(f *testing.F) {
	f.Add(EncodeEntry(Register{}, write(attempt(1, 1, 1), key("x"), Attempt{}, "1"), Inquire{ID: ID{1, 2}, N: 3}, Inquire{ID: ID{1, 3}, Past: 3}))
	f.Add(EncodeEntry(Confirm{1, 1 << 60}, End{1}, Logged{"a", 1}, Logged{"c", 1}, Left{"a"}, Left{"b"}))
	f.Add([]byte{formatV1, 0xff})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, entry []byte) {
		r := newRig(Config{Window: 8})
		r.do(Register{})
		rs, err := DecodeResults(r.Apply(2, entry))
		require.NoError(t, err)
		cmds, err := DecodeEntry(entry)
		if err != nil {
			require.Equal(t, Invalid, rs[0].Code)
			return
		}
		require.Len(t, rs, len(cmds))
		again, err := DecodeEntry(EncodeEntry(cmds...))
		require.NoError(t, err)
		require.Equal(t, EncodeEntry(cmds...), EncodeEntry(again...))
	})
}

func FuzzDecodeResults(f *testing.F) {
	f.Add(encodeResults([]Result{{Code: Conflict, Stale: []Read{{Key: key("x"), Version: attempt(1, 1, 1)}}}, {Code: Done, Client: 3}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		rs, err := DecodeResults(b)
		if err != nil {
			return
		}
		again, err := DecodeResults(encodeResults(rs))
		require.NoError(t, err)
		require.Equal(t, encodeResults(rs), encodeResults(again))
	})
}
