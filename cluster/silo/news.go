package silo

import "github.com/martinelli-go/martinelli/cluster/view"

// tellOfMembers logs what people want to know of who is there: that another silo serves, leaves, or was
// removed, and what this one is.
func (s *run) tellOfMembers(before, now *view.Table) {
	then := map[view.Run]view.State{}
	if before != nil {
		for i := range before.Members {
			then[before.Members[i].Run] = before.Members[i].State
		}
	}
	for i := range now.Members {
		m := &now.Members[i]
		was, known := then[m.Run]
		if known && was == m.State || before == nil && m.Run != s.self() {
			continue
		}
		says := map[view.State]string{view.Active: "serves", view.Leaving: "leaves: it gives its grains to the others"}[m.State]
		if m.State == view.Dead && known {
			says = "is gone: the others serve its grains"
			if was != view.Leaving {
				says = "was not heard for longer than its lease, and is removed: the others serve its grains"
			}
		}
		switch {
		case says == "":
		case m.Run == s.self():
			s.log.Info("this silo "+says, "view", now.Number)
		default:
			s.log.Info("another silo "+says, "other", m.Addr, "view", now.Number)
		}
	}
}

func (s *run) self() view.Run { return view.Run{ID: s.id, Incarnation: s.incarnation} }
