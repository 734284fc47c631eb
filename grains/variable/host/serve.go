package host

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// ServeRequest answers a request of another silo's host or of a Client, whose from is "": the handler of
// the transport Requests. What goes wrong is part of the answer, so that its identity travels; the error
// is always nil.
func (h *Host) ServeRequest(ctx context.Context, from view.SiloID, payload []byte) ([]byte, error) {
	r, err := decodeRequest(payload)
	var answer reply
	if err == nil {
		answer, err = h.serve(ctx, from, r)
	}
	if err != nil {
		answer = reply{err: err}
	}
	return answer.append(nil), nil
}

// Written names the variable that a request would write; it is zero for requests that write none, and for
// what is no request.
func Written(payload []byte) wire.ID {
	if r, err := decodeRequest(payload); err == nil && r.op == opMutate {
		return wire.NewID(r.kind, r.key)
	}
	return wire.ID{}
}

// Refused is the answer to a request that says err.
func Refused(err error) []byte { return reply{err: err}.append(nil) }

func (h *Host) serve(ctx context.Context, from view.SiloID, r request) (reply, error) {
	if r.op == opFollowing {
		if from == "" {
			return reply{}, fmt.Errorf("following kinds: %w: only silos do", wire.ErrUnsupported)
		}
		f := following{r.incarnation, make(map[string]bool, len(r.kinds))}
		for _, kind := range r.kinds {
			f.kinds[kind] = true
		}
		h.onFollowing(from, f)
		return reply{}, nil
	}
	k, err := kindOf(h.cfg.Kinds, r.kind)
	if err != nil {
		return reply{}, fmt.Errorf("silo %s: %w", h.cfg.Self, err)
	}
	switch r.op {
	case opKeys:
		keys := h.keysHere(r.kind)
		items := make([]item, len(keys))
		for i, key := range keys {
			items[i].key = key
		}
		return h.page(items, r), nil
	case opHashes:
		return h.page(itemsOf(h.Hashes(r.kind)), r), nil
	}

	id := wire.NewID(r.kind, r.key)
	if r.op == opAll || r.op == opSince {
		switch {
		case from == "":
			return reply{}, fmt.Errorf("variable %v: silos alone catch up with silos: %w", id, wire.ErrNotExecuted)
		case r.op == opAll:
			return h.all(ctx, r)
		}
		return h.since(id, r.body)
	}
	at := h.placing.Load()
	if !isReplica(at.view, k, id, h.cfg.Self) {
		return reply{}, fmt.Errorf("variable %v: silo %s is no replica of it: %w", id, h.cfg.Self, wire.ErrNotExecuted)
	}
	switch r.op {
	case opMutate, opPrepare, opRead:
		if err := h.refusal(at, k, id); err != nil {
			return reply{}, err
		}
	}
	switch r.op {
	case opMutate:
		return reply{}, h.mutateHere(ctx, at, k, id, r.body)
	case opDigest, opTake:
		if from == "" {
			return reply{}, fmt.Errorf("variable %v: it is handed over by silos alone: %w", id, wire.ErrNotExecuted)
		}
		if r.op == opTake {
			return reply{}, h.take(ctx, k, id, r.body)
		}
		var digest []byte
		if v := h.table.get(id); v != nil {
			digest = v.Digest()
		}
		return bounded(id, digest, h.cfg.RepairLimit)
	case opPrepare:
		prepared, err := h.prepareHere(k, id, r.body)
		if err != nil {
			return reply{}, err
		}
		return bounded(id, prepared, h.cfg.Limit)
	case opRead:
		var state []byte
		if v := h.table.get(id); v != nil {
			state = v.State()
		}
		return bounded(id, state, h.cfg.Limit)
	}
	return reply{}, fmt.Errorf("request %d to a host of variables: %w: this silo's release does not know it", r.op, wire.ErrUnsupported)
}

// itemsOf lists hashes, sorted by key.
func itemsOf(hashes map[string]uint64) []item {
	items := make([]item, 0, len(hashes))
	for key, hash := range hashes {
		items = append(items, item{key, hash})
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.key, b.key) })
	return items
}

// page returns the items, which are sorted by key, that follow what the request has, as many as a message
// takes.
func (h *Host) page(items []item, r request) reply {
	from := 0
	if r.resumed {
		at, found := slices.BinarySearchFunc(items, r.key, func(i item, key string) int { return strings.Compare(i.key, key) })
		if from = at; found {
			from++
		}
	}
	size, to := slack, from
	for to < len(items) && (to == from || size+items[to].size() <= h.cfg.Limit) {
		size += items[to].size()
		to++
	}
	return reply{items: items[from:to], more: to < len(items)}
}

// bounded returns the reply that carries body, if a message of that many bytes takes it.
func bounded(id wire.ID, body []byte, limit int) (reply, error) {
	if limit -= slack; len(body) > limit {
		return reply{}, fmt.Errorf("variable %v: %w: %d bytes, the limit of a message is %d: read it on a silo that is a replica, or split it",
			id, wire.ErrTooLarge, len(body), limit)
	}
	return reply{body: body}, nil
}
