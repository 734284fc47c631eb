package consensus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Joining takes two steps on the store that joins, each made durable before it
// shows:
//
//  1. The leader of a cluster has answered, and does not know the store: the
//     store promises to be a member of that cluster and of no other.
//  2. It applies the entry of the log that made it a member: it is one.
//
// A leader adds only stores that have made the promise to its own cluster, so
// none is ever a member of two. The log that a member has begun is remembered
// with the promise, before the leader hears that it arrived, and a store is
// given a vote only after that. So a store without a log that the cluster knows
// as a voter has forgotten what it acknowledged and whom it voted for (its
// directory was restored from an older copy); it must never vote again.

// Application is what a store that is to be a member sends to the leader.
type Application struct {
	Server
	// ClusterID is the cluster that the store has promised to belong to; empty
	// before that: then it only asks.
	ClusterID string `json:"cluster,omitempty"`
	// Begun and Joined are what the store remembers: that its log holds
	// something, and that it has been a member.
	Begun  bool `json:"begun,omitempty"`
	Joined bool `json:"joined,omitempty"`
}

// Admission is the leader's answer.
type Admission struct {
	ClusterID string `json:"cluster"`
	// Standing of the store: Waiting where it is no member.
	Standing Standing `json:"standing"`
}

// EncodeApplication writes an application for the way to the leader.
func EncodeApplication(a Application) ([]byte, error) { return json.Marshal(a) }

// DecodeApplication reads what EncodeApplication wrote, from anybody.
func DecodeApplication(data []byte) (Application, error) {
	var a Application
	if err := decodeMessage(data, &a); err != nil {
		return Application{}, fmt.Errorf("consensus: application of a store: %w", err)
	}
	if a.ID == "" || len(a.ID) > maxStoreID || a.Addr == "" {
		return Application{}, fmt.Errorf("consensus: application of a store: no id of at most %d bytes, or no address", maxStoreID)
	}
	return a, nil
}

// EncodeAdmission writes an admission for the way back.
func EncodeAdmission(a Admission) ([]byte, error) { return json.Marshal(a) }

// DecodeAdmission reads what EncodeAdmission wrote, from anybody.
func DecodeAdmission(data []byte) (Admission, error) {
	var a Admission
	if err := decodeMessage(data, &a); err != nil {
		return Admission{}, fmt.Errorf("consensus: admission of a store: %w", err)
	}
	if a.ClusterID == "" || len(a.ClusterID) > maxClusterID || a.Standing > Removed {
		return Admission{}, errors.New("consensus: admission of a store: no cluster id, or an unknown standing")
	}
	return a, nil
}

func decodeMessage(data []byte, into any) error {
	if len(data) > storeLimit {
		return fmt.Errorf("%d bytes", len(data))
	}
	d := json.NewDecoder(strings.NewReader(string(data)))
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("bytes after its end")
	}
	return nil
}

// NotJoined says why this store is no member yet. It wraps the context's error.
type NotJoined struct {
	Reasons map[string]string // by seed
	Cause   error
}

func (e *NotJoined) Error() string {
	var parts []string
	for seed, reason := range e.Reasons {
		parts = append(parts, seed+" "+reason)
	}
	slices.Sort(parts)
	return fmt.Sprintf("no cluster has been joined: %s (%v)", strings.Join(parts, "; "), e.Cause)
}

func (e *NotJoined) Unwrap() error { return e.Cause }

// Join makes the store a member, without a vote, of the cluster that the seeds
// belong to, and returns the cluster's id. Open a Group with it then, without
// founders and with the store as Config.Identity. addr is where this replica
// will take the others' connections. A store that is a member already, a
// founder too, returns at once and asks nobody.
//
// apply takes the application by way of the silo at a seed to the leader of its
// cluster and returns what [Group.Admit] answered there. Join tries one seed
// after the other until ctx ends, then returns *NotJoined; one that can be
// reached is enough. What does not pass by itself is returned at once:
// *ForeignStore of a seed of a cluster that this store cannot belong to,
// *StoreRemoved of a store that is a member no more, *AddressTaken and
// *BadChange where apply returns them. A crash at any point is safe; call Join
// again.
func Join(ctx context.Context, store *Store, addr string, seeds []string, apply func(ctx context.Context, seed string, a Application) (Admission, error)) (string, error) {
	if len(seeds) == 0 {
		return "", errors.New("consensus: no seeds to join a cluster by")
	}
	for reasons := map[string]string{}; ; {
		for _, seed := range seeds {
			cluster, reason, err := store.applyAt(ctx, seed, addr, apply)
			if cluster != "" || err != nil {
				return cluster, err
			}
			reasons[seed] = reason
		}
		select {
		case <-time.After(askPause):
		case <-ctx.Done():
			return "", &NotJoined{Reasons: reasons, Cause: ctx.Err()}
		}
	}
}

// applyAt goes as far as one seed helps. It returns the cluster, or a reason to
// try elsewhere or again, or what does not pass by itself.
func (s *Store) applyAt(ctx context.Context, seed, addr string, apply func(context.Context, string, Application) (Admission, error)) (cluster, reason string, err error) {
	for {
		own := s.now()
		switch {
		case own.Removed:
			return "", "", &StoreRemoved{StoreID: own.StoreID, ClusterID: own.ClusterID}
		case own.ClusterID != "":
			return own.ClusterID, "", nil
		}
		limited, cancel := context.WithTimeout(ctx, applyTimeout)
		admission, err := apply(limited, seed, s.Application(addr))
		cancel()
		if errors.As(err, new(*AddressTaken)) || errors.As(err, new(*BadChange)) {
			return "", "", err
		}
		if err != nil {
			return "", fmt.Sprintf("did not admit it (%v)", err), nil
		}
		next, err := accept(own, seed, admission)
		if err != nil {
			return "", "", err
		}
		switch next {
		case joinOpen:
			return admission.ClusterID, "", nil
		case joinWait:
			return "", "has not added it yet", nil
		}
		if err := s.change(func(st *storeState) { st.Joining = admission.ClusterID }); err != nil {
			return "", "", err
		}
	}
}

// applyTimeout bounds one application: the leader logs an entry and a change of
// the members.
const applyTimeout = 5 * time.Second

// Application is what the store has to say to a leader, with the address of
// now. Send it to [Group.Admit] when a member has moved.
func (s *Store) Application(addr string) Application {
	own := s.now()
	return Application{Server: Server{ID: own.StoreID, Addr: addr}, ClusterID: own.cluster(), Begun: own.Begun, Joined: own.ClusterID != ""}
}

type joinKind int

const (
	joinWait joinKind = iota
	joinPromise
	joinOpen
)

// rashJoins switches single rules of accept off, for the test that shows that
// each of them is needed.
type rashJoins struct{ promises, copies bool }

// accept says what a store that is no member yet may do with a leader's answer.
// It is pure.
func accept(own storeState, seed string, a Admission) (joinKind, error) {
	return rashJoins{}.accept(own, seed, a)
}

func (off rashJoins) accept(own storeState, seed string, a Admission) (joinKind, error) {
	foreign := &ForeignStore{StoreID: own.StoreID, Addr: seed, ClusterID: a.ClusterID}
	const forgotten = "it is a member there and does not remember it: its data directory was restored from an older copy and must not vote; remove the copy, and the member, and join with an empty directory"
	switch {
	case own.Promise != nil:
		foreign.Reason = "it has promised to found another"
	case own.Joining != "" && own.Joining != a.ClusterID && !off.promises:
		foreign.Reason = "it has promised to join cluster " + own.Joining
	case a.Standing == Removed:
		return joinWait, &StoreRemoved{StoreID: own.StoreID, ClusterID: a.ClusterID}
	case own.Joining == "" && a.Standing != Waiting && !off.copies,
		a.Standing == Voter && !own.Begun && !off.copies:
		foreign.Reason = forgotten
	case own.Joining == "", own.Joining != a.ClusterID: // the latter without the rule
		return joinPromise, nil
	case a.Standing == Waiting:
		return joinWait, nil
	default:
		return joinOpen, nil
	}
	return joinWait, foreign
}

// Admit answers a store that is to be a member, or a member that has moved. It
// is for the leader: elsewhere it fails with *NotLeader, which tells whom to
// ask. A store that has promised itself to this cluster is added, without a
// vote, or its new address noted; one that has not is only told what it is
// here. Who may apply at all is for the caller to check. It fails as ReadIndex
// and Add do; the store asks again.
func (g *Group) Admit(ctx context.Context, a Application) (Admission, error) {
	for {
		if err := g.Barrier(ctx); err != nil {
			return Admission{}, err
		}
		members, _ := g.Members()
		standing, add := judge(a, g.cfg.ClusterID, members)
		if add {
			err := g.Add(ctx, a.Server, members.Version)
			if errors.As(err, new(*MembersChanged)) {
				continue // the barrier of the next round comes after that change
			}
			if err != nil {
				return Admission{}, err
			}
		}
		return Admission{ClusterID: g.cfg.ClusterID, Standing: standing}, nil
	}
}

// judge says what a store that applies is to be told, and whether it is to be
// added, or its address changed, before that. It is pure.
func judge(a Application, cluster string, members Members) (standing Standing, add bool) {
	m, member := members.Find(a.ID)
	standing = standingIn(members, a.ID)
	switch {
	case a.ClusterID != cluster: // it only asks, or belongs elsewhere and will see that
		return standing, false
	case !member && a.Joined:
		return Removed, false
	case !member:
		return Nonvoter, true
	case m.Voter && !a.Begun: // it has forgotten, and will see that
		return standing, false
	}
	return standing, m.Addr != a.Addr
}
