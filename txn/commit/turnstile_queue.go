package commit

import "slices"

func (t *Turnstile) emit(s Signal) []Signal {
	t.out = append(t.out, s)
	return t.out
}

// settle hands on what has become free and wounds for who still waits.
func (t *Turnstile) settle() []Signal {
	if t.lock.IsPlain() && len(t.inside) > 0 {
		t.grantLock()
	}
	t.admit()
	return t.woundForWaiters()
}

func (t *Turnstile) grantLock() {
	by := t.inside[0].by
	t.lock, t.lockHit = by, t.turn.hit && t.turn.holder.Attempt == by.Attempt
	rest := t.inside[:0]
	for _, w := range t.inside {
		if w.by.Attempt == by.Attempt {
			t.emit(Signal{Kind: Grant, Call: w.call})
		} else {
			rest = append(rest, w)
		}
	}
	t.inside = rest
}

// admit fills a free turn from the queue: the first slot that anyone can take decides between a plain
// call and a block, and a block's slot goes to the oldest block that can run. Calls that only read and
// follow each other are let in together.
func (t *Turnstile) admit() {
	for t.turn.free() && len(t.queue) > 0 {
		i := t.pick()
		if i < 0 {
			return
		}
		w := t.queue[i]
		share := w.shared && !t.cold
		if !share && !t.vacant() {
			return
		}
		t.unqueue(i)
		switch {
		case share:
			t.readers = append(t.readers, w.call)
		case w.back != nil:
			t.turn = *w.back
		default:
			t.turn = turn{nested: t.turn.nested[:0]}
			t.enter(w.call, w.by)
			t.turn.shared = w.shared
		}
		t.emit(Signal{Kind: Grant, Call: w.call})
	}
}

// pick is the place of who has the turn next, were it free; -1: nobody who waits can have it.
func (t *Turnstile) pick() int {
	pick := -1
	for i := range t.queue {
		w := &t.queue[i]
		if !t.fits(w.by) {
			continue
		}
		if w.by.IsPlain() {
			if pick < 0 {
				return i
			}
			continue
		}
		if pick < 0 || w.by.before(t.queue[pick].by) {
			pick = i
		}
	}
	return pick
}

// push adds a waiter. Those that have left have made room at the beginning, which is used again.
func (t *Turnstile) push(w waiter) {
	if len(t.queue) == 0 {
		t.queue = t.room[:0]
	} else if len(t.queue) == cap(t.queue) && cap(t.room) >= 2*len(t.queue) {
		n := copy(t.room[:cap(t.room)], t.queue)
		clear(t.queue)
		t.queue = t.room[:n]
	}
	if len(t.queue) < cap(t.queue) {
		t.queue = append(t.queue, w)
		return
	}
	t.queue = append(t.queue, w)
	t.room = t.queue[:0]
}

// unqueue takes a waiter out. The slot that it leaves is the first block's slot before it, not its
// own: the blocks that it overtook each move back by one.
func (t *Turnstile) unqueue(pick int) {
	w := t.queue[pick]
	if !w.by.IsPlain() {
		for i := pick - 1; i >= 0; i-- {
			if !t.queue[i].by.IsPlain() && t.fits(t.queue[i].by) {
				t.queue[pick], t.queue[i] = t.queue[i], t.queue[pick]
				pick = i
			}
		}
	}
	copy(t.queue[1:pick+1], t.queue[:pick]) // most often there is nobody before
	t.queue[0] = waiter{}
	t.queue = t.queue[1:]
}

// woundForWaiters wounds a holder that an older block waits for, once.
func (t *Turnstile) woundForWaiters() []Signal {
	for i := range t.queue {
		t.woundFor(t.queue[i].by, true)
	}
	for i := range t.inside {
		t.woundFor(t.inside[i].by, false)
	}
	return t.out
}

func (t *Turnstile) woundFor(by Holder, needsTurn bool) {
	if by.IsPlain() {
		return
	}
	hitLock := !t.lock.IsPlain() && by.before(t.lock)
	hitTurn := needsTurn && !t.blindToTurns && !t.turn.free() && !t.turn.holder.IsPlain() && by.before(t.turn.holder)
	same := t.lock.Attempt == t.turn.holder.Attempt
	if hitLock && !t.lockHit {
		t.lockHit = true
		if !(same && t.turn.hit) {
			t.emit(Signal{Kind: Wound, Attempt: t.lock.Attempt})
		}
	}
	if hitTurn && !t.turn.hit {
		t.turn.hit = true
		if !(same && t.lockHit) {
			t.emit(Signal{Kind: Wound, Attempt: t.turn.holder.Attempt})
		}
	}
}

// refuse turns away all waiters of holders that match.
func (t *Turnstile) refuse(match func(Holder) bool) {
	rest := t.queue[:0]
	for _, w := range t.queue {
		switch {
		case !match(w.by):
			rest = append(rest, w)
		default:
			t.emit(Signal{Kind: Refuse, Call: w.call})
		}
	}
	clear(t.queue[len(rest):])
	t.queue = rest
	in := t.inside[:0]
	for _, w := range t.inside {
		if match(w.by) {
			t.emit(Signal{Kind: Refuse, Call: w.call})
		} else {
			in = append(in, w)
		}
	}
	t.inside = in
}

// dropQueued forgets a call that waits for the turn; in a yielded one it is one of several.
func (t *Turnstile) dropQueued(call CallID) {
	rest := t.queue[:0]
	for _, w := range t.queue {
		if w.back == nil && w.call == call {
			continue
		}
		if w.back != nil && w.back.has(call) {
			w.back.remove(call)
			if w.back.free() {
				continue
			}
			if w.call == call { // the others still need the turn back
				w.by = Holder{}
			}
		}
		rest = append(rest, w)
	}
	clear(t.queue[len(rest):])
	t.queue = rest
}

// dropInside forgets a call that waits for the lock.
func (t *Turnstile) dropInside(call CallID) {
	t.inside = slices.DeleteFunc(t.inside, func(w lockWaiter) bool { return w.call == call })
}

func (t *Turnstile) end(a Attempt) {
	if t.isEnded(a) {
		return
	}
	if len(t.ended) < endedRing {
		t.ended = append(t.ended, a)
		return
	}
	t.ended[t.endedAt] = a
	t.endedAt = (t.endedAt + 1) % endedRing
}

// supersede notes that the attempts before by's are over. Those that wait are refused: an earlier one
// must not wait for a later one, because they may differ in age when their ID was taken over. What one
// holds stays its own until its Release, and can be wounded.
func (t *Turnstile) supersede(by Holder) {
	before := by.Attempt
	if before.N < 2 {
		return
	}
	before.N--
	if t.isEnded(before) {
		return
	}
	t.end(before)
	t.refuse(func(o Holder) bool { return o.Attempt.ID == before.ID && o.Attempt.N <= before.N })
}

// isEnded also covers the attempts before one that was released, because a block's attempts come in
// order, and all of a client that was dropped, which is kept with sequence 0.
func (t *Turnstile) isEnded(a Attempt) bool {
	for _, e := range t.ended {
		if e.ID == a.ID && a.N <= e.N || e.ID == (ID{Client: a.ID.Client}) {
			return true
		}
	}
	return false
}
