package view

import (
	"cmp"
	"slices"

	"github.com/zeebo/xxh3"
)

// candidate is a member that slots of a pool may be given to.
type candidate struct {
	seat seat
	seed uint64 // of its store: a run gets again what its store's last run was given
}

// place gives every row its target: a function of the candidates and of the targets before.
//
// Each candidate gets ⌊Slots/n⌋ or one more. Beyond that bound only what must move moves: slots whose
// target is gone, and as many as a candidate has too many. Among those, a slot goes to the candidate with
// the highest weight for it that has room: rendezvous hashing (Thaler and Ravishankar 1998) with bounded
// loads (Mirrokni, Thorup, Zadimoghaddam 2018), the bound being as low as it can be. With the targets
// before at hand the low bound costs no cascades of moves, which it does where placement is computed from
// the members alone.
//
// It costs O(Slots × candidates that have room), and less than O(Slots) allocations.
func place(rows *[Slots]row, from []candidate) {
	if len(from) == 0 {
		for i := range rows {
			rows[i].target = 0
		}
		return
	}
	at := make(map[seat]int, len(from))
	for i, c := range from {
		at[c.seat] = i
	}
	load := make([]int, len(from))
	var free []int
	for slot := range rows {
		if i, ok := at[rows[slot].target]; ok {
			load[i]++
		} else {
			free = append(free, slot)
		}
	}
	room := rooms(load, from)
	if free = append(free, shed(rows, from, at, room)...); len(free) > 0 {
		deal(rows, from, free, room)
	}
}

// rooms says how many slots each candidate is to be given, or, negative, to give away. Those that have
// the most are those that keep one more than others where the number does not divide evenly.
func rooms(load []int, from []candidate) []int {
	n := len(from)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(load[b], load[a]), cmp.Compare(from[a].seed, from[b].seed), cmp.Compare(from[a].seat, from[b].seat))
	})
	room := make([]int, n)
	for rank, i := range order {
		room[i] = Slots/n - load[i]
		if rank < Slots%n {
			room[i]++
		}
	}
	return room
}

// shed picks the slots that overloaded candidates give away: those that somebody with room wants most.
func shed(rows *[Slots]row, from []candidate, at map[seat]int, room []int) (free []int) {
	type wanted struct {
		slot   int
		weight uint64
	}
	surplus := make([][]wanted, len(from))
	for slot := range rows {
		i, ok := at[rows[slot].target]
		if !ok || room[i] >= 0 {
			continue
		}
		w := wanted{slot: slot}
		for j, c := range from {
			if room[j] > 0 {
				w.weight = max(w.weight, mix(c.seed, uint64(slot)))
			}
		}
		surplus[i] = append(surplus[i], w)
	}
	for i, all := range surplus {
		slices.SortFunc(all, func(a, b wanted) int {
			return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.slot, b.slot))
		})
		for _, w := range all[:min(len(all), -min(room[i], 0))] {
			free = append(free, w.slot)
		}
	}
	return free
}

// deal gives the free slots to those who have room, each to the one with the highest weight for it.
func deal(rows *[Slots]row, from []candidate, free []int, room []int) {
	slices.SortFunc(free, func(a, b int) int { // no slot is always dealt last
		return cmp.Or(cmp.Compare(mix(uint64(a), 1), mix(uint64(b), 1)), cmp.Compare(a, b))
	})
	for _, slot := range free {
		best, weight := -1, uint64(0)
		for i, c := range from {
			if w := mix(c.seed, uint64(slot)); room[i] > 0 && (best < 0 || w > weight) {
				best, weight = i, w
			}
		}
		rows[slot].target = from[best].seat
		room[best]--
	}
}

func seedOf(id SiloID) uint64 { return xxh3.HashString(string(id)) }
