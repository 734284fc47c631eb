package view

import (
	"cmp"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Slots is the number of slots that the key space is divided into.
const Slots = 4096

// SiloID is the text of a silo's store id: it names a data directory, over all runs of the process.
type SiloID string

// Silo is one founder as a view sees it.
type Silo struct {
	ID   SiloID
	Addr string
	// Incarnation names the run of the process that was up last, 0 if none ever was.
	Incarnation uint64
	Up          bool
}

// View is one agreed state of the cluster. It is immutable.
type View struct {
	Number uint64
	Silos  []Silo // by ID

	owners [Slots]int16 // index in Silos, -1 where no silo is up
	index  map[SiloID]int
}

// New returns the view of that number over silos.
func New(number uint64, silos []Silo) *View {
	v := &View{Number: number, Silos: slices.Clone(silos), index: make(map[SiloID]int, len(silos))}
	slices.SortFunc(v.Silos, func(a, b Silo) int { return cmp.Compare(a.ID, b.ID) })
	seeds := make([]uint64, len(v.Silos))
	for i, s := range v.Silos {
		v.index[s.ID] = i
		seeds[i] = xxh3.HashString(string(s.ID))
	}
	for slot := range v.owners {
		v.owners[slot] = -1
		var best uint64
		for i, s := range v.Silos {
			if w := mix(seeds[i], uint64(slot)); s.Up && (v.owners[slot] < 0 || w > best) {
				v.owners[slot], best = int16(i), w
			}
		}
	}
	return v
}

// mix is a finalizer over two words (Steele, Lea, Flood 2014, the one of SplitMix64): neighbouring slots
// and similar names must not give similar weights.
func mix(a, b uint64) uint64 {
	z := a + 0x9e3779b97f4a7c15*(b+1)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func hash(id wire.ID) uint64 {
	h := xxh3.HashString(id.Kind())
	return xxh3.HashStringSeed(id.Key(), h)
}

// Slot is the slot of a grain, an operator or a process.
func Slot(id wire.ID) int { return int(mix(hash(id), 0) % Slots) }

// Owner returns the silo that id is at; false when no silo is up.
func (v *View) Owner(id wire.ID) (Silo, bool) {
	i := v.owners[Slot(id)]
	if i < 0 {
		return Silo{}, false
	}
	return v.Silos[i], true
}

// SlotCounts is how many slots each silo owns that owns any.
func (v *View) SlotCounts() map[SiloID]int {
	n := map[SiloID]int{}
	for _, i := range v.owners {
		if i >= 0 {
			n[v.Silos[i].ID]++
		}
	}
	return n
}

// Silo returns the founder of that id.
func (v *View) Silo(id SiloID) (Silo, bool) {
	i, ok := v.index[id]
	if !ok {
		return Silo{}, false
	}
	return v.Silos[i], true
}

// At returns the founder at that address.
func (v *View) At(addr string) (Silo, bool) {
	i := slices.IndexFunc(v.Silos, func(s Silo) bool { return s.Addr == addr })
	if i < 0 {
		return Silo{}, false
	}
	return v.Silos[i], true
}

// Replicas returns the n silos on which the variable is kept, first the one with the highest weight;
// wire.Everywhere, or more than there are, stands for all. It includes silos that are down.
func (v *View) Replicas(variable wire.ID, n int) []Silo {
	h := hash(variable)
	ranked := slices.Clone(v.Silos)
	slices.SortFunc(ranked, func(a, b Silo) int {
		wa, wb := mix(xxh3.HashString(string(a.ID)), h), mix(xxh3.HashString(string(b.ID)), h)
		return cmp.Or(cmp.Compare(wb, wa), cmp.Compare(a.ID, b.ID))
	})
	if n == 0 {
		n = DefaultReplicas
	}
	if n < 0 || n > len(ranked) {
		n = len(ranked)
	}
	return ranked[:n]
}

// DefaultReplicas is how many replicas a variable has whose declaration does not say.
const DefaultReplicas = 3

// UpCount is how many silos are up.
func (v *View) UpCount() (n int) {
	for _, s := range v.Silos {
		if s.Up {
			n++
		}
	}
	return n
}

func (v *View) String() string {
	var b strings.Builder
	for i, s := range v.Silos {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s.Addr)
		if !s.Up {
			b.WriteString("(down)")
		}
	}
	return b.String()
}
