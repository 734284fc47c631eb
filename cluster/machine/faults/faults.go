// Package faults switches safety checks off, in whole programs, to prove that somebody notices. The tests
// of a package have switches of their own; these are for silos that run as processes of their own, which
// only the program chaos starts in this way. Engines ask it, and nothing else in this module may import it: a
// test of the house sees to that. It is not for other programs, and Set refuses them: it asks for Variable in
// the environment.
package faults

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"
)

// Fault names a check that is switched off.
type Fault string

// The faults.
const (
	None      Fault = ""
	Lease     Fault = "lease"     // turns begin, go on and reply without a lease
	Epoch     Fault = "epoch"     // tokens that are older than the newest that was seen are let in
	Ownership Fault = "ownership" // a silo runs calls of grains that it does not own
	Wait      Fault = "wait"      // a silo is removed before its lease must have run out
	Reads     Fault = "reads"     // what a block has only read in its opener's turn is not validated
	Outcome   Fault = "outcome"   // a block that is asked about is called aborted, without logging that
)

// All lists the faults.
var All = []Fault{Lease, Epoch, Ownership, Wait, Reads, Outcome}

var on atomic.Value // Fault

// Variable is the environment variable that must say Consent where a check is to be switched off.
const (
	Variable = "MARTINELLI_FAULTS"
	Consent  = "data may be lost"
)

// Set switches a check off for the rest of the process's life, None none. Silos and clients that have been
// started before may go on with it.
func Set(f Fault) error {
	if f != None && os.Getenv(Variable) != Consent {
		return fmt.Errorf("fault %q: it makes a silo lose data: set %s to %q in the environment of a program that looks for that", f, Variable, Consent)
	}
	if f != None && !slices.Contains(All, f) {
		return fmt.Errorf("no fault %q: there are %v", f, All)
	}
	on.Store(f)
	return nil
}

// Is reports whether a check is switched off.
func Is(f Fault) bool { return f != None && on.Load() == any(f) }
