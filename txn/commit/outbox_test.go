package commit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// adds is a decision that changes n variables.
func adds(seq uint64, n int) Decision {
	d := Decision{Attempt: attempt(1, seq, 1)}
	for i := range n {
		d.Ops = append(d.Ops, Operation{wire.NewID("test.Var", fmt.Sprint(i)), []byte("add")})
	}
	return d
}

// owing is a ledger with six entries of two deltas each.
func owing(silos ...string) (r *rig, at []uint64) {
	r = newRig(Config{Silos: append([]string{}, silos...)})
	r.do(Register{})
	for seq := uint64(1); seq <= 6; seq++ {
		r.do(adds(seq, 2))
		at = append(at, r.at)
	}
	return r, at
}

func TestOutboxKeepsDeltasUntilAllHaveLoggedThem(t *testing.T) {
	t.Parallel()
	r, at := owing("a", "b")
	require.Len(t, r.Outbox(0), 12)
	require.Len(t, r.Outbox(at[3]), 4)
	require.Equal(t, Invalid, r.one(Logged{Silo: "a", Pos: r.at + 5}).Code, "a position that is still to come")
	require.Equal(t, Invalid, r.one(Logged{Silo: "", Pos: 1}).Code)
	r.do(Logged{Silo: "a", Pos: at[5]})
	require.Len(t, r.Outbox(0), 12, "the other one has logged nothing")
	r.do(Logged{Silo: "b", Pos: at[1]})
	require.Len(t, r.Outbox(0), 8)
	r.do(Logged{Silo: "b", Pos: at[0]}) // late
	require.Equal(t, at[1], r.LoggedUpTo("b"))
	r.do(Logged{Silo: "b", Pos: at[4] - 1})
	require.Equal(t, at[4], r.Outbox(0)[0].Pos)
	r.do(Logged{Silo: "b", Pos: at[5]})
	require.Empty(t, r.outbox.kept)
}

func TestSilosThatDeltasAreKeptForComeAndGo(t *testing.T) {
	t.Parallel()
	r, at := owing("a", "b")
	r.do(Logged{"a", at[5]}, Logged{"c", at[2]})
	require.Equal(t, []string{"a", "b", "c"}, r.Silos())
	r.do(Logged{"b", at[5]})
	require.Len(t, r.Outbox(0), 6, "c is waited for as well")
	r.do(Left{"b"}, Left{"b"}, Left{"stranger"})
	require.Len(t, r.Outbox(0), 6)
	require.Equal(t, Invalid, r.one(Left{}).Code)
	r.do(Left{"c"})
	require.Empty(t, r.Outbox(0), "what it owed goes with it")
	require.Equal(t, []string{"a"}, r.Silos())
	require.Zero(t, r.LoggedUpTo("c"))

	r.do(Logged{"c", 0}) // it is back, with an empty store
	r.do(adds(7, 1))
	r.do(Logged{"a", r.at})
	require.Len(t, r.Outbox(0), 1)
	r.do(Logged{"c", r.at - 1})
	require.Empty(t, r.Outbox(0))

	r.do(adds(8, 1), Left{"a"}, Left{"c"}, adds(9, 1))
	require.Empty(t, r.Silos())
	require.Empty(t, r.Outbox(0), "nobody is waited for")
	require.Len(t, drain(r), 12+1+2, "to be drained it is all the same")
	r.do(Logged{"c", 0}, adds(10, 1))
	require.Len(t, r.Outbox(0), 1)
}

func TestAsManySilosAreWaitedForAsThereMayBe(t *testing.T) {
	t.Parallel()
	r := newRig(Config{Silos: []string{}})
	r.do(Register{})
	for i := range maxSilos {
		require.Equal(t, Done, r.one(Logged{fmt.Sprint(i), 1}).Code)
	}
	require.Equal(t, invalid("no such silo"), r.one(Logged{"one more", 1}))
	require.Equal(t, Done, r.one(Logged{"7", 2}).Code)
	r.do(Left{"8"})
	require.Equal(t, Done, r.one(Logged{"one more", 1}).Code)
	require.NoError(t, newRig(Config{}).Restore(bytes.NewReader(snapshotBytes(t, r.Ledger))))

	long := strings.Repeat("s", maxSiloName+1)
	require.Equal(t, Invalid, r.one(Logged{long, 1}).Code)
	require.Equal(t, Invalid, r.one(Left{long}).Code)
}

// A snapshot says who is waited for: founders that have left do not come back with it, and others stay.
func TestSnapshotKeepsWhoIsWaitedFor(t *testing.T) {
	t.Parallel()
	from, at := owing("a", "b")
	from.do(Logged{"c", at[3]}, Left{"a"})
	to, _ := owing("a", "b")
	require.NoError(t, to.Restore(bytes.NewReader(snapshotBytes(t, from.Ledger))))
	require.Equal(t, []string{"b", "c"}, to.Silos())
	require.Equal(t, from.Outbox(0), to.Outbox(0))
	to.at = to.Pos()
	to.do(Logged{"b", at[4]})
	require.Len(t, to.Outbox(0), 4)
	to.do(Logged{"c", at[5]})
	require.Len(t, to.Outbox(0), 2)

	from.do(Left{"b"}, Left{"c"})
	require.NoError(t, to.Restore(bytes.NewReader(snapshotBytes(t, from.Ledger))))
	require.Empty(t, to.Silos())
	require.Empty(t, to.Outbox(0))
}

// What no ledger writes about its silos and deltas is refused, though it be sealed.
func TestForgedOutboxesAreRefused(t *testing.T) {
	t.Parallel()
	v := wire.NewID("test.Var", "v")
	r := newRig(Config{Silos: []string{}})
	r.at = 8
	r.do(Register{})
	head := snapshotBytes(t, r.Ledger)
	head = head[len(snapshotMagic) : len(head)-10]
	record := func(tag uint64, body []byte) []byte {
		return append([]byte{byte(tag), byte(len(body))}, body...)
	}
	logged := func(silo string, pos uint64) []byte { return record(recLogged, Logged{silo, pos}.body(nil)) }
	owed := func(pos uint64) []byte { return record(recOwed, appendDelta(nil, Delta{pos, v, []byte("d")})) }
	for name, c := range map[string]struct {
		records [][]byte
		fine    bool
	}{
		"fine":                               {[][]byte{logged("a", 0), logged("b", 8), owed(1), owed(1), owed(9)}, true},
		"a silo twice":                       {[][]byte{logged("a", 1), logged("a", 2)}, false},
		"silos out of order":                 {[][]byte{logged("b", 1), logged("a", 1)}, false},
		"a silo without a name":              {[][]byte{logged("", 1)}, false},
		"logged what is still to come":       {[][]byte{logged("a", 9)}, false},
		"a silo's fields out of order":       {[][]byte{record(recLogged, []byte{0x10, 1, 0x0a, 1, 'a'})}, false},
		"a delta that nobody waits for":      {[][]byte{logged("a", 3), logged("b", 4), owed(3)}, false},
		"a delta, and nobody waits for any":  {[][]byte{owed(3)}, false},
		"a delta of an entry to come":        {[][]byte{logged("a", 3), owed(10)}, false},
		"deltas out of order":                {[][]byte{logged("a", 3), owed(5), owed(4)}, false},
		"a delta's number longer than it is": {[][]byte{logged("a", 3), record(recOwed, append(appendDelta(nil, Delta{0, v, nil}), 0x20, 0x84, 0))}, false},
	} {
		forged := sealed(slices.Concat(head, bytes.Join(c.records, nil)))
		err := newRig(Config{}).Restore(bytes.NewReader(forged))
		if c.fine {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, ErrSnapshot, name)
		}
	}
}
