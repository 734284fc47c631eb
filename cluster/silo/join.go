package silo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/discovery"
	"github.com/martinelli-go/martinelli/cluster/link"
)

// NotResolved says that Config.Join did not yield all the silos that Config.Expect says there are. It wraps
// the context's error.
type NotResolved struct {
	Join   string
	Expect int
	Last   error // what was wrong when it was last looked at
	Cause  error
}

func (e *NotResolved) Error() string {
	return fmt.Sprintf("%s does not yield the %d silos of Config.Expect: %v (%v)", e.Join, e.Expect, e.Last, e.Cause)
}

func (e *NotResolved) Unwrap() []error { return []error{e.Last, e.Cause} }

// resolveAgain is how long a list that was not written out is believed while the others do not agree.
const resolveAgain = 2 * time.Second

// belong makes this silo's store a member of a cluster: it founds one with all that Join yields, finds that it
// has done so, or joins one. Founders are those who founded, with this store among them; none where it joined.
func (s *run) belong(ctx context.Context) (founders []consensus.Server, cluster string, err error) {
	// A foreign silo does not become one of ours by being asked again.
	ctx, give := context.WithCancelCause(ctx)
	defer give(nil)
	defer func() {
		if foreign := (*actor.Foreign)(nil); err != nil && errors.As(context.Cause(ctx), &foreign) {
			err = foreign
		}
	}()
	f, founded := s.store.Founded()
	list, written := s.source.(discovery.Static)
	switch {
	case founded && len(f.Founders) == 0:
		return nil, f.ClusterID, nil
	case founded: // the list of now may be another one, and this silo may have moved
		list = nil
		for _, founder := range f.Founders {
			list = append(list, founder.Addr)
		}
		if !slices.Contains(list, s.addr) {
			return f.Founders, f.ClusterID, nil
		}
		return s.agree(ctx, list, give)
	case written && slices.Contains(list, s.addr):
		if founders, cluster, err = s.agree(ctx, list, give); !tooLate(err) {
			return founders, cluster, err
		}
	case s.config.Expect > 0:
		if founders, cluster, err = s.agreeResolved(ctx, give); !tooLate(err) {
			return founders, cluster, err
		}
	}
	return s.joinOrFound(ctx, give)
}

// belongToLedger makes this silo's store a member of the ledger's group, too: as a founder where it founded the
// cluster, else by asking to be let in.
func (s *run) belongToLedger(ctx context.Context, cluster string, founders []consensus.Server) (*consensus.Store, string, error) {
	if len(founders) > 0 {
		return s.store.FoundPart(ledgerPart, founders)
	}
	part, err := s.store.Part(ledgerPart)
	if err != nil {
		return nil, "", err
	}
	if f, joined := part.Founded(); joined {
		return part, f.ClusterID, nil
	}
	ctx, give := context.WithCancelCause(ctx)
	defer give(nil)
	id, err := s.join(ctx, give, part, dataGroup)
	if err == nil && id != consensus.PartOf(cluster, ledgerPart) {
		err = fmt.Errorf("it is that of another cluster, %s", id)
	}
	return part, id, err
}

// tooLate says that others have founded the cluster without this store, which may join it.
func tooLate(err error) bool {
	foreign := new(*consensus.ForeignStore)
	return errors.As(err, foreign) && (*foreign).Late
}

// asker takes questions to other silos, and gives up what it is asked for where one does not take this silo for
// one of its cluster's.
func (s *run) asker(give context.CancelCauseFunc) func(ctx context.Context, addr string, service actor.Service, payload []byte) ([]byte, error) {
	return func(ctx context.Context, addr string, service actor.Service, payload []byte) ([]byte, error) {
		b, err := s.node.RequestPeer(ctx, actor.Peer{Addr: addr, Silo: true}, service, payload)
		if foreign := (*actor.Foreign)(nil); errors.As(err, &foreign) {
			give(foreign)
		}
		return b, err
	}
}

// agree founds the cluster with all of a list, or finds that it is founded.
func (s *run) agree(ctx context.Context, list []string, give context.CancelCauseFunc) ([]consensus.Server, string, error) {
	request := s.asker(give)
	return consensus.Found(ctx, s.store, s.addr, list, func(ctx context.Context, addr string) (consensus.Answer, error) {
		b, err := request(ctx, addr, link.ServiceFounding, nil)
		if err != nil {
			return consensus.Answer{}, err
		}
		return consensus.DecodeAnswer(b)
	})
}

// agreeResolved does the same with what Join yields, again and again, until all agree.
func (s *run) agreeResolved(ctx context.Context, give context.CancelCauseFunc) ([]consensus.Server, string, error) {
	for {
		list, err := s.resolve(ctx)
		if err != nil {
			return nil, "", err
		}
		bounded, cancel := context.WithTimeout(ctx, resolveAgain)
		founders, id, err := s.agree(bounded, list, give)
		cancel()
		if missing := new(*consensus.NotFounded); !errors.As(err, missing) || ctx.Err() != nil {
			return founders, id, err
		}
	}
}

// join makes a store a member of a group of the cluster that the silos of Join belong to.
func (s *run) join(ctx context.Context, give context.CancelCauseFunc, store *consensus.Store, group byte) (string, error) {
	own, err := logAddr(s.addr)
	if err != nil {
		return "", &ConfigError{"Advertise", err.Error()}
	}
	request := s.asker(give)
	apply := func(ctx context.Context, seed string, a consensus.Application) (consensus.Admission, error) {
		b, err := consensus.EncodeApplication(a)
		if err == nil {
			b, err = request(ctx, seed, link.ServiceAdmit, append([]byte{group}, b...))
		}
		if err != nil {
			return consensus.Admission{}, err
		}
		return consensus.DecodeAdmission(b)
	}
	for {
		seeds, err := s.source.Seeds(ctx)
		seeds = slices.DeleteFunc(slices.Clone(seeds), func(addr string) bool { return addr == s.addr })
		if err == nil && len(seeds) == 0 {
			err = fmt.Errorf("%s yields no silo but this one", s.source)
		}
		if err == nil {
			seeds, err = s.reached(ctx, seeds, s.cluster())
			if foreign := (*actor.Foreign)(nil); errors.As(err, &foreign) {
				give(foreign)
			}
		}
		if err == nil {
			bounded, cancel := context.WithTimeout(ctx, resolveAgain)
			var cluster string
			cluster, err = consensus.Join(bounded, store, own, seeds, apply)
			cancel()
			if err == nil || !errors.As(err, new(*consensus.NotJoined)) {
				return cluster, err
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		case <-time.After(joinPause):
		}
	}
}

// joinPause is the time between two rounds of asking for admission.
const joinPause = 100 * time.Millisecond

// serveAdmit is the handler of link.ServiceAdmit: a silo that wants to be a member of the log. Whoever does not
// lead passes the question on.
func (s *run) serveAdmit(ctx context.Context, from actor.Peer, payload []byte) ([]byte, error) {
	if !from.Silo {
		return nil, errSilosOnly
	}
	if len(payload) == 0 || s.admits[payload[0]] == nil {
		return nil, actor.Refuse("there is no such group here")
	}
	a, err := consensus.DecodeApplication(payload[1:])
	if err != nil {
		return nil, err
	}
	group := s.admits[payload[0]].Load()
	if group == nil {
		return nil, actor.Refuse("the cluster is still being founded")
	}
	admission, err := group.Admit(ctx, a)
	if elsewhere := (*consensus.NotLeader)(nil); errors.As(err, &elsewhere) && elsewhere.Leader.Addr != "" {
		addr, wrong := siloAddr(elsewhere.Leader.Addr)
		if wrong != nil || addr == from.Addr {
			return nil, err
		}
		return s.node.RequestPeer(ctx, actor.Peer{Addr: addr, Silo: true}, link.ServiceAdmit, payload)
	}
	if err != nil {
		return nil, err
	}
	return consensus.EncodeAdmission(admission)
}

// resolve waits until Join yields as many addresses as are expected, this silo's own among them.
func (s *run) resolve(ctx context.Context) ([]string, error) {
	var wrong error
	for seeds, err := range s.source.Watch(ctx) {
		switch {
		case err != nil:
			wrong = err
		case len(seeds) != s.config.Expect:
			wrong = fmt.Errorf("it yields %d: %.500v", len(seeds), seeds)
		case !slices.Contains(seeds, s.addr):
			wrong = fmt.Errorf("it lacks this silo's own address %s (Config.Advertise): %.500v", s.addr, seeds)
		default:
			return seeds, s.config.checkPorts(seeds)
		}
	}
	if wrong == nil {
		wrong = errors.New("it has not answered")
	}
	return nil, &NotResolved{s.source.String(), s.config.Expect, wrong, context.Cause(ctx)}
}

// readmit tells the leaders of the groups where this silo is now, when it hears of none: it may have moved, and
// nobody knows the way to it. Whoever can be reached passes that on.
func (s *run) readmit(ctx context.Context) {
	tick := time.NewTicker(readmitEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for number, group := range map[byte]*consensus.Group{viewGroup: s.council, dataGroup: s.group} {
			if _, known := group.Leader(); !known {
				s.readmitTo(ctx, number, group)
			}
		}
	}
}

// readmitEvery is longer than an election takes.
const readmitEvery = 2 * time.Second

func (s *run) readmitTo(ctx context.Context, number byte, group *consensus.Group) {
	ctx, cancel := context.WithTimeout(ctx, readmitEvery)
	defer cancel()
	own, err := logAddr(s.addr)
	if err != nil {
		return // it was checked at the start
	}
	store := s.store
	if number == dataGroup {
		if store, err = s.store.Part(ledgerPart); err != nil {
			return
		}
	}
	b, err := consensus.EncodeApplication(store.Application(own))
	if err != nil {
		return
	}
	addrs, _ := s.source.Seeds(ctx) // those that the log knows may do
	members, _ := group.Members()
	for _, m := range members.List {
		if addr, err := siloAddr(m.Addr); err == nil {
			addrs = append(addrs, addr)
		}
	}
	slices.Sort(addrs)
	addrs, _ = s.reached(ctx, slices.DeleteFunc(slices.Compact(addrs), func(addr string) bool { return addr == s.addr }), s.cluster())
	for _, addr := range addrs {
		if _, err := s.node.RequestPeer(ctx, actor.Peer{Addr: addr, Silo: true}, link.ServiceAdmit, append([]byte{number}, b...)); err == nil {
			return
		}
	}
}
