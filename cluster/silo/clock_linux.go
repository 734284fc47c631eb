package silo

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootTime counts the time in which the machine was suspended, as leases need it.
func bootTime() (time.Duration, bool) {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}
