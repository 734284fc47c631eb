//go:build !linux

package silo

import "time"

// bootTime: there is no such clock here; a machine that is suspended keeps its leases for as long as it is.
func bootTime() (time.Duration, bool) { return 0, false }
