// Package integration holds what concerns the whole house: the rules of who may import whom, tests of
// real processes, and the measurements against others.
package integration
