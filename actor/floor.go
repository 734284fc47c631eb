package actor

import (
	"math"
	"os"
	"runtime/debug"
	"sync"
)

// Go collects garbage whenever the heap has doubled. A process that holds little and answers much does so tens
// of times a second, and spends a fifth of its processors on it. So a node over TCP holds memory that is never
// written to: it counts as part of the heap, and takes address space alone. All nodes of a process hold the same.
var floor struct {
	sync.Mutex
	holders map[*Node]int // how many bytes each asks for
	held    []byte
}

// holdFloor has the process hold as much as n asks for, until dropFloor, unless whoever started the process has
// told Go how to collect.
func holdFloor(n *Node) {
	if n.cfg.HeapFloor < 0 || os.Getenv("GOGC") != "" || debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	floor.Lock()
	defer floor.Unlock()
	if floor.holders == nil {
		floor.holders = map[*Node]int{}
	}
	floor.holders[n] = n.cfg.HeapFloor
	settleFloor()
}

func dropFloor(n *Node) {
	floor.Lock()
	defer floor.Unlock()
	if _, ok := floor.holders[n]; ok {
		delete(floor.holders, n)
		settleFloor()
	}
}

// settleFloor holds the most that anybody asks for. floor is locked.
func settleFloor() {
	most := 0
	for _, bytes := range floor.holders {
		most = max(most, bytes)
	}
	if most != len(floor.held) {
		floor.held = make([]byte, most)
	}
}
