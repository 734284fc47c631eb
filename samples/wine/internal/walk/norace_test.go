//go:build !race

package walk_test

const race = false
