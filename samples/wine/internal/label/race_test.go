//go:build race

package label_test

// race says that the detector is on, which makes loops ten times slower: the
// figures are then taken from a sample, and their bars are left to the plain run.
const race = true
