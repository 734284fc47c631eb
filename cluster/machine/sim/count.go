package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
)

// Count is a number of messages and of their bytes.
type Count struct{ Messages, Bytes int }

func (c *Count) add(bytes int) {
	c.Messages++
	c.Bytes += bytes
}

// Counts is what crossed the network since the start or since ResetCounts. Sent includes what was lost.
type Counts struct {
	Sent                        Count
	Delivered, Lost, Duplicated int
	ByType                      map[string]Count
	ByLink                      map[Link]Count
}

// String prints the totals and one line for each type, sorted.
func (c Counts) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sent %d messages, %d bytes; delivered %d, lost %d, duplicated %d",
		c.Sent.Messages, c.Sent.Bytes, c.Delivered, c.Lost, c.Duplicated)
	for _, t := range slices.Sorted(maps.Keys(c.ByType)) {
		fmt.Fprintf(&b, "\n  %-20s %9d messages %12d bytes", t, c.ByType[t].Messages, c.ByType[t].Bytes)
	}
	return b.String()
}

type counts struct {
	all                         Count
	delivered, lost, duplicated int
	byType                      map[string]*Count
	byLink                      map[Link]*Count
}

func (c *counts) sent(l Link, typ string, bytes int) {
	if c.byType == nil {
		c.byType, c.byLink = map[string]*Count{}, map[Link]*Count{}
	}
	c.all.add(bytes)
	t, k := c.byType[typ], c.byLink[l]
	if t == nil {
		t = &Count{}
		c.byType[typ] = t
	}
	if k == nil {
		k = &Count{}
		c.byLink[l] = k
	}
	t.add(bytes)
	k.add(bytes)
}

// Counts returns what crossed the network.
func (s *Sim[M]) Counts() Counts {
	c := Counts{Sent: s.counts.all, Delivered: s.counts.delivered, Lost: s.counts.lost,
		Duplicated: s.counts.duplicated, ByType: map[string]Count{}, ByLink: map[Link]Count{}}
	for t, n := range s.counts.byType {
		c.ByType[t] = *n
	}
	for l, n := range s.counts.byLink {
		c.ByLink[l] = *n
	}
	return c
}

// ResetCounts begins counting anew.
func (s *Sim[M]) ResetCounts() { s.counts = counts{} }

// trace keeps the last events; messages are formatted only when it is printed.
type trace[M any] struct {
	ring   []traced[M]
	max    int
	total  int
	format func(M) string
}

type traced[M any] struct {
	at       time.Duration
	what     string
	from, to machine.NodeID
	message  bool
	msg      M
	text     string
}

func (t *trace[M]) add(e traced[M]) {
	if len(t.ring) < t.max {
		t.ring = append(t.ring, e)
	} else {
		t.ring[t.total%t.max] = e
	}
	t.total++
}

// Trace prints the last events, oldest first.
func (s *Sim[M]) Trace() string {
	var b strings.Builder
	t := &s.trace
	if left := t.total - len(t.ring); left > 0 {
		fmt.Fprintf(&b, "… %d earlier events\n", left)
	}
	for i := range t.ring {
		e := t.ring[(t.total+i)%len(t.ring)]
		fmt.Fprintf(&b, "%12v %-8s", e.at, e.what)
		if e.from != 0 {
			fmt.Fprintf(&b, " %v→%v", e.from, e.to)
		} else if e.to != 0 {
			fmt.Fprintf(&b, " %v", e.to)
		}
		if e.text != "" {
			fmt.Fprintf(&b, " %s", e.text)
		}
		if e.message {
			fmt.Fprintf(&b, " %s", t.format(e.msg))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
