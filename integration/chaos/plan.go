package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/integration/chaos/register"
)

// kind is a kind of fault.
type kind string

// The kinds.
const (
	killed     kind = "kill"          // SIGKILL of any silo, and a restart
	killedLead kind = "kill-leader"   // SIGKILL of the leader of one log, in turn, and a restart
	restarted  kind = "restart"       // a stop by request, and a start
	paused     kind = "pause"         // SIGSTOP for 1 s at most: nobody need notice
	pausedLong kind = "pause-long"    // SIGSTOP for longer than a silo may be silent
	pausedTurn kind = "pause-in-turn" // the same, in the middle of a turn
	cutBoth    kind = "cut"           // nothing passes between two silos, or between one and all others
	cutOne     kind = "cut-one-way"   // nothing passes in one direction
	delayed    kind = "delay"         // everything between silos takes longer
)

var kinds = []kind{killed, killedLead, restarted, paused, pausedLong, pausedTurn, cutBoth, cutOne, delayed}

// spans are how long faults last.
var spans = map[kind]struct{ least, most time.Duration }{
	killed:     {3 * time.Second, 4 * time.Second},
	killedLead: {3 * time.Second, 4 * time.Second},
	restarted:  {0, time.Second},
	paused:     {200 * time.Millisecond, time.Second},
	pausedLong: {2600 * time.Millisecond, 3600 * time.Millisecond},
	pausedTurn: {2600 * time.Millisecond, 3600 * time.Millisecond},
	cutBoth:    {2500 * time.Millisecond, 3500 * time.Millisecond},
	cutOne:     {2500 * time.Millisecond, 3500 * time.Millisecond},
	delayed:    {2 * time.Second, 3 * time.Second},
}

// leastGap is the shortest time between two faults of a series.
const leastGap = 100 * time.Millisecond

// comesBack is how long a process that was started takes until it serves, about.
const comesBack = 2000 * time.Millisecond

// busiest is the longest that a series of all kinds may take.
var busiest = func() (sum time.Duration) {
	for _, k := range kinds {
		sum += fault{Kind: k, For: spans[k].most}.occupies() + leastGap
	}
	return sum
}()

// fault is one thing that is done to the silos.
type fault struct {
	At   time.Duration `json:"at"`  // after the load began
	For  time.Duration `json:"for"` // from its begin to its end, or to the restart
	Kind kind          `json:"kind"`
	Silo int           `json:"silo"` // whom it hits; 0 where that is found out when it begins: the leader
	// Ways are the directions that are cut or delayed.
	Ways   []pair        `json:"ways,omitempty"`
	Lose   bool          `json:"lose,omitempty"` // what a cut held is lost; else it arrives late
	Delay  time.Duration `json:"delay,omitempty"`
	Jitter time.Duration `json:"jitter,omitempty"`
	Turn   register.Kind `json:"turn,omitempty"` // in whose middle a silo is paused
}

func (f fault) String() string { return fmt.Sprintf("%6.2f s: %s", f.At.Seconds(), f.what()) }

// what says what is done, but not when.
func (f fault) what() string {
	s := string(f.Kind)
	if f.Silo != 0 {
		s += fmt.Sprintf(" of silo %d", f.Silo)
	}
	s += fmt.Sprintf(" for %v", f.For.Round(time.Millisecond))
	for _, w := range f.Ways {
		s += fmt.Sprintf(" %d→%d", w.From, w.To)
	}
	if f.Lose {
		s += ", what was held is lost"
	}
	if f.Turn != "" {
		s += fmt.Sprintf(", a %s", f.Turn)
	}
	if f.Delay > 0 {
		s += fmt.Sprintf(" by %v to %v", f.Delay, f.Delay+f.Jitter)
	}
	return s
}

// times divides a run.
type times struct {
	quiet time.Duration // at its begin
	calm  time.Duration // behind each series of faults
	cycle time.Duration // a series and the calm behind it
}

// The calm holds a window of goodput, which begins 10 s after the last fault has ended, whose silo needs a
// while to be back; a series has every kind once.
var usual = times{quiet: 8 * time.Second, calm: 17 * time.Second, cycle: 52 * time.Second}

// plan is the schedule of a run: the same for the same seed, duration and number of silos. Each series
// has every kind of fault once, in an order of its own, if there is time.
func plan(seed uint64, d time.Duration, silos int) []fault {
	r := rand.New(rand.NewPCG(seed, 0x706c616e))
	var all []fault
	for begin := usual.quiet; begin == usual.quiet || d-begin >= usual.cycle; begin += usual.cycle {
		end := begin + usual.cycle - usual.calm
		if d-begin < 2*usual.cycle { // the last has what is left over
			end = d - usual.calm
		}
		all = append(all, series(r, begin, end, silos)...)
	}
	return all
}

// series fills the time between begin and end.
func series(r *rand.Rand, begin, end time.Duration, silos int) []fault {
	order := slices.Clone(kinds)
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	if busiest > end-begin { // not all of them may fit
		i := slices.Index(order, pausedTurn)
		order[0], order[i] = order[i], order[0]
	}
	faults := make([]fault, len(order))
	var busy time.Duration
	for i, k := range order {
		faults[i] = draw(r, k, silos)
		busy += faults[i].occupies()
	}
	// What is left is shared out as the gaps, unequally.
	weights, sum := make([]float64, len(order)), 0.0
	for i := range weights {
		weights[i] = 0.2 + r.Float64()
		sum += weights[i]
	}
	left := max(0, end-begin-busy-leastGap*time.Duration(len(order)))
	var series []fault
	at := begin
	for i, f := range faults {
		at += leastGap + time.Duration(float64(left)*weights[i]/sum)
		f.At = at
		if over := f.Kind == delayed && i > 0 && r.IntN(2) == 0; over {
			f.At = faults[i-1].At // on top of the fault before it
		}
		if f.At+f.occupies() > end {
			break
		}
		faults[i].At = f.At
		series = append(series, f)
		at = max(at, f.At+f.occupies())
	}
	return series
}

// occupies is how long a fault keeps the next one off.
func (f fault) occupies() time.Duration {
	switch f.Kind {
	case killed, killedLead, restarted:
		return f.For + comesBack
	}
	return f.For
}

// draw makes up a fault of a kind.
func draw(r *rand.Rand, k kind, silos int) fault {
	span := spans[k]
	f := fault{Kind: k, For: span.least + time.Duration(r.Int64N(int64(span.most-span.least)+1)), Silo: 1 + r.IntN(silos)}
	peers := make([]int, 0, silos-1)
	for s := 1; s <= silos; s++ {
		if s != f.Silo {
			peers = append(peers, s)
		}
	}
	if r.IntN(2) == 0 { // one neighbour, else all
		peers = peers[r.IntN(len(peers)):][:1]
	}
	out := r.IntN(2) == 0
	switch k {
	case killedLead:
		f.Silo = 0
	case pausedTurn:
		turns := []register.Kind{register.Touch, register.Write, register.Read, register.Relay}
		f.Turn = turns[r.IntN(len(turns))]
	case cutBoth, cutOne:
		for _, p := range peers {
			if k == cutBoth || out {
				f.Ways = append(f.Ways, pair{f.Silo, p})
			}
			if k == cutBoth || !out {
				f.Ways = append(f.Ways, pair{p, f.Silo})
			}
		}
		f.Lose = r.IntN(2) == 0
	case delayed:
		f.Silo = 0
		f.Ways = pairs(silos)
		f.Delay = time.Duration(5+r.IntN(30)) * time.Millisecond
		f.Jitter = time.Duration(1+r.IntN(40)) * time.Millisecond
	}
	return f
}
