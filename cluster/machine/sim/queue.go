package sim

import (
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
)

// event is a message on its way (message is set) or a function to call, for a run of a node or, without
// one, for the test.
type event[M any] struct {
	at          time.Duration
	seq         uint64
	node        *node[M]
	incarnation machine.Incarnation
	fn          func()
	message     bool
	from        machine.NodeID
	msg         M
}

// queue is a binary heap of events by time and, within one time, by the order of their coming. The
// events stay where they are and the heap holds their places, so that sifting moves few bytes.
type queue[M any] struct {
	events []event[M]
	free   []int32
	heap   []slot
	seq    uint64
}

type slot struct {
	at    time.Duration
	seq   uint64
	place int32
}

func (a slot) before(b slot) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

func (q *queue[M]) len() int            { return len(q.heap) }
func (q *queue[M]) next() time.Duration { return q.heap[0].at }

func (q *queue[M]) push(e event[M]) {
	q.seq++
	e.seq = q.seq
	var place int32
	if n := len(q.free); n > 0 {
		place, q.free = q.free[n-1], q.free[:n-1]
		q.events[place] = e
	} else {
		place = int32(len(q.events))
		q.events = append(q.events, e)
	}
	q.heap = append(q.heap, slot{e.at, e.seq, place})
	for i := len(q.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.heap[i].before(q.heap[up]) {
			break
		}
		q.heap[i], q.heap[up] = q.heap[up], q.heap[i]
		i = up
	}
}

func (q *queue[M]) pop() event[M] {
	top := q.heap[0].place
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap = q.heap[:last]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if q.heap[c].before(q.heap[least]) {
				least = c
			}
		}
		if least == i {
			break
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
	e := q.events[top]
	q.events[top] = event[M]{}
	q.free = append(q.free, top)
	return e
}
