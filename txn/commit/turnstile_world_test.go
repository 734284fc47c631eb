package commit

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// world runs blocks and plain calls over a few turnstiles, one small step of one of them at a time, in
// an order that choose decides, and checks that nobody is where someone else is.
type world struct {
	choose  func(n int) int
	grains  []*place
	workers []*worker
	calls   CallID
	step    int
	errs    []string
}

type place struct {
	Turnstile
	in    map[*worker]int // frames that run here, by whose they are
	owner *worker
	alone int // of in, those that do not share
}

// frame is one call of a worker at a grain.
type frame struct {
	at      int
	call    CallID
	running bool
	shared  bool
	touch   bool // wants the lock
	locked  bool
	opener  bool // a plain call; the block opens in it
}

// worker runs a chain of calls, each made from inside the one before or after it had returned.
type worker struct {
	name    string
	plain   bool
	reads   bool // its first call shares the turn with others of the kind; a block makes it its own
	pauses  int  // how often its plain turn is given up, while it waits elsewhere, and comes back
	home    int  // grain in whose turn it opens its block; -1: outside of all
	visits  []visit
	by      Holder
	next    int // visit
	stack   []frame
	waiting CallID
	wounded bool
	yielded bool
	seen    map[int]bool
	done    bool
	wounds  int
}

type visit struct {
	at    int
	touch bool
	depth int // how many frames above the opener stay open below it
}

func newWorld(choose func(int) int, broken func(*Turnstile)) *world {
	w := &world{choose: choose}
	for range 2 + choose(3) {
		g := &place{in: map[*worker]int{}}
		broken(&g.Turnstile)
		w.grains = append(w.grains, g)
	}
	n := 2 + choose(6)
	ages := rand.New(rand.NewPCG(uint64(choose(1<<16)), 1)).Perm(n)
	for i := range n {
		k := &worker{name: fmt.Sprint("w", i), plain: choose(4) == 0, home: choose(len(w.grains)+1) - 1, seen: map[int]bool{}}
		k.by = block(uint64(ages[i]+1), 1)
		k.reads = choose(2) == 0
		if k.plain {
			k.home, k.by, k.pauses = -1, Holder{}, choose(3)
			k.visits = []visit{{at: choose(len(w.grains))}}
		} else {
			for range 1 + choose(4) {
				k.visits = append(k.visits, visit{at: choose(len(w.grains)), touch: choose(4) > 0, depth: choose(3)})
			}
		}
		w.workers = append(w.workers, k)
	}
	return w
}

func (w *world) failf(format string, args ...any) {
	w.errs = append(w.errs, fmt.Sprintf("step %d: ", w.step)+fmt.Sprintf(format, args...))
}

// run goes on until all are done. It says so, or in which state everything came to rest before.
func (w *world) run() error {
	for w.step = 0; w.step < 20_000 && len(w.errs) == 0; w.step++ {
		var ready []*worker
		left := false
		for _, k := range w.workers {
			left = left || !k.done
			if !k.done && (k.waiting == 0 || k.wounded && !k.yielded) {
				ready = append(ready, k)
			}
		}
		if !left {
			for i, g := range w.grains {
				if !g.Idle() {
					w.failf("grain %d is not idle: %+v", i, g.Turnstile)
				}
			}
			break
		}
		if len(ready) == 0 {
			w.failf("deadlock:\n%s", w)
			break
		}
		w.advance(ready[w.choose(len(ready))])
	}
	if w.step == 20_000 {
		w.failf("no end:\n%s", w)
	}
	if len(w.errs) > 0 {
		return fmt.Errorf("%s", strings.Join(w.errs, "\n"))
	}
	return nil
}

func (w *world) String() string {
	var b strings.Builder
	for i, g := range w.grains {
		fmt.Fprintf(&b, "grain %d: turn of %d (%v) lock %v queue %d inside %d\n", i, g.turn.call, g.turn.holder.Attempt, g.lock.Attempt, len(g.queue), len(g.inside))
	}
	for _, k := range w.workers {
		fmt.Fprintf(&b, "%s %v done %v waits for %d wounded %v yielded %v at %d of %v: %+v\n", k.name, k.by.Attempt, k.done, k.waiting, k.wounded, k.yielded, k.next, k.visits, k.stack)
	}
	return b.String()
}

func (w *world) advance(k *worker) {
	switch {
	case k.wounded:
		w.abort(k)
	case k.home >= 0 && len(k.stack) == 0:
		w.call(k, k.home, false, true)
	case w.needsLock(k):
		w.lock(k)
	case k.pauses > 0 && len(k.stack) == 1:
		w.pause(k)
	case k.next == len(k.visits):
		w.finish(k)
	default:
		v := k.visits[k.next]
		base := 0
		if k.home >= 0 {
			base = 1
		}
		if len(k.stack) > base+v.depth {
			w.leave(k)
			return
		}
		k.next++
		w.call(k, v.at, v.touch, false)
	}
}

func (w *world) call(k *worker, at int, touch, opener bool) {
	w.calls++
	f := frame{at: at, call: w.calls, touch: touch, opener: opener, shared: k.reads && (opener || k.plain)}
	var within CallID
	for _, o := range k.stack {
		if o.at == at {
			within = o.call
		}
	}
	by := k.by
	if opener {
		by = Holder{}
	}
	k.stack = append(k.stack, f)
	k.seen[at] = true
	w.enter(k, f, by, within)
}

func (w *world) enter(k *worker, f frame, by Holder, within CallID) {
	g := w.grains[f.at]
	var granted bool
	var out []Signal
	if f.shared {
		granted, out = g.Share(f.call, within)
	} else {
		granted, out = g.Arrive(f.call, by, within)
	}
	if !granted {
		k.waiting = f.call
	}
	w.signals(f.at, out)
	if granted {
		w.entered(k, f.call)
	}
}

// pause gives a plain turn up and asks for it again, as one does that waits for a call.
func (w *world) pause(k *worker) {
	k.pauses--
	f := &k.stack[0]
	w.gone(k, *f)
	f.running = false
	w.signals(f.at, w.grains[f.at].Leave(f.call))
	w.enter(k, *f, Holder{}, 0)
}

// own makes a turn that was shared one that a block can be opened in.
func (w *world) own(k *worker, f *frame) {
	w.gone(k, *f)
	f.running, f.shared = false, false
	granted, out := w.grains[f.at].Alone(f.call)
	if !granted {
		k.waiting = f.call
	}
	w.signals(f.at, out)
	if granted {
		w.entered(k, f.call)
	}
}

func (w *world) needsLock(k *worker) bool {
	if len(k.stack) == 0 {
		return false
	}
	f := k.stack[len(k.stack)-1]
	return f.touch && !f.locked
}

func (w *world) lock(k *worker) {
	f := &k.stack[len(k.stack)-1]
	granted, out := w.grains[f.at].Lock(f.call, k.by)
	if !granted {
		k.waiting = f.call
	}
	w.signals(f.at, out)
	if granted {
		w.locked(k, f)
	}
}

func (w *world) locked(k *worker, f *frame) {
	g := w.grains[f.at]
	if g.owner != nil && g.owner != k {
		w.failf("%s has the lock of grain %d, which %s holds", k.name, f.at, g.owner.name)
	}
	g.owner, f.locked = k, true
}

func (w *world) entered(k *worker, call CallID) {
	f := k.frame(call)
	g := w.grains[f.at]
	f.running = true
	g.in[k]++
	if !f.shared {
		g.alone++
	}
	if len(g.in) > 1 && g.alone > 0 {
		w.failf("%s runs in grain %d beside another", k.name, f.at)
	}
	if f.opener && f.shared {
		w.own(k, f)
	} else if f.opener {
		w.signals(f.at, g.OpenBlock(call, k.by))
	}
}

func (k *worker) frame(call CallID) *frame {
	for i := range k.stack {
		if k.stack[i].call == call {
			return &k.stack[i]
		}
	}
	return nil
}

func (w *world) gone(k *worker, f frame) {
	if g := w.grains[f.at]; f.running {
		if g.in[k]--; g.in[k] == 0 {
			delete(g.in, k)
		}
		if !f.shared {
			g.alone--
		}
	}
}

func (w *world) leave(k *worker) {
	f := k.stack[len(k.stack)-1]
	k.stack = k.stack[:len(k.stack)-1]
	w.gone(k, f)
	if f.running {
		w.signals(f.at, w.grains[f.at].Leave(f.call))
	} else {
		w.signals(f.at, w.grains[f.at].Cancel(f.call))
	}
}

// finish submits: first locks and turns count no more, then the calls end.
func (w *world) finish(k *worker) {
	if !k.plain {
		for at := range w.grains {
			w.release(k, at)
		}
		if k.home >= 0 {
			w.grains[k.home].CloseBlock(k.stack[0].call)
		}
	}
	k.next = len(k.visits)
	for len(k.stack) > 0 {
		w.leave(k)
	}
	k.done = true
}

func (w *world) release(k *worker, at int) {
	if k.seen[at] {
		if g := w.grains[at]; g.owner == k {
			g.owner = nil
		}
		w.signals(at, w.grains[at].Release(k.by.Attempt))
	}
}

// abort undoes a wounded attempt in an order of chance, yields the opener's turn and begins anew.
func (w *world) abort(k *worker) {
	base := 0
	if k.home >= 0 && k.frame(k.stack[0].call).running {
		base = 1
	}
	leave := func() {
		for len(k.stack) > base {
			w.leave(k)
		}
	}
	if w.choose(2) == 0 {
		leave()
	}
	for at := range w.grains {
		w.release(k, at)
	}
	leave()
	if g := w.grains[w.choose(len(w.grains))]; k.seen[0] && g == w.grains[0] { // a straggler
		w.calls++
		granted, out := g.Arrive(w.calls, k.by, 0)
		if granted || len(out) != 1 || out[0] != refused(w.calls) {
			w.failf("a straggler of %v was let in", k.by.Attempt)
		}
	}
	k.by.Attempt.N++
	k.next, k.waiting, k.wounded = 0, 0, false
	if base == 1 {
		f := &k.stack[0]
		f.locked = false
		w.gone(k, *f)
		f.running = false
		k.yielded, k.waiting = true, f.call
		granted, out := w.grains[f.at].Yield(f.call, k.by)
		w.signals(f.at, out)
		if granted {
			k.yielded, k.waiting = false, 0
			w.entered(k, f.call)
		}
	}
}

func (w *world) signals(at int, out []Signal) {
	for _, s := range append([]Signal(nil), out...) {
		switch s.Kind {
		case Wound:
			w.wound(s.Attempt)
		case Grant:
			for _, k := range w.workers {
				if k.waiting != s.Call {
					continue
				}
				k.waiting, k.yielded = 0, false
				if f := k.frame(s.Call); !f.running {
					w.entered(k, s.Call)
				} else {
					w.locked(k, f)
				}
			}
		case Refuse:
			for _, k := range w.workers {
				if k.waiting == s.Call && !k.wounded && !k.done {
					w.failf("%s was refused at grain %d", k.name, at)
				}
			}
		}
	}
}

func (w *world) wound(a Attempt) {
	oldest := true
	for _, k := range w.workers {
		if !k.plain && !k.done && k.by.Attempt.ID.Client < a.ID.Client {
			oldest = false
		}
	}
	for _, k := range w.workers {
		if k.by.Attempt == a && !k.done {
			if oldest {
				w.failf("%s was wounded, and is the oldest", k.name)
			}
			k.wounded, k.wounds = true, k.wounds+1
		}
	}
}

func sound(*Turnstile) {}

func TestRandomSchedulesOfTurnsAndLocks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		r := rand.New(rand.NewPCG(seed, 2))
		require.NoError(t, newWorld(r.IntN, sound).run())
	})
	wounds := 0
	for seed := range uint64(300) {
		w := newWorld(rand.New(rand.NewPCG(seed, 3)).IntN, sound)
		require.NoError(t, w.run(), "seed %d", seed)
		for _, k := range w.workers {
			wounds += k.wounds
		}
	}
	require.Greater(t, wounds, 100, "the schedules have no contention")
}

// Where turns do not count as held, some schedule never ends: the test above would see it.
func TestRandomSchedulesSeeTurnsThatDoNotCount(t *testing.T) {
	t.Parallel()
	deadlocks := 0
	for seed := range uint64(300) {
		if err := newWorld(rand.New(rand.NewPCG(seed, 3)).IntN, func(t *Turnstile) { t.blindToTurns = true }).run(); err != nil {
			require.ErrorContains(t, err, "deadlock")
			deadlocks++
		}
	}
	require.Positive(t, deadlocks)
}

// Where calls that share a turn keep nobody from it, another runs beside them: the test above would see it.
func TestRandomSchedulesSeeReadersThatDoNotCount(t *testing.T) {
	t.Parallel()
	beside := 0
	for seed := range uint64(300) {
		if err := newWorld(rand.New(rand.NewPCG(seed, 3)).IntN, func(t *Turnstile) { t.blindToReaders = true }).run(); err != nil {
			require.ErrorContains(t, err, "beside another")
			beside++
		}
	}
	require.Positive(t, beside)
}
