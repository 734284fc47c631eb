// Package dataflow is derived state: graphs of incremental operators over variables, views of what they
// put out, and processes that compute what operators cannot.
//
//	var Likes = flow.CountBy("likes", flow.Each(Favorites), func(e flow.Entry[UserID, WineID]) WineID { return e.Value })
//
//	likes, err := dataflow.On(c, Likes).All(ctx)
//
// Graphs are declared with package flow. Each operator is a grain, placed by the hash of its name; a
// change of a variable travels through it as the difference that it makes. When an operator's silo dies
// the operator begins again elsewhere, from the variables, and its readers are told the difference.
//
// # Views
//
// A silo or client that reads an operator's output keeps a copy of it, which follows; reads are local
// after the first. A view is as new as the messages between the operators are fast: its frontier says
// how far it has come.
//
// # Processes
//
// A process is a function that reads variables and views, and writes variables. It runs on one silo at a
// time, again whenever something that it read has changed: at once for a variable, in rounds for a view.
// It writes by difference to what it wrote last.
package dataflow
