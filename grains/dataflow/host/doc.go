// Package host is what a silo runs for dataflow: the ingresses of sources, operators, the copies of
// outputs that readers follow, and processes. It is meant for silos and clients; there is no promise of
// compatibility. It has no network of its own (Transport) and keeps no variables (Variables).
//
// # Stations
//
// Each node of the graph that somebody needs runs at one silo, the owner of its name in the view: that is
// its station. A source's station, its ingress, follows all variables of its kind and numbers what they
// learn; any other's follows its inputs. What a station's output changes by is one change, numbered in a
// sequence of the station's run. A station begins when the first subscriber asks for it and ends some time
// after the last has left, or when a view gives its name to another silo.
//
// # Subscriptions
//
// A subscriber (a link) asks for a snapshot, and is sent each change after it as notifications, which
// may be lost: each says from which number of the sequence to which it leads. The subscriber applies it
// only when it holds the former (receiver); it drops what it has, and asks for a snapshot when something
// is missing. Heartbeats show that the last message was lost. A sender keeps nothing for one subscriber: who
// misses a change is answered with the last changes, which are kept within a bound for all, and who is too
// slow for that fetches a snapshot at its own speed, page by page.
//
// After a snapshot an operator compares: what it sends on is the difference. So a restart anywhere is a
// change for whoever is behind it, and what was computed stays readable meanwhile.
//
// # Processes
//
// The scheduler runs processes for the keys that this silo owns, on a bounded number of workers. It notes
// what each run read. A change of a variable queues the key; changes of views are gathered in rounds, and
// what a round's runs share is made once in it.
//
// # Locks
//
// In the order in which they may be taken: link.mu, station.mu, follower.mu; Host.mu, scheduler.mu and
// those of queues are held for nothing but their own maps. Transport.NotifyAt is called under station.mu,
// so that messages leave in order; it must not call back.
package host
