package view

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// keeping is one silo's keeper beside a log that the test writes.
type keeping struct {
	*log
	k   *Keeper
	run Run
	now time.Duration
}

func newKeeping(t testing.TB, maxSealed int) *keeping {
	m := member(0, 1)
	k, err := NewKeeper(KeeperConfig{Member: m, MaxSealed: maxSealed})
	require.NoError(t, err)
	return &keeping{newLog(t), k, m.Run, time.Second}
}

func (k *keeping) step(in Input) []Effect { return k.k.Step(k.now, in, nil) }

// serve makes the silo an active member with a lease.
func (k *keeping) serve() {
	k.put(Join{k.k.join.Member})
	k.put(Ready{k.run})
	k.put(Renew{[]Renewal{{k.run, uint64(k.now)}}})
	k.step(k.Current())
}

// asks ticks and returns what was asked for.
func (k *keeping) asks() (asked []Command) {
	for _, e := range k.step(Tick{}) {
		if ask, ok := e.(Ask); ok {
			asked = append(asked, ask.Command)
		}
	}
	return asked
}

func (k *keeping) refusal(id wire.ID) Reason {
	_, err := k.k.Standing().Activate(k.now, id)
	if err == nil {
		return 0
	}
	require.ErrorIs(k.t, err, ErrNotServed)
	var r *Refusal
	require.ErrorAs(k.t, err, &r)
	return r.Reason
}

var alice = wire.NewID("k", "alice")

// What gets lost is asked for again, until the log says that it is so.
func TestAsksAreRepeated(t *testing.T) {
	t.Parallel()
	k := newKeeping(t, 0)
	for range 3 {
		require.Equal(t, []Command{k.k.join}, k.asks())
		require.Empty(t, k.asks())
		k.now += 300 * ms
	}
	k.step(k.put(k.k.join))
	asked := k.asks()
	require.Equal(t, []Command{Renew{[]Renewal{{k.run, uint64(k.now)}}}}, asked, "not ready before it has started")
	k.step(Started{})
	require.Empty(t, k.asks(), "nor before it has a lease: it could serve nothing of what it is given")
	k.step(k.put(asked[0]))
	require.Equal(t, []Command{Ready{k.run}}, k.asks())
	k.now += 500 * ms
	require.Len(t, k.asks(), 2, "ready, and a renewal")
	require.Equal(t, []Effect{Serving{}}, k.step(k.put(Ready{k.run}))[:1])
}

// The lease runs from when it was asked for; a mark of the future, or of another run, counts nothing; a
// snapshot brings it as an entry does.
func TestLease(t *testing.T) {
	t.Parallel()
	k := newKeeping(t, 0)
	k.serve()
	asked := k.now
	k.now += 2400 * ms
	require.Zero(t, k.refusal(alice))
	k.now += 100 * ms
	require.Equal(t, NoLease, k.refusal(alice))
	k.step(Applied{Renewed: []Renewal{{k.run, uint64(asked)}}})
	require.Equal(t, NoLease, k.refusal(alice), "the same renewal comes late")
	k.step(Applied{Renewed: []Renewal{{k.run, uint64(k.now + 1)}, {Run{k.run.ID, 2}, uint64(k.now)}, {Run{"b", 1}, uint64(k.now)}}})
	require.Equal(t, NoLease, k.refusal(alice), "not of this run's clock")
	k.step(Applied{Renewed: []Renewal{{k.run, uint64(k.now - 2000*ms)}}})
	require.Zero(t, k.refusal(alice))
	require.Equal(t, k.now+500*ms, k.k.lease.Until())
	require.Equal(t, 2500*ms, k.k.lease.Until()-(k.now-2000*ms))
	require.ErrorContains(t, k.k.Standing().Begin(k.now+time.Second, Grant{"k", 1, 1}), "try another silo")
}

// A silo that hears of a view refuses until it has it, also what it may go on holding.
func TestBehind(t *testing.T) {
	t.Parallel()
	k := newKeeping(t, 0)
	k.serve()
	g, err := k.k.Standing().Activate(k.now, alice)
	require.NoError(t, err)
	k.step(Heard{k.Table().Number})
	require.Zero(t, k.refusal(alice))
	k.step(Heard{k.Table().Number + 1})
	require.Equal(t, Behind, k.refusal(alice))
	require.NoError(t, k.k.Standing().Resume(k.now, g), "a turn that runs goes on")
	k.step(k.put(Promote{k.run.ID}))
	require.Zero(t, k.refusal(alice))
}

// Two silos within their leases, one of them a view behind, do not serve the same grain: the one that is
// to have the slot does not hold it until the other has released it, whichever view each has.
func TestViewsDiffer(t *testing.T) {
	t.Parallel()
	a := newKeeping(t, 0)
	a.serve()
	b, err := NewKeeper(KeeperConfig{Member: member(1, 1)})
	require.NoError(t, err)
	a.join(1, 1)
	a.put(Renew{[]Renewal{{a.run, uint64(a.now)}, {member(1, 1).Run, uint64(a.now)}}})
	b.Step(a.now, a.Current(), nil)
	served := 0
	for r := range a.Table().Rows {
		g := Grant{"k", r.Slot, r.Token}
		require.NoError(t, a.k.Standing().Begin(a.now, g), "a is behind")
		if b.Standing().Begin(a.now, g) == nil {
			served++
		}
	}
	require.Zero(t, served, "b serves what a holds")
}

// Once sealed under a token, a slot is not served under it again, although the silo is to keep it after
// all: the release may be in the log. It is released, and acquired anew.
func TestSealedStaysSealed(t *testing.T) {
	t.Parallel()
	a := newKeeping(t, Slots)
	a.serve()
	b := a.join(1, 1)
	effects := a.step(a.Current())
	sealed := effects[len(effects)-1].(Seal).Rows
	require.Len(t, sealed, Slots/2)
	moving := Grant{"k", sealed[0].Slot, sealed[0].Token}
	require.ErrorContains(t, a.k.Standing().Begin(a.now, moving), "moving to another silo")
	a.step(a.put(Remove{Run: b}))
	require.ErrorContains(t, a.k.Standing().Begin(a.now, moving), "moving to another silo", "its target is gone")
	require.Empty(t, a.asks()[1:], "nothing is drained")
	a.step(Drained{sealed})
	asked := a.asks()
	require.Len(t, asked, 1)
	require.Len(t, asked[0].(Release).Held, Slots/2)
	require.Empty(t, a.asks(), "it was asked for just now")
	a.now += 300 * ms
	require.Equal(t, asked, a.asks()[:1], "the question got lost")
	gained := a.step(a.put(asked[0]))[0].(Gained)
	require.Len(t, gained.Rows, Slots/2)
	a.step(a.put(Renew{[]Renewal{{a.run, uint64(a.now)}}}))
	require.Error(t, a.k.Standing().Begin(a.now, moving), "the old token")
	require.NoError(t, a.k.Standing().Begin(a.now, Grant{"k", moving.Slot, gained.Rows[0].Token}))
}

// No more slots than the bound are sealed at one time, and in the end all are moved.
func TestMaxSealed(t *testing.T) {
	t.Parallel()
	a := newKeeping(t, 100)
	a.serve()
	b := a.join(1, 1)
	in, moved := Input(a.Current()), 0
	for range 100 {
		var drained []Row
		for _, e := range a.step(in) {
			if s, ok := e.(Seal); ok {
				drained = append(drained, s.Rows...)
			}
		}
		require.LessOrEqual(t, len(a.k.sealed), 100)
		if len(drained) == 0 {
			break
		}
		moved += len(drained)
		a.step(Drained{drained})
		in = a.put(a.asksReleases()...)
	}
	require.Equal(t, Slots/2, moved)
	held, moving := a.Table().Held(b)
	require.Equal(t, []int{Slots / 2, 0}, []int{held, moving})
}

func (k *keeping) asksReleases() (all []Command) {
	for _, c := range k.asks() {
		if r, ok := c.(Release); ok {
			all = append(all, r)
		}
	}
	return all
}

// A run that was removed serves nothing from the moment when it hears of it, whatever its lease says, and
// a keeper whose run has ended does nothing any more.
func TestRemovedRunsEnd(t *testing.T) {
	t.Parallel()
	k := newKeeping(t, 0)
	k.serve()
	g, err := k.k.Standing().Activate(k.now, alice)
	require.NoError(t, err)
	require.Equal(t, []Effect{Ended{Removed: true}}, k.step(k.put(Remove{k.run, uint64(k.now)})))
	require.Error(t, k.k.Standing().Resume(k.now, g))
	require.Error(t, k.k.Standing().Reply(k.now, g))
	require.Empty(t, k.step(Tick{}))

	// A later run of the store has joined: this one, which never was a member, has no place any more.
	late := newKeeping(t, 0)
	late.join(0, 2)
	require.Equal(t, []Effect{Ended{Removed: true}}, late.step(late.Current()))
}

func TestResults(t *testing.T) {
	t.Parallel()
	a := Applied{Outcomes: []Outcome{Done, Holding, Full}}
	got, err := DecodeResult(a.Result())
	require.NoError(t, err)
	require.Equal(t, a.Outcomes, got)
	_, err = DecodeResult([]byte{0})
	require.ErrorIs(t, err, ErrMalformed)
}
