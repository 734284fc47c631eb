// Package wire is what generated code and hosts share: identities, codecs, the sealed interfaces Place
// and Caller, and the tables ([]Kind) by which a package tells a silo what it can host.
//
// It is exported for generated code and for silos, with no compatibility promise; applications use
// packages grains, variable, dataflow and txn instead.
//
// The way of a call: a stub makes a [call] out of its arguments and hands it to the Engine of the place
// that it was got from. An engine that hosts the grain runs the call where it is, on clones of what is
// mutable; any other encodes it, sends it to the owner, and decodes the reply. Neither reflects. A one-way call
// (Send) is one whose Traits say so. A stream (StreamMethod) is made of several; the grain's side of it (source.go)
// is kept by its activation, and runs in the turns of those calls.
package wire
