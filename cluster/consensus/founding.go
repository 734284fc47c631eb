package consensus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Founding takes two steps on every store, each made durable before it shows:
//
//  1. Once all addresses of the list have answered with an unfounded store and
//     the same list, the store promises to found with exactly those stores.
//  2. Once all of them have promised the same, it is founded.
//
// A promise is never taken back. So a store that was lost on the way and minted
// anew finds the others bound to its predecessor, and nothing can be founded
// beside what they may have founded already: at worst the founding stops, with
// an error that says whose directory was lost. The cluster's id is computed
// from the stores, so that all who found the same found it under the same id.

// Answer is what a store says about itself to others that want to found.
type Answer struct {
	StoreID string   `json:"store"`
	Addrs   []string `json:"addrs,omitempty"` // the list that it was started with; nil while it starts
	Promise []Server `json:"promise,omitempty"`
	Joining string   `json:"joining,omitempty"` // the cluster that it joins or joined, see Join
	Founding
}

// Answer tells others about this store. Serve it for as long as the silo runs:
// who comes later founds by it too.
func (s *Store) Answer() Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Answer{
		StoreID: s.state.StoreID, Addrs: slices.Clone(s.addrs), Promise: slices.Clone(s.state.Promise), Joining: s.state.Joining,
		Founding: Founding{ClusterID: s.state.ClusterID, Founders: slices.Clone(s.state.Founders)},
	}
}

// EncodeAnswer writes an answer for the way to another silo.
func EncodeAnswer(a Answer) ([]byte, error) { return json.Marshal(a) }

// DecodeAnswer reads what EncodeAnswer wrote, from anybody.
func DecodeAnswer(data []byte) (Answer, error) {
	var a Answer
	if len(data) > storeLimit {
		return a, fmt.Errorf("consensus: answer of %d bytes", len(data))
	}
	d := json.NewDecoder(strings.NewReader(string(data)))
	if err := d.Decode(&a); err != nil {
		return Answer{}, fmt.Errorf("consensus: answer of a store: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || a.StoreID == "" {
		return Answer{}, errors.New("consensus: answer of a store: incomplete, or bytes after its end")
	}
	return a, nil
}

// NotFounded says why there is no cluster yet. It wraps the context's error.
type NotFounded struct {
	Reasons map[string]string // by address
	Cause   error
}

func (e *NotFounded) Error() string {
	var parts []string
	for addr, reason := range e.Reasons {
		parts = append(parts, addr+" "+reason)
	}
	slices.Sort(parts)
	return fmt.Sprintf("the cluster is not founded: %s (%v)", strings.Join(parts, "; "), e.Cause)
}

func (e *NotFounded) Unwrap() error { return e.Cause }

// ForeignStore says that this store and the cluster at an address do not belong
// together.
type ForeignStore struct {
	StoreID   string // ours
	Addr      string // who answered
	ClusterID string // of the cluster there
	Reason    string
	// Late says that the cluster there was founded without this store, which may [Join] it.
	Late bool
}

func (e *ForeignStore) Error() string {
	return fmt.Sprintf("store %s cannot be a member of cluster %s as found at %s: %s", e.StoreID, e.ClusterID, e.Addr, e.Reason)
}

// WrongList says that a store was founded with other addresses, or that a list
// makes no sense.
type WrongList struct {
	Addrs  []string
	Reason string
}

func (e *WrongList) Error() string {
	return fmt.Sprintf("address list %v: %s", e.Addrs, e.Reason)
}

const (
	askTimeout = time.Second
	askPause   = 50 * time.Millisecond
)

// Found makes the store a founder of the cluster of addrs, or returns what it
// was founded with before. self is this silo's own address as the list has it;
// the order of the list does not matter. ask fetches the Answer of the store at
// an address; it is called from several goroutines. A list of one founds at
// once.
//
// Found goes on asking until ctx ends, then returns *NotFounded. It returns
// *ForeignStore and *WrongList at once: they do not pass by themselves. A crash
// at any point is safe; call Found again. It is for stores that found: one that
// is founded already needs no list, see [Store.Founded], and one that joins or
// joined is refused (*ForeignStore).
func Found(ctx context.Context, store *Store, self string, addrs []string, ask func(ctx context.Context, addr string) (Answer, error)) ([]Server, string, error) {
	list, err := normalList(self, addrs)
	if err != nil {
		return nil, "", err
	}
	if own := store.now(); own.Joining != "" {
		return nil, "", &ForeignStore{StoreID: own.StoreID, Addr: self, ClusterID: own.Joining, Reason: "it has promised to join that cluster, and founds none"}
	}
	if f, ok := store.Founded(); ok {
		if !slices.Equal(list, addressesOf(f.Founders)) {
			return nil, "", &WrongList{Addrs: list, Reason: fmt.Sprintf("cluster %s was founded with %v; a founder that moved, or whose cluster has other members by now, opens its group without founding again", f.ClusterID, addressesOf(f.Founders))}
		}
		store.announce(list)
		return f.Founders, f.ClusterID, nil
	}
	store.announce(list)
	for {
		answers, silent := askAll(ctx, store, self, list, ask)
		step, reasons, err := decide(self, list, answers)
		if err != nil {
			return nil, "", err
		}
		for addr, err := range silent {
			reasons[addr] = fmt.Sprintf("did not answer (%v)", err)
		}
		switch step.kind {
		case stepPromise:
			if err := store.promise(step.founders); err != nil {
				return nil, "", err
			}
			continue
		case stepFound:
			f := Founding{ClusterID: clusterOf(step.founders), Founders: step.founders}
			if err := store.found(f); err != nil {
				return nil, "", err
			}
			return f.Founders, f.ClusterID, nil
		}
		select {
		case <-time.After(askPause):
		case <-ctx.Done():
			return nil, "", &NotFounded{Reasons: reasons, Cause: ctx.Err()}
		}
	}
}

// CheckList says what is wrong with the list of a silo's cluster by itself: a *WrongList, or nil.
func CheckList(self string, addrs []string) error {
	_, err := normalList(self, addrs)
	return err
}

func normalList(self string, addrs []string) ([]string, error) {
	list := slices.Clone(addrs)
	slices.Sort(list)
	if len(slices.Compact(slices.Clone(list))) != len(list) {
		return nil, &WrongList{Addrs: addrs, Reason: "it names an address twice"}
	}
	if !slices.Contains(list, self) {
		return nil, &WrongList{Addrs: addrs, Reason: fmt.Sprintf("it lacks this silo's own address %s", self)}
	}
	if slices.Contains(list, "") {
		return nil, &WrongList{Addrs: addrs, Reason: "it holds an empty address"}
	}
	return list, nil
}

func addressesOf(servers []Server) []string {
	var out []string
	for _, s := range servers {
		out = append(out, s.Addr)
	}
	slices.Sort(out)
	return out
}

func (s *Store) announce(list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addrs = list
}

func (s *Store) promise(founders []Server) error {
	return s.change(func(st *storeState) { st.Promise = founders })
}

func (s *Store) found(f Founding) error {
	return s.change(func(st *storeState) { st.Founding = f })
}

func askAll(ctx context.Context, store *Store, self string, list []string, ask func(context.Context, string) (Answer, error)) (map[string]Answer, map[string]error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var (
		mu      sync.Mutex
		wg      sync.WaitGroup
		answers = map[string]Answer{self: store.Answer()}
		silent  = map[string]error{}
	)
	for _, addr := range list {
		if addr == self {
			continue
		}
		wg.Go(func() {
			a, err := ask(ctx, addr)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				silent[addr] = err
				return
			}
			answers[addr] = a
		})
	}
	wg.Wait()
	return answers, silent
}

type stepKind int

const (
	stepWait stepKind = iota
	stepPromise
	stepFound
)

type step struct {
	kind     stepKind
	founders []Server // by id
}

// unguarded switches single rules of decide off, for the test that shows that
// each of them is needed.
type unguarded struct{ promises, silence bool }

// decide says what the store at self may do, given what the stores of the list
// answered, itself included. It is pure. What keeps it waiting is told by
// address; an error is final.
func decide(self string, list []string, answers map[string]Answer) (step, map[string]string, error) {
	return unguarded{}.decide(self, list, answers)
}

func (off unguarded) decide(self string, list []string, answers map[string]Answer) (step, map[string]string, error) {
	reasons := map[string]string{}
	own := answers[self]
	founded, err := foundedElsewhere(self, own, list, answers)
	if err != nil || founded != nil {
		return step{kind: stepFound, founders: founded}, reasons, err
	}

	var founders []Server
	holder := map[string]string{} // store id → address
	for _, addr := range list {
		a, ok := answers[addr]
		if !ok {
			if !off.silence {
				reasons[addr] = "did not answer"
			}
			continue
		}
		if other, twice := holder[a.StoreID]; twice {
			return step{}, nil, &WrongList{Addrs: list, Reason: fmt.Sprintf("%s and %s are the same store %s: one address by two names, or a data directory that was copied", other, addr, a.StoreID)}
		}
		holder[a.StoreID] = addr
		founders = append(founders, Server{ID: a.StoreID, Addr: addr})
		switch {
		case a.Joining != "":
			reasons[addr] = fmt.Sprintf("joins cluster %s and founds none", a.Joining)
		case a.Addrs == nil:
			reasons[addr] = "is starting"
		case !slices.Equal(sortedStrings(a.Addrs), list):
			reasons[addr] = fmt.Sprintf("was started with another list: %v", a.Addrs)
		}
	}
	if len(reasons) > 0 {
		return step{}, reasons, nil
	}
	founders = sorted(founders)
	if off.promises {
		return step{kind: stepFound, founders: founders}, reasons, nil
	}
	for _, addr := range list {
		if p := answers[addr].Promise; p != nil && !slices.Equal(p, founders) {
			reasons[addr] = fmt.Sprintf("has promised to found with %s; a data directory was lost since: empty the directories of all, nothing has been stored in them yet", missingFrom(p, founders))
		}
	}
	if len(reasons) > 0 {
		return step{}, reasons, nil
	}
	if own.Promise == nil {
		return step{kind: stepPromise, founders: founders}, reasons, nil
	}
	for _, addr := range list {
		if answers[addr].Promise == nil {
			reasons[addr] = "has not promised yet"
		}
	}
	if len(reasons) > 0 {
		return step{}, reasons, nil
	}
	return step{kind: stepFound, founders: founders}, reasons, nil
}

// foundedElsewhere returns the founders that others have founded with, where
// this store is one of them.
func foundedElsewhere(self string, own Answer, list []string, answers map[string]Answer) ([]Server, error) {
	var founders []Server
	for _, addr := range list {
		a, ok := answers[addr]
		if !ok || a.ClusterID == "" {
			continue
		}
		foreign := &ForeignStore{StoreID: own.StoreID, Addr: addr, ClusterID: a.ClusterID}
		switch {
		case a.Joining != "" && own.Promise != nil && a.ClusterID == clusterOf(own.Promise):
			continue // joined what this store helped to found; a founder says the rest
		case a.Joining != "":
			foreign.Reason, foreign.Late = "that cluster is founded already: join it", true
		case a.ClusterID != clusterOf(a.Founders):
			foreign.Reason = "its id does not fit its founders; the answer is damaged or not genuine"
		case !slices.Contains(a.Founders, Server{ID: own.StoreID, Addr: self}):
			foreign.Reason = "this store is not one of its founders. Either this silo's data directory was lost, or its address list names another cluster. To be a member of it, this store must join it"
			foreign.Late = true
		case !slices.Equal(own.Promise, a.Founders):
			foreign.Reason = "this store is one of its founders but does not remember it: its data directory was restored from an older copy and must not vote; remove the copy"
		default:
			founders = a.Founders
			continue
		}
		return nil, foreign
	}
	return founders, nil
}

func missingFrom(promised, now []Server) string {
	var gone []string
	for _, p := range promised {
		if !slices.Contains(now, p) {
			gone = append(gone, p.ID+" at "+p.Addr)
		}
	}
	return strings.Join(gone, ", ")
}

func sortedStrings(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return out
}

// clusterOf names the cluster of these founders, the same wherever it is
// computed.
func clusterOf(founders []Server) string {
	h := sha256.New()
	for _, f := range sorted(founders) {
		_, _ = fmt.Fprintf(h, "%q %q\n", f.ID, f.Addr)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
