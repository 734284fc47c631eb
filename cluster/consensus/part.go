package consensus

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// A silo may host several groups, each with a log, members and voters of its own. The store of the first is
// the silo's; what the others remember is in parts of it.

// Part returns what the store remembers of another group of its silo, by the group's name: an identity of its
// own, under the same id, in a directory of that name within the store's. The store must stay open as long.
func (s *Store) Part(name string) (*Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.parts[name]; p != nil {
		return p, nil
	}
	p := &Store{id: s.id, unlock: func() error { return nil }}
	fresh := storeState{Format: storeFormat, StoreID: s.id}
	if s.dir == "" {
		p.state = fresh
	} else {
		p.dir = filepath.Join(s.dir, name)
		if err := makeDir(p.dir); err != nil {
			return nil, err
		}
		if err := p.load(fresh); err != nil {
			return nil, err
		}
		if p.state.StoreID != s.id {
			return nil, &Damaged{Dir: p.dir, Cause: fmt.Errorf("it belongs to store %s, not to %s", p.state.StoreID, s.id)}
		}
	}
	if s.parts == nil {
		s.parts = map[string]*Store{}
	}
	s.parts[name] = p
	return p, nil
}

// FoundPart makes a part a founder of its group, with those who founded the first one, and returns the id of
// the group. It is for founders of the first, and may be called again.
func (s *Store) FoundPart(name string, founders []Server) (*Store, string, error) {
	first, founded := s.Founded()
	if !founded || len(first.Founders) == 0 {
		return nil, "", errors.New("consensus: only founders of the first group found another")
	}
	p, err := s.Part(name)
	if err != nil {
		return nil, "", err
	}
	id := PartOf(first.ClusterID, name)
	if own := p.now(); own.ClusterID == "" && own.Joining == "" {
		if err := p.change(func(st *storeState) { st.Founding = Founding{ClusterID: id, Founders: sorted(founders)} }); err != nil {
			return nil, "", err
		}
	}
	return p, id, nil
}

// PartOf is the id of another group of a cluster.
func PartOf(cluster, name string) string { return cluster + "/" + name }

// load reads the identity that is there, or saves a fresh one where there is neither one nor anything else.
func (s *Store) load(fresh storeState) error {
	state, err := readState(s.dir)
	if err == nil {
		s.state = state
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.empty(); err != nil {
		return err
	}
	return s.save(fresh)
}
