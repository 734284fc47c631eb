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
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// What must be the same on all silos travels with their signs of life, in fields that a view.Entry has
// not.
const (
	settingKinds   = 16
	settingMessage = 17
)

// kindsHash is the same on silos that were given the same kinds.
func (s *Silo) kindsHash() uint64 {
	names := make([]string, 0, len(s.kinds))
	for name := range s.kinds {
		names = append(names, name)
	}
	slices.Sort(names)
	return xxh3.HashString(strings.Join(names, "\n"))
}

func (s *Silo) appendSettings(b []byte) []byte {
	b = protowire.AppendTag(b, settingKinds, protowire.VarintType)
	b = protowire.AppendVarint(b, s.kindsHash())
	b = protowire.AppendTag(b, settingMessage, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(s.config.MaxMessage))
}

// compareSettings logs, once for each run of another silo, what it was started with that this one was not.
func (s *Silo) compareSettings(e view.Entry, payload []byte) {
	if _, said := s.compared.LoadOrStore(e.Incarnation, true); said {
		return
	}
	kinds, message := s.kindsHash(), uint64(s.config.MaxMessage)
	if err := wire.EachField(payload, func(f wire.Field) (err error) {
		switch f.Number {
		case settingKinds:
			kinds, err = f.Uint()
		case settingMessage:
			message, err = f.Uint()
		}
		return err
	}); err != nil {
		return
	}
	if kinds != s.kindsHash() {
		s.log.Error("another silo hosts other kinds than this one: calls of what it lacks fail, and blocks may be decided differently; give all silos the same Config.Grains", "other", e.Addr)
	}
	if message != uint64(s.config.MaxMessage) {
		s.log.Error("another silo has another Config.MaxMessage: what is larger than the lesser breaks connections; give all silos the same", "other", e.Addr, "its", message, "own", s.config.MaxMessage)
	}
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
