package flow

import "iter"

// Feed turns what the replicas of one variable, or of one family, learn into weighted elements: +1 when
// a dot that supports an element is born, -1 when it dies, each exactly once however often a delta is
// delivered. Its batches are what a source's operator applies. Package variable implements it.
//
// A feed is used by one goroutine at a time.
type Feed interface {
	// Join takes a delta of the variable at key (empty for one that is no family) and returns the
	// change, nil when the delta brought nothing new. After an error nothing has changed.
	Join(key string, delta []byte) (batch []byte, err error)
	// Snapshot returns everything that is held as batches of at most about limit bytes.
	Snapshot(limit int) iter.Seq[[]byte]
}
