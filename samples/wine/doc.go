// Package wine is a shop that recommends wines: grains for its customers and cellars, variables for what
// they like, what is recommended to them and what they have bought, a dataflow for which wines are liked
// together, and a process that recommends. The command cmd/wine runs it on three silos, kills one, and
// checks every figure against a recomputation.
//
// The three classes of state, and who keeps what:
//
//	convergent     Favorites, Recs, Orders; the views Likes and Together, derived from Favorites
//	exclusive      User and Cellar, which answer one call at a time
//	transactional  a user's wallet and a cellar's shelf, changed in atomic blocks together with Recs and
//	               Orders
//
// The way of a rating: User.Rate adds to Favorites; the change travels through Likes and Together; the
// process recommend runs again, for that user at once and for the others in the next round, and writes
// Recs.
//
// The way of a purchase: one atomic block takes the wine off the buyer's recommendations, a bottle from
// the cellar and its price from the wallet, and writes the order; all of it happens, or nothing.
package wine
