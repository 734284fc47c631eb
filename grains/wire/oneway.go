package wire

// OneWayCounts is what became of one-way calls at a node, since it began. A call that another silo has answered
// for counts as delivered here, and as what it came to there.
type OneWayCounts struct {
	// Pending are on their way, or wait for their turns here.
	Pending int
	// Delivered have run here, or were taken in by the silo that has the grain.
	Delivered uint64
	// Failed have run here, and the method returned an error or panicked.
	Failed uint64
	// Undelivered did not run; their time was over, or nothing could run them.
	Undelivered uint64
	// Unknown may have run.
	Unknown uint64
	// Refused were not begun, because too much was on its way; their callers were told so.
	Refused uint64
}
