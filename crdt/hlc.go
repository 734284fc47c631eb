package crdt

import (
	"fmt"
	"math"
	"time"
)

// DefaultMaxDrift suits clocks that are kept by NTP.
const DefaultMaxDrift = time.Second

// HLC makes timestamps for last-writer-wins types: hybrid-logical nanoseconds since 1970, which are the
// clock's where it moves forward and one above the last where it does not, so that a write wins over all
// that its writer has seen. See "Logical Physical Clocks" (Kulkarni, Demirbas, Madappa, Avva, Leone, OPODIS
// 2014); its counter is folded into the nanoseconds.
//
// An HLC reads no clock: wall is passed in, nanoseconds since 1970. A timestamp that is more than MaxDrift
// ahead of wall is refused with *ClockDrift, whoever made it: one such write, taken in, would win over
// everybody for as long as its clock was ahead, and drag every other HLC along.
//
// What an HLC handed out must be above what it handed out before a restart: keep it by Append, or restart
// with Last set to the largest timestamp in the state. The zero HLC is ready for use. Not safe for
// concurrent use. Everything costs O(1).
type HLC struct {
	// MaxDrift is how far a timestamp may be ahead of wall; DefaultMaxDrift unless above zero. It should be
	// well above how far honest clocks are apart, and above their resolution, and far below what a wrong
	// write may win for.
	MaxDrift time.Duration
	// Last is the largest timestamp that was made or observed; 0 at first, so that there is none before 1970.
	Last int64
}

// ClockDrift says that a timestamp is too far ahead of the clock.
type ClockDrift struct {
	// Timestamp is the one refused and Wall the clock it was held against, in nanoseconds since 1970.
	Timestamp, Wall int64
	// MaxDrift is what was allowed.
	MaxDrift time.Duration
	// Local says that the timestamp is one that this HLC would have had to make, because its own clock went
	// back; else it came from another.
	Local bool
}

// Error says whose clock is wrong, by how much, and what to do.
func (e *ClockDrift) Error() string {
	ahead := time.Duration(math.MaxInt64)
	if e.Wall >= 0 || e.Timestamp <= math.MaxInt64+e.Wall {
		ahead = time.Duration(e.Timestamp - e.Wall)
	}
	if e.Local {
		return fmt.Sprintf("crdt: this clock is %v behind timestamps that were made or taken in before, allowed are %v: set the clock",
			ahead, e.MaxDrift)
	}
	return fmt.Sprintf("crdt: timestamp %d is %v ahead of this clock, allowed are %v: set the clock that made it, or this one",
		e.Timestamp, ahead, e.MaxDrift)
}

// Check returns *ClockDrift when ts is more than MaxDrift ahead of wall. It changes nothing. Whoever takes
// in a state checks its largest timestamp first, and does not take it in when this fails.
func (c *HLC) Check(wall, ts int64) error {
	if c.within(wall, ts) {
		return nil
	}
	return &ClockDrift{Timestamp: ts, Wall: wall, MaxDrift: c.drift()}
}

func (c *HLC) drift() time.Duration {
	if c.MaxDrift > 0 {
		return c.MaxDrift
	}
	return DefaultMaxDrift
}

func (c *HLC) within(wall, ts int64) bool {
	drift := int64(c.drift())
	return wall > math.MaxInt64-drift || ts <= wall+drift
}

// Now returns a timestamp for a write: the later of wall and Last + 1. When that is more than MaxDrift ahead
// of wall, because the clock went back, it returns *ClockDrift and changes nothing; what to do is to wait
// for the clock or to set it.
func (c *HLC) Now(wall int64) (int64, error) {
	ts := nextStamp(wall, c.Last)
	if !c.within(wall, ts) || ts == c.Last {
		return 0, &ClockDrift{Timestamp: ts, Wall: wall, MaxDrift: c.drift(), Local: true}
	}
	c.Last = ts
	return ts, nil
}

// Observe takes note of a timestamp from elsewhere, so that later writes win over it. It returns *ClockDrift
// and changes nothing when Check does.
func (c *HLC) Observe(wall, ts int64) error {
	if err := c.Check(wall, ts); err != nil {
		return err
	}
	c.Last = max(c.Last, ts)
	return nil
}

// Append appends the encoding of Last, message HLC of crdt.proto; MaxDrift is configuration and is not part
// of it.
func (c *HLC) Append(b []byte) []byte { return appendUint(appendVersion(b), 2, zigzag(c.Last)) }

// DecodeHLC reads a clock that fills b, without MaxDrift. Other bytes give a *DecodeError.
func DecodeHLC(b []byte) (HLC, error) {
	var c HLC
	r := reader{message: "HLC", b: b}
	r.version()
	for r.next() {
		if r.num != 2 {
			r.unknown()
			break
		}
		c.Last = unzigzag(r.uint())
	}
	if err := r.finish(); err != nil {
		return HLC{}, err
	}
	return c, nil
}
