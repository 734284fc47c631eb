package main

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/integration/bank"
	"github.com/martinelli-go/martinelli/integration/chaos/register"
)

// remains is what is there when all is over.
type remains struct {
	sets     map[string][]int64
	counts   map[string]int64
	balances map[string]int64
	journals map[string][]string
	sent     map[string]int64
	// replicas are the hashes of all variables, by silo, kind and key.
	replicas map[string]map[string]map[string]uint64
}

// convergeWithin is how long replicas may take to be equal once all silos are up and nobody writes.
const convergeWithin = 30 * time.Second

// read waits until replicas are equal, and reads everything. The error is that nobody could be asked; what
// differs is for the check to find.
func (r *remains) read(ctx context.Context, c *cluster.Client) error {
	ctx, cancel := context.WithTimeout(ctx, convergeWithin)
	defer cancel()
	var last error
	for tick := time.NewTicker(200 * time.Millisecond); ; {
		if all, err := c.Audit(ctx); err == nil {
			r.replicas, last = all, nil
			if len(apart(all)) == 0 {
				break
			}
		} else {
			last = err
		}
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		tick.Stop()
		break
	}
	if r.replicas == nil {
		return fmt.Errorf("ask for the replicas: %w", last)
	}
	bounded, stop := context.WithTimeout(context.WithoutCancel(ctx), convergeWithin)
	defer stop()
	return r.values(bounded, c)
}

func (r *remains) values(ctx context.Context, c *cluster.Client) error {
	r.sets, r.counts = map[string][]int64{}, map[string]int64{}
	r.balances, r.journals, r.sent = map[string]int64{}, map[string][]string{}, map[string]int64{}
	for i := range variables {
		key := variableKey(i)
		all, err := register.Added.At(c, key).All(ctx)
		if err != nil {
			return fmt.Errorf("read set %s: %w", key, err)
		}
		r.sets[string(key)] = slices.Collect(all)
		if r.counts[string(key)], err = register.Counted.At(c, key).Value(ctx); err != nil {
			return fmt.Errorf("read counter %s: %w", key, err)
		}
	}
	for i := range accounts {
		key := accountKey(i)
		var err error
		if r.balances[string(key)], err = bank.GetAccount(c, key).Balance(ctx); err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		all, err := bank.Journal.At(c, key).All(ctx)
		if err != nil {
			return fmt.Errorf("read the journal of %s: %w", key, err)
		}
		r.journals[string(key)] = slices.Collect(all)
		if r.sent[string(key)], err = bank.Sent.At(c, key).Value(ctx); err != nil {
			return fmt.Errorf("read the count of %s: %w", key, err)
		}
	}
	return nil
}

// apart lists the kinds of variables whose replicas differ.
func apart(replicas map[string]map[string]map[string]uint64) (kinds []string) {
	silos := slices.Sorted(maps.Keys(replicas))
	for _, s := range silos[min(1, len(silos)):] {
		first, other := replicas[silos[0]], replicas[s]
		for kind := range first {
			if !reflect.DeepEqual(first[kind], other[kind]) {
				kinds = append(kinds, fmt.Sprintf("%s on %s and %s", kind, silos[0], s))
			}
		}
		if len(first) != len(other) {
			kinds = append(kinds, fmt.Sprintf("kinds on %s and %s", silos[0], s))
		}
	}
	slices.Sort(kinds)
	return kinds
}

// check compares what is there with what clients know.
func (r *remains) check(ops []*operation, silos int) (bad []violation) {
	if differ := apart(r.replicas); len(differ) > 0 || len(r.replicas) != silos {
		bad = append(bad, found(checkConvergence, "%v after silos were up and nobody wrote for %v; %d of %d silos were asked", differ, convergeWithin, len(r.replicas), silos))
	}
	bad = append(bad, r.checkSets(ops)...)
	bad = append(bad, r.checkCounters(ops)...)
	return append(bad, r.checkTransfers(ops)...)
}

// checkSets: what surely was added, and nobody tried to remove, is there; what nobody tried to add is not.
// An element that somebody has removed may be there: a replica that had not heard of it has nothing to
// remove.
func (r *remains) checkSets(ops []*operation) (bad []violation) {
	type element struct {
		key  string
		item int64
	}
	must, may, removed := map[element]*operation{}, map[element]bool{}, map[element]bool{}
	for _, o := range ops {
		e := element{o.Key, o.Item}
		has, mayHave := o.effect()
		switch {
		case o.Kind == addToSet && has:
			must[e], may[e] = o, true
		case o.Kind == addToSet && mayHave:
			may[e] = true
		case o.Kind == removeOfSet && mayHave:
			removed[e] = true
		}
	}
	seen := map[element]bool{}
	for key, items := range r.sets {
		for _, item := range items {
			e := element{key, item}
			if !may[e] || seen[e] {
				bad = append(bad, found(checkSets, "%s: element %d is there, again or without having been added", key, item))
			}
			seen[e] = true
		}
	}
	for e, o := range must {
		if !seen[e] && !removed[e] {
			bad = append(bad, found(checkSets, "%s: element %d was added (operation %d was answered) and is not there", e.key, e.item, o.ID))
		}
	}
	return bad
}

// checkCounters: each count has been made once; one of unknown fate once or not at all.
func (r *remains) checkCounters(ops []*operation) (bad []violation) {
	least, most := map[string]int64{}, map[string]int64{}
	for _, o := range ops {
		if o.Kind != count {
			continue
		}
		has, mayHave := o.effect()
		if has {
			least[o.Key] += o.Amount
		}
		if mayHave {
			most[o.Key] += o.Amount
		}
	}
	for key, n := range r.counts {
		if n < least[key] || n > most[key] {
			bad = append(bad, found(checkCounters, "%s is %d: counts that were answered add up to %d, and to %d with those of unknown fate", key, n, least[key], most[key]))
		}
	}
	return bad
}

// checkTransfers compares money, the senders' journals and their counters, which one block changes.
func (r *remains) checkTransfers(ops []*operation) (bad []violation) {
	byNote := map[string]*operation{}
	for _, o := range ops {
		if o.Kind == transfer {
			byNote[noteOf(o)] = o
		}
	}
	want := map[string]int64{}
	for key := range r.balances {
		want[key] = deposit
	}
	noted := map[*operation]bool{}
	for key, notes := range r.journals {
		for _, note := range notes {
			o := byNote[note]
			if o == nil || o.Key != key || noted[o] {
				bad = append(bad, found(checkTransfers, "%s: its journal has %q, again or without a transfer", key, note))
				continue
			}
			noted[o] = true
			want[o.Key] -= o.Amount
			want[o.To] += o.Amount
			if _, mayHave := o.effect(); !mayHave {
				bad = append(bad, found(checkTransfers, "%s: transfer %q took effect and was answered otherwise: %s %s %s", key, note, o.Outcome, o.Settled, o.Error))
			}
		}
		if int64(len(notes)) != r.sent[key] {
			bad = append(bad, found(checkTransfers, "%s has sent %d transfers by its counter, and %d by its journal", key, r.sent[key], len(notes)))
		}
	}
	for _, o := range byNote {
		if has, _ := o.effect(); has && !noted[o] {
			bad = append(bad, found(checkTransfers, "%s: transfer %q was answered and had no effect (%s %s)", o.Key, noteOf(o), o.Outcome, o.Settled))
		}
	}
	for key, balance := range r.balances {
		if balance != want[key] {
			bad = append(bad, found(checkTransfers, "%s holds %d; by the journals it should be %d", key, balance, want[key]))
		}
	}
	return bad
}
