// Package cluster is how nodes reach each other: silos among themselves, and clients that are no silos.
// It knows views (package view) and messages (package actor), and of an atomic block only what travels
// with its calls.
//
// [Connect] makes a client: a place from which grains are called, variables read and written, and atomic
// blocks begun, by a process that hosts none of them.
package cluster
