package link

import (
	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/view"
)

// FailRemoved lets what waits for answers of silos fail at once that a newer view has as dead and an older one
// had as serving: they do not say themselves that nothing will come. Those that have left as they wanted to go
// on answering what they were asked before, and end their connections then.
func FailRemoved(node *actor.Node, old, now *view.Table, self view.SiloID) {
	for _, m := range now.Members {
		was, known := old.Member(m.ID)
		left := known && was.Run == m.Run && was.State == view.Leaving
		if m.Alive() || m.ID == self || left || known && !was.Alive() && was.Run == m.Run {
			continue
		}
		if at, ok := now.At(m.Addr); ok && at.Alive() {
			continue // somebody else is there, or its next run
		}
		node.Fail(m.Addr)
	}
}
