package commit

// Running says whether any call has the turn.
func (t *Turnstile) Running() bool { return !t.turn.free() }
