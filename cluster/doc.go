// Package cluster is for processes that are no silos: [Connect] makes a client, a place from which grains
// are called, variables read and written, views followed and atomic blocks begun.
//
//	c, err := cluster.Connect(ctx, cluster.Config{Silos: "10.0.0.1:7000,10.0.0.2:7000", Grains: wine.Shared()})
//	order, err := wine.GetUser(c, "alice").Purchase(ctx, "100062")
//
// A client keeps a copy of the newest view and calls the owner of a grain directly. It coordinates the
// atomic blocks that are begun on it. [Inspect] takes no part in the cluster: it tells how it is.
package cluster
