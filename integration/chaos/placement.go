package main

import (
	"context"
	"fmt"
	"math"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

const (
	// placedKeys is how many keys are dealt out.
	placedKeys  = 100_000
	placedKind  = "placed"
	mostLoad    = 1.15
	mostMoved   = 1.1
	placedSilos = 8
	// settlings is how often everybody may be told to release something, for one silo that joins.
	settlings = 5
)

// placed counts what a registry of silos with consecutive ports deals out, by itself: no silo runs.
func placed(_ context.Context, e *experiment) error {
	w, err := newWorld()
	if err != nil {
		return err
	}
	load := 0.0
	for n := 1; n <= placedSilos; n++ {
		if err := w.join(n); err != nil {
			return err
		}
	}
	before := w.holders()
	for _, n := range loads(before) {
		load = max(load, float64(n)*placedSilos/placedKeys)
	}
	e.report.Require(fmt.Sprintf("placement: keys of the fullest of %d silos with consecutive ports, beside an even share", placedSilos), load,
		fmt.Sprintf("<= %v", mostLoad), load > 0 && load <= mostLoad)

	// One more silo: somebody's keys must become its, but no more than its share.
	if err := w.join(placedSilos + 1); err != nil {
		return err
	}
	after := w.holders()
	require := func(name string, moved, least int) {
		ratio := math.Inf(1)
		if least > 0 {
			ratio = float64(moved) / float64(least)
		}
		e.report.Require("placement: keys that move when "+name+", beside the least possible", ratio, fmt.Sprintf("<= %v", mostMoved), moved > 0 && ratio <= mostMoved)
	}
	require(fmt.Sprintf("a silo joins %d", placedSilos), moved(before, after), placedKeys/(placedSilos+1))
	gone := w.members[2]
	if err := w.put(view.Remove{Run: gone}); err != nil {
		return err
	}
	if err := w.settle(); err != nil { // what others give each other because of that counts too
		return err
	}
	require(fmt.Sprintf("one of %d silos is removed", placedSilos+1), moved(after, w.holders()), loads(after)[gone.ID])

	four, err := newWorld()
	if err != nil {
		return err
	}
	for n := 1; n <= silos; n++ {
		if err := four.join(n); err != nil {
			return err
		}
	}
	before = four.holders()
	if err := four.join(silos + 1); err != nil {
		return err
	}
	require(fmt.Sprintf("a silo joins %d", silos), moved(before, four.holders()), placedKeys/(silos+1))
	return nil
}

// world is a registry and the silos in it.
type world struct {
	*view.Registry
	members []view.Run
	slots   []int // of the keys
}

func newWorld() (*world, error) {
	w := &world{Registry: view.NewRegistry()}
	for i := range placedKeys {
		w.slots = append(w.slots, view.Slot(wire.NewID(placedKind, fmt.Sprint("user-", i))))
	}
	return w, nil
}

func (w *world) put(c view.Command) error {
	a, err := w.Apply(view.EncodeCommands(c))
	if err != nil {
		return err
	}
	for _, o := range a.Outcomes {
		if o != view.Done {
			return fmt.Errorf("the registry refused %T: %v", c, o)
		}
	}
	return nil
}

// join adds a silo, and lets the others give it its share.
func (w *world) join(n int) error {
	addr := fmt.Sprintf("10.0.0.1:%d", 7000+n)
	j, err := view.NewJoin(view.Member{Run: view.Run{ID: view.SiloID(addr), Incarnation: 1}, Addr: addr, Kinds: []string{placedKind}})
	if err != nil {
		return err
	}
	for _, c := range []view.Command{j, view.Ready{Run: j.Member.Run}} {
		if err := w.put(c); err != nil {
			return err
		}
	}
	w.members = append(w.members, j.Member.Run)
	return w.settle()
}

// settle lets each silo release what is to be another's.
func (w *world) settle() error {
	for range settlings {
		releases := map[view.Run]view.Release{}
		for row := range w.Table().Rows {
			if row.Holder != row.Target {
				of := releases[row.Holder]
				of.Run, of.Pool = row.Holder, row.Pool
				of.Held = append(of.Held, view.Held{Slot: row.Slot, Token: row.Token})
				releases[row.Holder] = of
			}
		}
		if len(releases) == 0 {
			return nil
		}
		for _, m := range w.members { // in the same order each time
			if of, ok := releases[m]; ok {
				if err := w.put(of); err != nil {
					return err
				}
			}
		}
	}
	return fmt.Errorf("slots of %d silos go on moving", len(w.members))
}

// holders says which silo has each key.
func (w *world) holders() []view.SiloID {
	var bySlot [view.Slots]view.SiloID
	for row := range w.Table().Rows {
		bySlot[row.Slot] = row.Holder.ID
	}
	all := make([]view.SiloID, len(w.slots))
	for i, slot := range w.slots {
		all[i] = bySlot[slot]
	}
	return all
}

func loads(holders []view.SiloID) map[view.SiloID]int {
	n := map[view.SiloID]int{}
	for _, h := range holders {
		n[h]++
	}
	return n
}

func moved(before, after []view.SiloID) (n int) {
	for i := range before {
		if before[i] != after[i] {
			n++
		}
	}
	return n
}
