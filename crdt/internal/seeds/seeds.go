// Package seeds gives random histories their seeds, so that one number, rapid's, repeats a whole run: the
// flag -rapid.seed, or RAPID_SEED in the environment. Without it each run is another.
package seeds

import (
	"flag"
	"iter"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
)

// Of yields n seeds, a tenth of them under -short and in WebAssembly, which is slow. When t fails it says
// how to run it again.
func Of(t testing.TB, n int) iter.Seq[uint64] {
	t.Helper()
	if testing.Short() || runtime.GOARCH == "wasm" {
		n = max(1, n/10)
	}
	return UpTo(t, n)
}

// UpTo yields n seeds, for what stops at the first that serves.
func UpTo(t testing.TB, n int) iter.Seq[uint64] {
	t.Helper()
	base := base()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("run it again with -rapid.seed=%d", base)
		}
	})
	return func(yield func(uint64) bool) {
		r := rand.New(rand.NewPCG(base, 0))
		for range n {
			if !yield(r.Uint64()) {
				return
			}
		}
	}
}

func base() uint64 {
	if f := flag.Lookup("rapid.seed"); f != nil {
		if given, err := strconv.ParseUint(f.Value.String(), 10, 64); err == nil && given != 0 {
			return given
		}
	}
	return rand.Uint64()
}
