package silo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/discovery"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
)

// ErrLeft is what [Silo.Failed] yields when an operator has had the silo leave (siloctl drain): it has given
// everything to the others, and holds nothing any more. Stop it then. [Run] returns nil.
var ErrLeft = errors.New("the silo has left its cluster, because an operator wanted it to")

// operates says whether somebody may change which silos there are. It has to be shown: by the secret or a
// silo's certificate, which make a silo of who asks, or by a certificate with a name in Config.Operators.
// Without either, the address that is listened on must be one that no other machine reaches.
func (s *run) operates(from actor.Peer) bool {
	c := s.config
	switch {
	case !c.TLS.IsZero():
		return from.Silo || from.Principal != "" && slices.Contains(c.Operators, from.Principal)
	case c.Secret != "":
		return from.Silo
	}
	return c.Network != nil || actor.Loopback(c.Listen)
}

// denial says what would have shown that somebody is an operator.
func (s *run) denial(from actor.Peer) string {
	switch {
	case !s.config.TLS.IsZero():
		return fmt.Sprintf("the certificate of %q makes no operator: add that name to Config.Operators of all silos, or use a silo's certificate and the cluster's secret", from.Principal)
	case s.config.Secret != "":
		return "an operator shows the cluster's secret"
	}
	return "this silo can be reached from other machines, and has neither TLS nor a Secret by which an operator could show to be one: give it one of them"
}

// serveAdmin is the handler of link.ServiceAdmin.
func (s *run) serveAdmin(ctx context.Context, from actor.Peer, payload []byte) ([]byte, error) {
	r, err := link.DecodeAdminRequest(payload)
	if err != nil {
		return nil, err
	}
	if !s.operates(from) {
		s.log.Warn("refused: an order by somebody who has not shown to be an operator", "from", from.Addr, "principal", from.Principal)
		return (&link.AdminReply{Status: link.AdminDenied, Detail: s.denial(from)}).Append(nil), nil
	}
	return s.administer(ctx, from, r).Append(nil), nil
}

func (s *run) administer(ctx context.Context, from actor.Peer, r *link.AdminRequest) *link.AdminReply {
	switch r.Op {
	case link.AdminInit:
		return s.invite(from, r.Addrs)
	case link.AdminAsk:
		if len(r.Addrs) == 0 {
			return s.belongs()
		}
		return s.invitable(r.Addrs)
	}
	if s.admits[viewGroup].Load() == nil {
		return refused(link.AdminLater, "silo %s is no member of a cluster yet", s.addr)
	}
	if r.Op == link.AdminDrain {
		return s.sendAway(from, r)
	}
	return s.removeStore(ctx, from, r)
}

func refused(status link.AdminStatus, format string, args ...any) *link.AdminReply {
	return &link.AdminReply{Status: status, Detail: fmt.Sprintf(format, args...)}
}

// sendAway has this silo leave.
func (s *run) sendAway(from actor.Peer, r *link.AdminRequest) *link.AdminReply {
	table := s.views.Current()
	own, ok := table.Has(view.Run{ID: s.id, Incarnation: s.incarnation})
	switch {
	case r.Silo != s.id:
		return refused(link.AdminUnknown, "the silo at %s is store %s", s.addr, s.id)
	case !ok || own.State == view.Joining:
		return refused(link.AdminLater, "silo %s is joining its cluster", s.addr)
	}
	if alone := hostedAlone(table, own); own.State == view.Active && len(alone) > 0 {
		return refused(link.AdminAlone, "no other silo is active that hosts %s: start one first, or stop this one as any process if its grains may be away", strings.Join(alone, ", "))
	}
	s.log.Info("an operator has this silo leave", "from", from.Addr, "principal", from.Principal)
	s.order()
	return &link.AdminReply{Status: link.AdminOK}
}

// hostedAlone lists what nobody could take from a silo: the kinds that no other active one hosts.
func hostedAlone(table *view.Table, own view.Member) (alone []string) {
	for _, kind := range own.Kinds {
		if !slices.ContainsFunc(table.Members, func(o view.Member) bool { return o.ID != own.ID && o.State == view.Active && o.Hosts(kind) }) {
			alone = append(alone, kind)
		}
	}
	return alone
}

// order has keep give the silo away.
func (s *Silo) order() { s.once.Do(func() { close(s.ordered) }) }

// leaveAsOrdered gives everything away, and says so to whoever has started the silo. Stop ends it early.
func (s *Silo) leaveAsOrdered() {
	s.run.leave(s.life)
	s.run.loseVote(s.life)
	if s.life.Err() != nil {
		return
	}
	s.log.Info("the silo has left its cluster")
	select {
	case s.failure <- ErrLeft:
	default: // it cannot go on anyhow
	}
}

// loseVote waits, for a moment, until the log does without this store where that lets more failures pass:
// of two voters, one that is gone for good stops the other.
func (s *run) loseVote(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, loseVoteTime)
	defer cancel()
	for _, group := range []*consensus.Group{s.council, s.group} {
		for {
			members, changed := group.Members()
			if members.Self != consensus.Voter || members.Voters()%2 == 1 {
				break
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

const loseVoteTime = 5 * time.Second

// watchDismissal waits until this store is none of the cluster's any more. The ledger follows the views; until
// then the vote of this store may be needed there to let it go, so it waits for that, for a while.
func (s *run) watchDismissal() {
	s.awaitRemoval(s.life, s.council)
	bounded, cancel := context.WithTimeout(s.life, dismissalTime)
	defer cancel()
	s.awaitRemoval(bounded, s.group)
	if s.life.Err() == nil {
		close(s.dismissed)
	}
}

// awaitRemoval waits until this store is no member of a group any more, or for ctx.
func (s *run) awaitRemoval(ctx context.Context, group *consensus.Group) {
	for {
		members, changed := group.Members()
		if members.Self == consensus.Removed {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// dismissalTime is longer than the ledger takes to follow: a lease, and a few looks at who votes.
const dismissalTime = 10 * time.Second

// dismissal says that.
func (s *run) dismissal() error {
	return &consensus.StoreRemoved{StoreID: string(s.id), ClusterID: s.belongs().Cluster}
}

// removeStore takes a store out of the cluster for good, on the leader of the log; others pass that on. What
// it decides is that the store is expelled: the leader then removes it step by step, and who asks sees that in
// reports. A leader that is replaced forgets, so it is asked again.
func (s *run) removeStore(ctx context.Context, from actor.Peer, r *link.AdminRequest) *link.AdminReply {
	if !s.council.IsLeader() {
		return s.passOn(ctx, r)
	}
	members, _ := s.council.Members()
	known, inView := s.views.Current().Member(r.Silo)
	store, inLog := members.Find(string(r.Silo))
	switch {
	case !inView && !inLog:
		return refused(link.AdminUnknown, "no store %s is a member: it was removed, or never let in", r.Silo)
	case inView && known.Alive() && !r.Force:
		return refused(link.AdminLiving, "silo %s is %s: drain it first; if it cannot be reached, wait until the others have found it dead, or force the removal, which cuts its calls off", known.Addr, known.State)
	}
	data, _ := s.group.Members()
	inLedger, _ := data.Find(string(r.Silo))
	if store.Voter || inLedger.Voter {
		since := time.Now().Add(-s.config.Lease / 2)
		if missing, few := minority(string(s.id), string(r.Silo), since, members, data); few {
			return refused(link.AdminMajority, "of the silos that vote in the log without this one, most would be missing (%s do not answer), and nothing could be decided any more: start those again from their directories first", orNone(missing))
		}
	}
	if r.Silo == s.id {
		if err := s.council.StepDown(); err != nil {
			return refused(link.AdminLater, "silo %s leads the log, and cannot hand that over: %v", s.addr, err)
		}
		return refused(link.AdminLater, "silo %s led the log, and has handed that over", s.addr)
	}
	if !s.membership.expel(r.Silo) {
		return refused(link.AdminLater, "silo %s leads the log no more", s.addr)
	}
	s.log.Info("an operator has a store removed", "store", string(r.Silo), "from", from.Addr, "principal", from.Principal)
	return &link.AdminReply{Status: link.AdminOK}
}

// minority says whether most voters of a log, the views' or the ledger's, would be missing if one were none any
// more, and who has not been heard of since then. The leader of the views hears all that belong to the cluster, the
// ledger's may be another: who is in the ledger alone, forgotten by the views, is missing there.
func minority(self, without string, since time.Time, views, ledger consensus.Members) (missing []string, few bool) {
	for _, log := range []consensus.Members{views, ledger} {
		voters, lost := 0, 0
		for _, m := range log.List {
			if !m.Voter || m.ID == without {
				continue
			}
			voters++
			known, _ := views.Find(m.ID)
			if m.ID == self || m.LastContact.After(since) || known.LastContact.After(since) {
				continue
			}
			lost++
			addr, err := siloAddr(m.Addr)
			if err != nil {
				addr = m.Addr
			}
			if !slices.Contains(missing, addr) {
				missing = append(missing, addr)
			}
		}
		few = few || 2*(voters-lost) <= voters
	}
	return missing, few
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// passOn has the leader of the log do what is asked for.
func (s *run) passOn(ctx context.Context, r *link.AdminRequest) *link.AdminReply {
	leader, ok := s.council.Leader()
	switch {
	case r.Passed:
		return refused(link.AdminLater, "silo %s does not lead the log", s.addr)
	case !ok:
		return refused(link.AdminLater, "no silo leads the log, as far as %s knows: most of those that vote must be up", s.addr)
	}
	addr, err := siloAddr(leader.Addr)
	if err != nil {
		return refused(link.AdminLater, "the address of the log's leader: %v", err)
	}
	passed := *r
	passed.Passed = true
	b, err := s.node.RequestPeer(ctx, actor.Peer{Addr: addr, Silo: true}, link.ServiceAdmin, passed.Append(nil))
	if err != nil {
		return refused(link.AdminLater, "silo %s, which leads the log, does not answer: %v", addr, err)
	}
	reply, err := link.DecodeAdminReply(b)
	if err != nil {
		return refused(link.AdminLater, "the answer of %s: %v", addr, err)
	}
	return reply
}

// belongs says how far this silo is with being a member of a cluster.
func (s *run) belongs() *link.AdminReply {
	return &link.AdminReply{Status: link.AdminOK, Silo: s.id, Addr: s.addr, Cluster: s.cluster(), Waiting: s.waits.Load()}
}

// cluster is the id of that which this store belongs to or is about to join, if any.
func (s *run) cluster() string {
	a := s.store.Answer()
	return cmp.Or(a.ClusterID, a.Joining)
}

// invitable says whether this silo could found a cluster with all of a list.
func (s *run) invitable(list []string) *link.AdminReply {
	reply := s.belongs()
	no := func(status link.AdminStatus, format string, args ...any) *link.AdminReply {
		reply.Status, reply.Detail = status, fmt.Sprintf(format, args...)
		return reply
	}
	if reply.Cluster != "" {
		return no(link.AdminMember, "silo %s belongs to cluster %s", s.addr, reply.Cluster)
	}
	if err := consensus.CheckList(s.addr, list); err != nil {
		return no(link.AdminList, "%v", err)
	}
	if err := s.config.checkPorts(list); err != nil {
		return no(link.AdminList, "%v", err)
	}
	if promised := promisedWith(s.store); promised != nil && !slices.Equal(promised, slices.Sorted(slices.Values(list))) {
		return no(link.AdminList, "silo %s has promised to found with %v: give that list, or empty the directories of all of those", s.addr, promised)
	}
	if written, is := s.source.(discovery.Static); s.config.Expect > 0 || is && slices.Contains(written, s.addr) {
		return no(link.AdminList, "silo %s founds by itself with the silos of its Config.Join, when all have been started: it needs no init", s.addr)
	}
	if !reply.Waiting {
		return no(link.AdminLater, "silo %s is starting", s.addr)
	}
	return reply
}

// invite has this silo, which waits for a cluster to join, found one with all of a list.
func (s *run) invite(from actor.Peer, list []string) *link.AdminReply {
	reply := s.invitable(list)
	if reply.Status != link.AdminOK {
		return reply
	}
	s.log.Info("an operator has this silo found a cluster", "of", list, "from", from.Addr, "principal", from.Principal)
	for {
		select {
		case s.invited <- list:
			return reply
		default:
		}
		select { // the newest one counts
		case <-s.invited:
		default:
		}
	}
}

// promisedWith lists, sorted, the silos with which a store has promised to found; nil where it has not.
func promisedWith(store *consensus.Store) (addrs []string) {
	for _, founder := range store.Answer().Promise {
		addrs = append(addrs, founder.Addr)
	}
	slices.Sort(addrs)
	return addrs
}

// joinOrFound makes the store a member of the cluster that the silos of Join belong to, or founds one with the
// list that an operator gives (siloctl init), whichever is there first. A store that has promised to found goes
// on with that.
func (s *run) joinOrFound(ctx context.Context, give context.CancelCauseFunc) (founders []consensus.Server, cluster string, err error) {
	s.waits.Store(true)
	defer s.waits.Store(false)
	list := promisedWith(s.store)
	for {
		attempt, interrupt := context.WithCancel(ctx)
		told := make(chan []string, 1) // one: sent once
		go func() {
			select {
			case list := <-s.invited:
				interrupt()
				told <- list
			case <-attempt.Done():
				told <- nil
			}
		}()
		if list == nil {
			cluster, err = s.join(attempt, give, s.store, viewGroup)
		} else {
			founders, cluster, err = s.agree(attempt, list, give)
		}
		interrupt()
		next := <-told
		switch {
		case err == nil || context.Cause(ctx) != nil:
			return founders, cluster, err
		case next != nil:
			list = next
		case list != nil && (tooLate(err) || s.store.Answer().Joining != ""): // another cluster was there first
			list = nil
		default:
			return nil, "", err
		}
	}
}
