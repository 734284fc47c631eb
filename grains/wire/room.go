package wire

import "sync/atomic"

// StreamRoom is what the open streams of a silo may take together: each counts for a full batch and its arguments.
// Its methods may be called from any goroutine; of a nil room there is always enough.
type StreamRoom struct {
	// Bytes is the most. It does not change once the room is used.
	Bytes int64

	taken atomic.Int64
}

// take says whether there was room for n bytes, which are taken until give.
func (r *StreamRoom) take(n int64) bool {
	if r == nil {
		return true
	}
	if r.taken.Add(n) > r.Bytes {
		r.taken.Add(-n)
		return false
	}
	return true
}

func (r *StreamRoom) give(n int64) {
	if r != nil {
		r.taken.Add(-n)
	}
}

// plenty says whether half of the room is free.
func (r *StreamRoom) plenty() bool { return r == nil || r.taken.Load() <= r.Bytes/2 }

// Taken is how many bytes are taken.
func (r *StreamRoom) Taken() int64 { return r.taken.Load() }
