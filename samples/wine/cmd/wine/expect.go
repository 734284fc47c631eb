package main

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/samples/wine"
	"github.com/martinelli-go/martinelli/samples/wine/internal/walk"
)

// pair is two wines that are liked together.
type pair = flow.Pair[wine.WineID, wine.WineID]

// expectation is what everything that is derived must come to, computed from scratch in plain Go.
type expectation struct {
	favorites map[string][]string
	likes     map[wine.WineID]int64
	together  map[pair]int64
	graph     *walk.Graph
	recs      map[string][]string // by user, best first
}

// expect computes it for favourites, and what each user has bought.
func expect(favorites, bought map[string][]string) *expectation {
	likes, together := walk.Count(favorites)
	e := &expectation{
		favorites: favorites,
		likes:     make(map[wine.WineID]int64, len(likes)),
		together:  make(map[pair]int64, len(together)),
		graph:     walk.NewGraph(likes, slices.Values(together)),
	}
	for id, n := range likes {
		e.likes[wine.WineID(id)] = n
	}
	for _, p := range together {
		e.together[pair{A: wine.WineID(p.A), B: wine.WineID(p.B)}] = p.Count
	}
	e.recs = e.recommend(slices.Collect(maps.Keys(favorites)), bought)
	return e
}

// recommend computes the recommendations of users, on all processors.
func (e *expectation) recommend(users []string, bought map[string][]string) map[string][]string {
	recs := make(map[string][]string, len(users))
	var mu sync.Mutex
	var all sync.WaitGroup
	for part := range slices.Chunk(users, len(users)/runtime.NumCPU()+1) {
		all.Go(func() {
			for _, user := range part {
				best := e.graph.Recommend(e.favorites[user], bought[user], wine.Recommended)
				mu.Lock()
				recs[user] = best
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return recs
}

// after is the expectation when users have bought what bought says, and nothing else has changed.
func (e *expectation) after(bought map[string][]string) *expectation {
	next := *e
	next.recs = maps.Clone(e.recs)
	maps.Copy(next.recs, e.recommend(slices.Collect(maps.Keys(bought)), bought))
	return &next
}

// differences says how two maps differ, "" if they do not: how much, and the first few.
func differences[K comparable, V comparable](got, want map[K]V) string {
	var lines []string
	for k, v := range want {
		if g, ok := got[k]; !ok {
			lines = append(lines, fmt.Sprintf("%v is missing, it should be %v", k, v))
		} else if g != v {
			lines = append(lines, fmt.Sprintf("%v is %v, it should be %v", k, g, v))
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok {
			lines = append(lines, fmt.Sprintf("%v is %v, it should not be there", k, v))
		}
	}
	return firstOf(lines)
}

// firstOf shows a few of many lines.
func firstOf(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	slices.Sort(lines)
	const show = 3
	if len(lines) <= show {
		return strings.Join(lines, "; ")
	}
	return fmt.Sprintf("%d differ: %s; …", len(lines), strings.Join(lines[:show], "; "))
}
