package crdt

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"sort"
	"strings"
)

// Run is the dots From to To, both included, of one actor.
type Run struct {
	Actor    Actor
	From, To uint64
}

// Context is a causal context: the set of dots that a state has seen. It is kept as maximal runs; for each
// actor the run that begins at 1 is the version vector's entry and the others are the cloud of dots that
// arrived ahead of a gap. A gap stays a gap: no dot is contained that was not added.
//
// The zero Context is empty and ready for use. It is not safe for concurrent use when anyone changes it.
// Memory is 24 bytes a run; looking up costs O(log runs), adding in order O(log runs), adding ahead of a
// gap also moves the runs behind it.
type Context struct {
	runs []Run // sorted by (Actor, From); of one actor neither overlapping nor adjacent
}

// seek returns the index of the first run that ends at or after d.
func (c *Context) seek(d Dot) int {
	low, high := 0, len(c.runs)
	for low < high {
		mid := int(uint(low+high) >> 1)
		if r := &c.runs[mid]; r.Actor > d.Actor || r.Actor == d.Actor && r.To >= d.Counter {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// Contains says whether d has been seen.
func (c *Context) Contains(d Dot) bool {
	if c == nil {
		return false
	}
	i := c.seek(d)
	return i < len(c.runs) && c.runs[i].Actor == d.Actor && c.runs[i].From <= d.Counter
}

// Add adds d and says whether it was new. The zero Dot is no dot and is ignored.
func (c *Context) Add(d Dot) bool {
	if d.IsZero() {
		return false
	}
	// Most dots follow the last one of their actor: then the run that ends before d is at hand.
	i := c.seek(Dot{Actor: d.Actor, Counter: d.Counter - 1})
	if i < len(c.runs) && c.runs[i].Actor == d.Actor && c.runs[i].To == d.Counter-1 {
		if next := i + 1; next == len(c.runs) || c.runs[next].Actor != d.Actor || c.runs[next].From > d.Counter+1 {
			c.runs[i].To = d.Counter
			return true
		}
	}
	if c.Contains(d) {
		return false
	}
	c.AddRun(Run{Actor: d.Actor, From: d.Counter, To: d.Counter})
	return true
}

// AddRun adds every dot of r. Runs without an actor, beginning at 0 or ending before they begin are ignored.
func (c *Context) AddRun(r Run) {
	if r.Actor == 0 || r.From == 0 || r.To < r.From {
		return
	}
	i := c.seek(Dot{Actor: r.Actor, Counter: r.From - 1}) // also a run that ends just before r
	j := i
	for ; j < len(c.runs) && c.runs[j].Actor == r.Actor && c.runs[j].From-1 <= r.To; j++ {
		r.From = min(r.From, c.runs[j].From)
		r.To = max(r.To, c.runs[j].To)
	}
	if i == j {
		c.runs = slices.Insert(c.runs, i, r)
		return
	}
	c.runs[i] = r
	if j > i+1 {
		c.runs = slices.Delete(c.runs, i+1, j)
	}
}

// push adds r, which must not begin before the last run does: O(1).
func (c *Context) push(r Run) {
	if n := len(c.runs); n > 0 {
		last := &c.runs[n-1]
		if last.Actor == r.Actor && r.From-1 <= last.To {
			last.To = max(last.To, r.To)
			return
		}
	}
	c.runs = append(c.runs, r)
}

// Join adds all that o contains. It costs O(runs of o · log runs) when o is small, else O(runs of both).
func (c *Context) Join(o *Context) {
	if o == nil || len(o.runs) == 0 || c == o {
		return
	}
	if len(o.runs) <= 8+len(c.runs)/16 {
		for _, r := range o.runs {
			c.AddRun(r)
		}
		return
	}
	merged := Context{runs: make([]Run, 0, len(c.runs)+len(o.runs))}
	a, b := c.runs, o.runs
	for len(a) > 0 || len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && compareRuns(a[0], b[0]) <= 0 {
			merged.push(a[0])
			a = a[1:]
		} else {
			merged.push(b[0])
			b = b[1:]
		}
	}
	c.runs = merged.runs
}

func compareRuns(a, b Run) int {
	return Dot{a.Actor, a.From}.Compare(Dot{b.Actor, b.From})
}

// meets says whether both contain some dot.
func (c *Context) meets(o *Context) bool {
	for _, r := range o.runs {
		if i := c.seek(Dot{r.Actor, r.From}); i < len(c.runs) && c.runs[i].Actor == r.Actor && c.runs[i].From <= r.To {
			return true
		}
	}
	return false
}

// minus returns the dots of c that o lacks.
func (c *Context) minus(o *Context) Context {
	var out Context
	for _, r := range c.runs {
		for i := o.seek(Dot{r.Actor, r.From}); i < len(o.runs); i++ {
			seen := o.runs[i]
			if seen.Actor != r.Actor || seen.From > r.To {
				break
			}
			if seen.From > r.From {
				out.push(Run{r.Actor, r.From, seen.From - 1})
			}
			if seen.To >= r.To {
				r.From, r.To = 1, 0 // nothing is left
				break
			}
			r.From = seen.To + 1
		}
		if r.From <= r.To {
			out.push(r)
		}
	}
	return out
}

// count returns the number of dots, or the highest number there is when they are more.
func (c *Context) count() (n uint64) {
	for _, r := range c.runs {
		dots := r.To - r.From + 1
		if n += dots; n < dots {
			return math.MaxUint64
		}
	}
	return n
}

// within calls f with the parts of c's runs that lie inside r, ascending.
func (c *Context) within(r Run, f func(Run)) {
	for i := c.seek(Dot{r.Actor, r.From}); i < len(c.runs); i++ {
		mine := c.runs[i]
		if mine.Actor != r.Actor || mine.From > r.To {
			return
		}
		f(Run{r.Actor, max(mine.From, r.From), min(mine.To, r.To)})
	}
}

// contextOf returns the context that holds just the given dots, which it sorts in place.
func contextOf(dots []Dot) Context {
	slices.SortFunc(dots, Dot.Compare)
	var c Context
	for _, d := range dots {
		if !d.IsZero() {
			c.push(Run{d.Actor, d.Counter, d.Counter})
		}
	}
	return c
}

// Clone returns a copy that shares nothing with c.
func (c *Context) Clone() *Context {
	if c == nil {
		return &Context{}
	}
	return &Context{runs: slices.Clone(c.runs)}
}

// Equal says whether both contain the same dots.
func (c *Context) Equal(o *Context) bool {
	return slices.Equal(c.list(), o.list())
}

// LessOrEqual says whether o contains every dot of c.
func (c *Context) LessOrEqual(o *Context) bool {
	have := o.list()
	for _, r := range c.list() {
		i := o.seekIn(have, r)
		if i == len(have) || have[i].Actor != r.Actor || have[i].From > r.From || have[i].To < r.To {
			return false
		}
	}
	return true
}

func (c *Context) seekIn(runs []Run, r Run) int {
	return (&Context{runs: runs}).seek(Dot{r.Actor, r.From})
}

func (c *Context) list() []Run {
	if c == nil {
		return nil
	}
	return c.runs
}

// Max returns the highest counter of actor a in vector and cloud, 0 when there is none. It says what has
// been seen, not what has been minted: never mint from it.
func (c *Context) Max(a Actor) uint64 {
	runs := c.list()
	i := sort.Search(len(runs), func(i int) bool { return runs[i].Actor > a })
	if i == 0 || runs[i-1].Actor != a {
		return 0
	}
	return runs[i-1].To
}

// IsEmpty says whether no dot has been seen.
func (c *Context) IsEmpty() bool { return c == nil || len(c.runs) == 0 }

// Runs yields the maximal runs by actor, then counter. The context must not change meanwhile.
func (c *Context) Runs() iter.Seq[Run] {
	return func(yield func(Run) bool) {
		for _, r := range c.list() {
			if !yield(r) {
				return
			}
		}
	}
}

// NumRuns returns how many maximal runs there are: what memory and encoding grow with.
func (c *Context) NumRuns() int { return len(c.list()) }

// String prints the runs, as in {1:1-7,9 4:1-2}.
func (c *Context) String() string {
	var b strings.Builder
	b.WriteByte('{')
	var last Actor
	for i, r := range c.list() {
		switch {
		case i == 0:
			fmt.Fprintf(&b, "%d:", r.Actor)
		case r.Actor != last:
			fmt.Fprintf(&b, " %d:", r.Actor)
		default:
			b.WriteByte(',')
		}
		last = r.Actor
		if r.From == r.To {
			fmt.Fprintf(&b, "%d", r.From)
		} else {
			fmt.Fprintf(&b, "%d-%d", r.From, r.To)
		}
	}
	b.WriteByte('}')
	return b.String()
}

// hash is equal for equal contexts.
func (c *Context) hash() uint64 {
	var h uint64
	for _, r := range c.list() {
		h = h*0x9e3779b97f4a7c15 + Dot{r.Actor, r.From}.hash() ^ Dot{r.Actor, r.To}.hash()>>1
	}
	return h
}
