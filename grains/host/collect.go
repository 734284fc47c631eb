package host

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// A host may have a million idle activations. So what looks for those that may go looks at a few of the table
// at a time, copies no more than those, and lets others run in between; those whose grains want to be told end
// on a few goroutines, and the others on the one that has found them.

// chunk is how many activations are looked at, at a time.
const chunk = 128

// deactivators is how many idle grains are told of their end at one time.
const deactivators = 32

// leaver is a grain that is told of its end.
type leaver interface {
	OnDeactivate(context.Context) error
}

// each calls f with every activation that is in the table all the while, with some of the others, and with some
// twice, until f returns false. Nothing is locked while f runs.
func (h *Host) each(f func(*activation) bool) {
	var some [chunk]*activation
	looked, since := 0, time.Now()
	for i := range h.shards {
		s := &h.shards[i]
		// From the end, because what goes is replaced by the last.
		for end := math.MaxInt; end > 0; {
			s.mu.Lock()
			end = min(end, len(s.row))
			begin := max(0, end-chunk)
			n := copy(some[:], s.row[begin:end])
			s.mu.Unlock()
			end = begin
			for _, a := range some[:n] {
				if !f(a) {
					return
				}
			}
			if looked += n; looked >= chunk {
				// While there is always something that can run, Go looks at its connections every ten
				// milliseconds only: so this takes half of the time, and calls find a processor that waits.
				time.Sleep(min(time.Since(since), time.Millisecond))
				looked, since = 0, time.Now()
			}
		}
	}
}

// idleAfter is how long a grain of the kind stays without calls.
func (h *Host) idleAfter(kind *wire.GrainKind) time.Duration {
	if kind.IdleAfter > 0 {
		return kind.IdleAfter
	}
	return h.IdleAfter
}

// collectEvery is how often idle grains are looked for.
func (h *Host) collectEvery() time.Duration {
	shortest := h.IdleAfter
	for _, k := range h.Kinds {
		if g := k.Grain(); g != nil {
			shortest = min(shortest, h.idleAfter(g))
		}
	}
	return max(shortest/4, 10*time.Millisecond)
}

// now is the time by which idle times are measured.
func (h *Host) now() time.Duration { return h.Now() }

// collect deactivates what has been idle for long, and, where memory is short, what has been idle the longest.
func (h *Host) collect(every time.Duration) {
	idle := time.NewTicker(every)
	defer idle.Stop()
	var short <-chan time.Time
	if h.MemoryLimit > 0 {
		t := time.NewTicker(memoryEvery)
		defer t.Stop()
		short = t.C
	}
	for {
		select {
		case <-h.done:
			return
		case <-idle.C:
			h.collectIdle()
		case <-short:
			h.relieve(liveHeap())
		}
	}
}

func (h *Host) collectIdle() {
	now := h.now()
	h.each(func(a *activation) bool {
		if since := now - h.idleAfter(a.kind); a.idleFor(now) >= now-since && h.retire(a, since, "idle") {
			h.load.idle.Add(1)
		}
		return !h.draining.Load()
	})
}

// retire deactivates an activation if nothing has run there since that time, nor waits, nor is held, nor is to
// be kept. It waits until few enough others are being told of their end.
func (h *Host) retire(a *activation, since time.Duration, why string) bool {
	if !a.isLeaver() {
		if !a.endIfIdle(since) {
			return false
		}
		if a.claim() {
			h.logDeactivated(a, why)
			a.endStreams()
			h.forget(a)
			a.vanish()
		}
		return true
	}
	select {
	case h.deactivating <- struct{}{}: // first: who calls an activation that has ended waits until it is gone
	case <-h.done:
		return false
	}
	if !a.endIfIdle(since) {
		<-h.deactivating
		return false
	}
	h.leaving.Go(func() {
		defer func() { <-h.deactivating }()
		if err := a.stop(h.life, ending{why: why}); err != nil {
			h.Logger.Warn("deactivation", slog.String("grain", a.id().String()), slog.Any("error", err))
		}
	})
	return true
}

func (h *Host) logDeactivated(a *activation, why string) {
	if h.Logger.Enabled(h.life, slog.LevelDebug) { // the text of its name is not free
		h.Logger.Debug("deactivated", slog.String("grain", a.id().String()), slog.String("why", why))
	}
}

// idleFor is how long nothing has run there; negative where it is busy, ends, or is to be kept.
func (a *activation) idleFor(now time.Duration) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended || a.keep > now || a.work != nil && (a.yielded > 0 || !a.turnstile.Idle() || a.streaming()) {
		return -1
	}
	return now - a.used
}

// isLeaver says whether the grain is told of its end.
func (a *activation) isLeaver() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, told := a.impl.(leaver)
	return told && !a.dropped
}

// endIfIdle ends the activation if nothing has run since that time, nor waits, nor is held, nor is it to be
// kept.
func (a *activation) endIfIdle(since time.Duration) bool {
	now := a.host.now()
	a.wake()
	defer a.rest()
	if a.ended || a.yielded > 0 || a.used > since || a.keep > now || !a.turnstile.Idle() || a.streaming() {
		return false
	}
	_ = a.end() // nobody waits
	return true
}

// claim says whether the caller is the one who stops the activation.
func (a *activation) claim() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := !a.stopping
	a.stopping = true
	return first
}

// vanish says that another activation may take the place of this one.
func (a *activation) vanish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.vanished = true
	if a.parting != nil {
		close(a.parting.gone)
	}
}

// Deactivate implements wire.Activation: the activation ends when the turns that run have left.
func (a *activation) Deactivate() {
	a.wake()
	again := a.ended
	wounds := a.end()
	a.rest()
	a.act(wounds)
	if !again {
		a.host.load.requested.Add(1)
		a.host.leave(a, "it asked for it")
	}
}

// KeepAlive implements wire.Activation.
func (a *activation) KeepAlive(d time.Duration) {
	now := a.host.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keep = 0
	if d > 0 {
		a.keep = now + min(d, math.MaxInt64-now)
	}
}
