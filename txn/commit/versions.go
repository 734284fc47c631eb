package commit

// Versions is what one activation knows of one state's current version, with locks released when an
// attempt is submitted and not only when it is decided: a successor names the version that its
// predecessor would make, and fails with it. The zero Versions knows nothing. Not safe for concurrent
// use. The host keeps one value beside it: that of Current.
type Versions struct {
	known   bool
	current Attempt
	open    []Attempt // submitted and undecided, each built upon the one before; the last is current
}

// Current is the version that a read names, which may be tentative. Where it is not known, the state
// must be loaded from the ledger first, by a read that is current, and Loaded called.
func (v *Versions) Current() (version Attempt, known bool) { return v.current, v.known }

// Tentative says whether the current version still waits for its decision: who reads it fails with it.
func (v *Versions) Tentative() bool { return len(v.open) > 0 }

// Loaded installs what the ledger had. It returns true where the host shall keep the value that came
// with it; false where something newer was known already, and the value is dropped.
func (v *Versions) Loaded(version Attempt) (keep bool) {
	if v.known {
		return false
	}
	v.known, v.current, v.open = true, version, v.open[:0]
	return true
}

// Submitted installs the version that a made upon the current one; the host replaces the value that it
// keeps by a's. A's own coordinator must have said so: from here on a changes the state no more, or one
// name would stand for two values. It returns false, and the host keeps none, where the current version is not known any
// more: the attempt read something that has turned out stale, and will fail.
func (v *Versions) Submitted(a Attempt) (keep bool) {
	if !v.known {
		return false
	}
	v.current = a
	v.open = append(v.open, a)
	return true
}

// Finished tells the outcome of an attempt that read or wrote this state. Stale says that the ledger
// named this state among those that had changed. It returns false where the host's value is to be
// dropped, because it is or builds upon a version that will never be: the state must be loaded again.
func (v *Versions) Finished(a Attempt, committed, stale bool) (keep bool) {
	if !v.known {
		return false
	}
	at := -1
	for i, o := range v.open {
		if o == a {
			at = i
		}
	}
	switch {
	case committed && at >= 0: // and so are those that it was built upon
		v.open = append(v.open[:0], v.open[at+1:]...)
	case !committed && (at >= 0 || stale):
		v.Unknown()
	}
	return v.known
}

// Unknown forgets everything, as when a load or a fence has shown that another activation was at work.
func (v *Versions) Unknown() { v.known, v.current, v.open = false, Attempt{}, v.open[:0] }
