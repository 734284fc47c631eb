package crdt

import "fmt"

// equalsItself says whether v is equal to itself, which NaN and what holds one is not.
func equalsItself[K comparable](v K) bool {
	w := v
	return v == w
}

// mustEqualItself refuses keys that nobody would find again: each join would take one for a new key.
func mustEqualItself[K comparable](k K) {
	if !equalsItself(k) {
		panic(fmt.Sprintf("crdt: %v is not equal to itself, so nobody would find it again: take keys and elements that are, no NaN", k))
	}
}

// checkKey fails when a decoded key or element is not equal to itself.
func checkKey[K comparable](r *reader, k K) {
	if r.err == nil && !equalsItself(k) {
		r.fail("%v is not equal to itself", k)
	}
}
