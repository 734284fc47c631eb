package silo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/martinelli-go/martinelli/cluster/view"
	dataflow "github.com/martinelli-go/martinelli/grains/dataflow/host"
)

// What must be the same on all silos is in the versions that a member shows.
const (
	settingKinds   = "kinds"
	settingMessage = "max-message"
)

// kindsHash is the same on silos that were given the same kinds.
func (s *run) kindsHash() uint64 {
	names := make([]string, 0, len(s.kinds))
	for name := range s.kinds {
		names = append(names, name)
	}
	slices.Sort(names)
	return xxh3.HashString(strings.Join(names, "\n"))
}

// hosted lists the kinds that have slots: grains, processes and operators.
func (s *run) hosted() []string {
	names := []string{dataflow.NodeKind}
	for name, k := range s.kinds {
		if k.Grain() != nil || k.Process() != nil {
			names = append(names, name)
		}
	}
	return names
}

// asMember is this run as it asks to be let in.
func (s *run) asMember() view.Member {
	m := view.Member{
		Run: view.Run{ID: s.id, Incarnation: s.incarnation}, Addr: s.addr, Kinds: s.hosted(),
		Versions: []view.Pair{
			{Name: settingKinds, Value: strconv.FormatUint(s.kindsHash(), 16)},
			{Name: settingMessage, Value: strconv.Itoa(s.config.MaxMessage)},
			{Name: "module", Value: version()},
		},
	}
	for name, value := range s.config.Labels {
		m.Labels = append(m.Labels, view.Pair{Name: name, Value: value})
	}
	return m
}

// compareSettings logs, once for each run of another silo, what it was started with that this one was not.
func (s *run) compareSettings(t *view.Table) {
	own, ok := t.Member(s.id)
	if !ok {
		return
	}
	for _, m := range t.Members {
		if m.ID == s.id || !m.Alive() {
			continue
		}
		if _, said := s.compared.LoadOrStore(m.Run, true); said {
			continue
		}
		if setting(m, settingKinds) != setting(own, settingKinds) {
			s.log.Warn("another silo hosts other kinds than this one; blocks that change variables that one of them lacks are decided differently, and neither goes on: give all silos the same variables", "other", m.Addr)
		}
		if its := setting(m, settingMessage); its != setting(own, settingMessage) {
			s.log.Error("another silo has another Config.MaxMessage: what is larger than the lesser breaks connections; give all silos the same", "other", m.Addr, "its", its, "own", s.config.MaxMessage)
		}
	}
}

func setting(m view.Member, name string) string {
	for _, p := range m.Versions {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// mintIncarnation returns a number for this run that is greater than that of every run before it in the
// same directory, also when the clock was set back in between: others ignore runs that are not newer.
func (c Config) mintIncarnation(now time.Time) (uint64, error) {
	last := c.Memory.incarnation
	file := filepath.Join(c.DataDir, "incarnation")
	if c.DataDir != "" {
		b, err := os.ReadFile(file)
		if err == nil {
			last, err = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, &ConfigError{"DataDir", "the number of the last run cannot be read: " + err.Error()}
		}
	}
	next := max(uint64(now.UnixNano()), last+1)
	c.Memory.incarnation = next
	if c.DataDir == "" {
		return next, nil
	}
	// A torn write leaves the old number or a prefix of the new one, which is less than the clock.
	if err := os.WriteFile(file, []byte(strconv.FormatUint(next, 10)+"\n"), 0o644); err != nil {
		return 0, &ConfigError{"DataDir", "the number of this run cannot be written: " + err.Error()}
	}
	return next, nil
}
