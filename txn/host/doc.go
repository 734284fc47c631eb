// Package host coordinates atomic blocks: it runs a block's function, gathers what its participants did,
// submits the one entry that decides, and tells the participants. Silos and clients run one Coordinator
// each.
//
// It is exported for silos, with no compatibility promise.
//
// The rules are package commit's; this package gives them goroutines, clocks and messages. A block that
// is submitted belongs to a goroutine of its own until its outcome is known, whatever becomes of the
// caller: its participants are always told.
package host
