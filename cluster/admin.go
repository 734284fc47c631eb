package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/link"
)

// Why an order was refused: what the Cause of a [*Refused] is. Nothing was done.
var (
	ErrNotOperator = errors.New("only an operator may do that")
	ErrUnknownSilo = errors.New("there is no such silo")
	ErrAmbiguous   = errors.New("several stores have that address")
	ErrUnreachable = errors.New("it does not answer")
	ErrNotNow      = errors.New("it cannot be done now")
	ErrOnlySilo    = errors.New("nobody could take what it holds")
	ErrAlive       = errors.New("it lives")
	ErrNoMajority  = errors.New("most of those that vote in the log would be missing")
	ErrFounded     = errors.New("it belongs to a cluster already")
	ErrWrongList   = errors.New("it cannot found a cluster with that list")
)

// causes are by the status that a silo answers with.
var causes = map[link.AdminStatus]error{
	link.AdminDenied: ErrNotOperator, link.AdminLater: ErrNotNow, link.AdminUnknown: ErrUnknownSilo, link.AdminAlone: ErrOnlySilo,
	link.AdminLiving: ErrAlive, link.AdminMajority: ErrNoMajority, link.AdminMember: ErrFounded, link.AdminList: ErrWrongList,
}

// Refused says that an order was not carried out, and why. It wraps Cause.
type Refused struct {
	Order  string // drain, remove or init
	Silo   string // as it was named, or by address
	Cause  error
	Detail string // what is wrong, and what to do
}

func (e *Refused) Error() string {
	text := fmt.Sprintf("cluster: %s %s: %v", e.Order, e.Silo, e.Cause)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

func (e *Refused) Unwrap() error { return e.Cause }

// Unfinished says that an order was taken, and had not been carried out when the context ended. It goes on: the
// same order, given again, waits for the same end. It wraps the context's error.
type Unfinished struct {
	Order, Silo string
	Last        Progress // of drain and remove
	Waiting     string   // for what
	Cause       error
}

func (e *Unfinished) Error() string {
	return fmt.Sprintf("cluster: %s %s is under way and not done: %s; give the same order again to wait longer: %v", e.Order, e.Silo, e.Waiting, e.Cause)
}

func (e *Unfinished) Unwrap() error { return e.Cause }

// Progress is how far an order is.
type Progress struct {
	State string `json:"state"` // of the silo, as in a SiloReport; empty where no view and no log has it any more
	Held  int    `json:"held"`  // slots that it still holds
	Log   string `json:"log"`   // as in a SiloReport
}

// Operator changes which silos a cluster has. Its methods may be called from any goroutine. Silos take orders of
// those who show the cluster's secret, or a certificate with a name in the silos' Config.Operators; where there
// is neither TLS nor a secret, of everybody on their own machine.
type Operator struct {
	node  *actor.Node
	seeds []string
}

// Operate starts an operator of the cluster whose silos, one of which is enough, c.Silos names; of the Config
// it takes what Inspect does. secret is the silos' Config.Secret, or empty: with TLS it is of use only with a
// silo's certificate. Errors: *ConfigError, and *NoSilo where Silos yields no address. Close ends it.
func Operate(ctx context.Context, c Config, secret string) (*Operator, error) {
	node, seeds, err := c.visit(ctx, secret)
	if err != nil {
		return nil, err
	}
	return &Operator{node, seeds}, nil
}

// Close disconnects. What was ordered goes on.
func (o *Operator) Close() error { return endVisit(context.Background(), o.node) }

// Inspect asks the silos of the cluster how they are; see the function of that name.
func (o *Operator) Inspect(ctx context.Context, what Inspection) (*Report, error) {
	return inspect(ctx, o.node, o.seeds, what)
}

const (
	orderTimeout = 2 * time.Second        // of one request
	orderEvery   = 200 * time.Millisecond // how often it is looked how far an order is
	// notNow is how long silos may say that they cannot take an order now.
	notNow = 10 * time.Second
)

// Drain has a silo, named by its address or its store's id, leave the cluster: it gives everything to the
// others, and its process ends as if it had been told to by SIGTERM (see silo.ErrLeft). Drain returns when it
// is dead in the view and holds nothing, and calls progress, which may be nil, meanwhile. Its store may come
// back, until it is removed. A silo that is dead already has left.
//
// Errors: *NoSilo; *Refused with ErrUnknownSilo, ErrUnreachable (what cannot be told to leave is removed when the
// others have found it dead), ErrOnlySilo, ErrNotNow while it joins, ErrNotOperator; *Unfinished.
func (o *Operator) Drain(ctx context.Context, name string, progress func(Progress)) error {
	w := watch{Operator: o, order: "drain", name: name, progress: progress}
	if err := w.find(ctx); err != nil || w.silo.State == stateDead {
		return err
	}
	if w.silo.State == stateAbsent {
		return w.refused(ErrUnknownSilo, "its store takes part in the log, and is no member of the view: start it, or remove it")
	}
	request := &link.AdminRequest{Op: link.AdminDrain, Silo: w.silo.ID}
	if err := w.give(ctx, func() []string { return []string{w.silo.Addr} }, request); err != nil {
		return err
	}
	return w.until(ctx, func(s SiloReport) string {
		if s.State == stateDead || s.Incarnation != w.silo.Incarnation {
			return ""
		}
		return fmt.Sprintf("it is %s and holds %d slots", s.State, s.Slots)
	}, nil)
}

// Remove takes a store, named by its id or by its silo's address, out of the cluster for good: its directory can
// never come back. It returns when the view has no living run of it, and the log has no part for it any more.
// A silo that lives is refused (ErrAlive) without force: drain it first. With force its lease runs out, and its
// calls are cut off.
//
// Errors: *NoSilo; *Refused with ErrUnknownSilo, ErrAmbiguous, ErrAlive, ErrNoMajority, ErrNotNow while no silo
// leads the log, ErrNotOperator; *Unfinished.
func (o *Operator) Remove(ctx context.Context, name string, force bool, progress func(Progress)) error {
	w := watch{Operator: o, order: "remove", name: name, progress: progress, exact: true}
	if err := w.find(ctx); err != nil {
		return err
	}
	request := &link.AdminRequest{Op: link.AdminRemove, Silo: w.silo.ID, Force: force}
	if err := w.give(ctx, w.others, request); err != nil {
		return err
	}
	again := time.Now()
	return w.until(ctx, func(s SiloReport) string {
		switch {
		case s.State != stateDead && s.State != stateAbsent:
			return fmt.Sprintf("it is %s, until its lease has run out", s.State)
		case s.Log != LogNone:
			return "it is " + s.Log + " in the log"
		}
		return ""
	}, func() error { // a new leader of the log does not know of it
		if time.Since(again) < time.Second {
			return nil
		}
		again = time.Now()
		return w.give(ctx, w.others, request)
	})
}

// watch is an order about one silo.
type watch struct {
	*Operator
	order, name string
	exact       bool // the address of several stores names none of them
	progress    func(Progress)

	silo  SiloReport // when it was found
	addrs []string   // of all, who leads the log first
}

func (w *watch) refused(cause error, format string, args ...any) error {
	return &Refused{w.order, w.name, cause, fmt.Sprintf(format, args...)}
}

// find finds the silo.
func (w *watch) find(ctx context.Context) error {
	r, err := w.look(ctx)
	if err != nil {
		return err
	}
	var found []SiloReport
	for _, s := range r.Silos {
		if string(s.ID) == w.name {
			found = []SiloReport{s}
			break
		}
		if s.Addr == w.name {
			found = append(found, s)
		}
	}
	if len(found) > 1 && !w.exact { // who lives is meant
		found = slices.DeleteFunc(found, func(s SiloReport) bool { return s.State == stateDead || s.State == stateAbsent })
	}
	var names []string
	switch len(found) {
	case 1:
		w.silo = found[0]
		return nil
	case 0:
		for _, s := range r.Silos {
			names = append(names, fmt.Sprintf("%s (%s)", s.Addr, s.ID))
		}
		return w.refused(ErrUnknownSilo, "the members are %s", strings.Join(names, ", "))
	}
	for _, s := range found {
		names = append(names, fmt.Sprintf("%s, which is %s", s.ID, s.State))
	}
	return w.refused(ErrAmbiguous, "say which by its store id: %s", strings.Join(names, "; "))
}

// look asks the silos how they are, and remembers where they are.
func (w *watch) look(ctx context.Context) (*Report, error) {
	seeds := w.seeds
	for _, addr := range w.addrs {
		if !slices.Contains(seeds, addr) {
			seeds = append(slices.Clone(seeds), addr)
		}
	}
	r, err := inspect(ctx, w.node, seeds, Inspection{})
	if err != nil {
		return nil, err
	}
	w.addrs = w.addrs[:0]
	for _, s := range r.Silos {
		if s.Leads {
			w.addrs = slices.Insert(w.addrs, 0, s.Addr)
		} else if s.Silent == "" {
			w.addrs = append(w.addrs, s.Addr)
		}
	}
	return r, nil
}

// others are the silos that can be asked about this one.
func (w *watch) others() []string {
	others := slices.DeleteFunc(slices.Clone(w.addrs), func(addr string) bool { return addr == w.silo.Addr })
	if len(others) == 0 {
		return w.addrs
	}
	return others
}

// give gives an order to the first of some silos that takes it. Who cannot take it now is asked again.
func (w *watch) give(ctx context.Context, to func() []string, r *link.AdminRequest) error {
	patient, cancel := context.WithTimeout(ctx, notNow)
	defer cancel()
	for {
		last := w.refused(ErrUnreachable, "nobody is there to be asked")
		for _, addr := range to() {
			reply, err := w.ask(patient, addr, r)
			switch {
			case err != nil && len(to()) == 1:
				return w.refused(ErrUnreachable, "%v", err)
			case err != nil:
				last = w.refused(ErrUnreachable, "%s: %v", addr, err)
				continue
			case reply.Status == link.AdminOK:
				return nil
			}
			last = w.refused(causes[reply.Status], "%s", reply.Detail)
			if reply.Status != link.AdminLater {
				return last
			}
		}
		select {
		case <-time.After(orderEvery):
		case <-patient.Done():
			return last
		}
	}
}

// ask gives one silo an order.
func (o *Operator) ask(ctx context.Context, addr string, r *link.AdminRequest) (*link.AdminReply, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	b, err := o.node.Request(ctx, addr, link.ServiceAdmin, r.Append(nil))
	if err != nil {
		return nil, err
	}
	return link.DecodeAdminReply(b)
}

// until waits for what there is to wait for, which missing says of the silo, and calls again before each look.
func (w *watch) until(ctx context.Context, missing func(SiloReport) string, again func() error) error {
	unfinished := &Unfinished{Order: w.order, Silo: w.name, Waiting: "nobody has said how it is"}
	for {
		r, err := w.look(ctx)
		if err == nil {
			i := slices.IndexFunc(r.Silos, func(s SiloReport) bool { return s.ID == w.silo.ID })
			now := Progress{Log: LogNone}
			if i >= 0 {
				s := r.Silos[i]
				now = Progress{s.State, s.Slots, s.Log}
				unfinished.Waiting = missing(s)
			}
			unfinished.Last = now
			if w.progress != nil {
				w.progress(now)
			}
			if i < 0 || unfinished.Waiting == "" {
				return nil
			}
		} else {
			unfinished.Waiting = err.Error()
		}
		select {
		case <-time.After(orderEvery):
		case <-ctx.Done():
			unfinished.Cause = context.Cause(ctx)
			return unfinished
		}
		if again != nil {
			if err := again(); err != nil && ctx.Err() == nil && !errors.Is(err, ErrNotNow) && !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrUnknownSilo) {
				return err
			}
		}
	}
}

// Init founds a cluster of silos that wait for one to join, because their Config.Join names no list and they have
// no Expect. addrs are all who found, as they advertise themselves; each is asked first, and nothing happens
// unless all of them can. It returns the cluster's id when all have founded it.
//
// Errors: *Refused with ErrUnreachable, ErrFounded for a member of a cluster, ErrWrongList for a list that lacks
// a silo's own address or that it cannot found with, ErrNotNow, ErrNotOperator; *Unfinished, after which the same
// order may be given again: silos found only when all have been told the same list, and forget it when they are
// started anew, unless all of them have been told.
func (o *Operator) Init(ctx context.Context, addrs []string) (cluster string, err error) {
	patient, cancel := context.WithTimeout(ctx, notNow)
	defer cancel()
	for {
		_, err = o.each(patient, addrs, link.AdminAsk, addrs)
		if err == nil || !errors.Is(err, ErrNotNow) || patient.Err() != nil {
			break
		}
		select {
		case <-time.After(orderEvery):
		case <-patient.Done():
		}
	}
	if err != nil {
		return "", err
	}
	if _, err := o.each(ctx, addrs, link.AdminInit, addrs); err != nil {
		return "", &Unfinished{Order: "init", Silo: strings.Join(addrs, ","), Waiting: "some have been told: " + err.Error(), Cause: err}
	}
	for {
		replies, err := o.each(ctx, addrs, link.AdminAsk, nil)
		waiting := ""
		if err != nil {
			waiting = err.Error()
		}
		for addr, r := range replies {
			if r.Cluster == "" || r.Waiting {
				waiting = addr + " has not founded it yet"
			}
		}
		if waiting == "" {
			return one(replies)
		}
		select {
		case <-time.After(orderEvery):
		case <-ctx.Done():
			return "", &Unfinished{Order: "init", Silo: strings.Join(addrs, ","), Waiting: waiting, Cause: context.Cause(ctx)}
		}
	}
}

// one returns the cluster that all belong to.
func one(replies map[string]*link.AdminReply) (cluster string, err error) {
	for addr, r := range replies {
		if cluster != "" && r.Cluster != cluster {
			return "", &Refused{"init", addr, ErrFounded, fmt.Sprintf("it has become a member of cluster %s meanwhile, and others of %s: their Config.Join names silos of different clusters", r.Cluster, cluster)}
		}
		cluster = r.Cluster
	}
	return cluster, nil
}

// each asks all silos of a list at once.
func (o *Operator) each(ctx context.Context, addrs []string, op link.AdminOp, list []string) (map[string]*link.AdminReply, error) {
	var mu sync.Mutex
	replies := map[string]*link.AdminReply{}
	var asks errgroup.Group
	asks.SetLimit(asksAtOnce)
	for _, addr := range addrs {
		asks.Go(func() error {
			r, err := o.ask(ctx, addr, &link.AdminRequest{Op: op, Addrs: list})
			switch {
			case err != nil:
				return &Refused{"init", addr, ErrUnreachable, fmt.Sprintf("all silos of the list must be up: %v", err)}
			case r.Status == link.AdminList && r.Addr != "" && r.Addr != addr:
				return &Refused{"init", addr, ErrWrongList, fmt.Sprintf("the silo there is known to others as %s (its Config.Advertise): name it so", r.Addr)}
			case r.Status != link.AdminOK:
				return &Refused{"init", addr, causes[r.Status], r.Detail}
			}
			mu.Lock()
			defer mu.Unlock()
			replies[addr] = r
			return nil
		})
	}
	return replies, asks.Wait()
}
