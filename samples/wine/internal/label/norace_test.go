//go:build !race

package label_test

const race = false
