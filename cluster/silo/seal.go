package silo

import (
	"sync"

	"github.com/martinelli-go/martinelli/cluster/view"
)

// drainedByBoth passes on the rows that two hosts have said to be drained, when the second has.
func drainedByBoth(drained func([]view.Row)) func([]view.Row) {
	var mu sync.Mutex
	once := map[view.Place]bool{}
	return func(rows []view.Row) {
		mu.Lock()
		var both []view.Row
		for _, r := range rows {
			if once[r.Place] {
				both = append(both, r)
			}
			once[r.Place] = true
		}
		mu.Unlock()
		if len(both) > 0 {
			drained(both)
		}
	}
}
