package main

import (
	"github.com/martinelli-go/martinelli/cluster/machine/faults"
)

var scenarios = map[faults.Fault]*phase{}

func scenarioName(f faults.Fault) string { return "without-" + string(f) }

func scenarioPhases() []phase { return nil }
