// Package walk recommends wines by a signed random walk with restart over the
// graph of wines that people like together.
//
// # Input
//
// The graph is built from two counts that a dataflow view keeps up to date:
// how many users like each wine, and how many users like both wines of a pair.
// Nothing else about the users is needed, so the graph of a view's version is
// built once and shared by everyone whose recommendations are computed from it.
// A [Graph] is read-only and may be used from any number of goroutines.
//
// # The iteration
//
// Wines a and b are joined with the cosine weight
// S(a,b) = together(a,b) / sqrt(likes(a)·likes(b)), which keeps a wine that
// everybody likes from being everybody's neighbour. Let f be 1 at the user's
// favourites and 0 elsewhere, and P = S divided by its largest row sum, so that
// no vector grows under P. The walk starts at x = f and takes a few steps
//
//	x ← (1−ω)·x + ω·(f − μ·P·x)
//
// each of which mixes the restart at the favourites with what comes back over
// the edges; the scores are S·x. The sign is what makes it differ from the
// usual walk: mass that comes back from a crowd of mutually similar favourites
// is taken off, so that ten bottles of one style do not count as ten
// independent opinions. In the limit x solves (I + μP)x = f, which is kernel
// ridge regression with the kernel P; the steps are Richardson's iteration for it.
//
// # Determinism
//
// The same counts and the same favourites give the same floats bit for bit,
// whatever the order in which maps, pairs or favourites were delivered: wines
// are numbered by sorted id, sums run in that order, and products are rounded
// before they are added, so that no compiler fuses them. Equal scores are
// ordered by likes, then by id. A silo that recomputes the recommendations from
// the same view therefore gets the same list.
package walk
