package silo

import "time"

// leaseClock is the clock that leases are measured on. Silos in memory are in one process, and may be in a
// test that has a time of its own: they take the process's.
func leaseClock(inMemory bool) func() time.Duration {
	start := time.Now()
	if begin, ok := bootTime(); ok && !inMemory {
		return func() time.Duration {
			if now, ok := bootTime(); ok {
				return now - begin
			}
			return time.Since(start)
		}
	}
	return func() time.Duration { return time.Since(start) }
}
