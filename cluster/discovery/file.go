package discovery

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// File yields the addresses in a file: one a line, # begins a comment. People may write it, and silos may
// announce themselves in it, over a file system that they share too. A silo that dies without withdrawing
// its address stays in it, which does no harm as long as others are there.
type File struct {
	Path string
	// Every is how often [File.Watch] reads it again. Default 1 second.
	Every time.Duration
}

// maxFile bounds a file, in bytes.
const maxFile = 1 << 20

// Seeds reads the file. A line that is no address makes it an error, which names the line: somebody wrote it
// for a reason.
func (f File) Seeds(context.Context) ([]string, error) {
	text, err := f.read()
	if err != nil {
		return nil, err
	}
	var seeds []string
	for i, line := range bytes.Split(text, []byte("\n")) {
		addr := address(line)
		if addr == "" {
			continue
		}
		if _, _, err := splitAddress(addr); err != nil {
			return nil, &SourceError{f.String(), fmt.Errorf("line %d: %w", i+1, err), "write one host:port a line"}
		}
		if len(seeds) == maxSeeds {
			return nil, &SourceError{f.String(), fmt.Errorf("it has more than %d addresses", maxSeeds), "some silos are enough"}
		}
		seeds = append(seeds, addr)
	}
	if len(seeds) == 0 {
		return nil, &SourceError{f.String(), ErrNone, "write the host:port of a silo into it, or wait until one announces itself"}
	}
	return tidy(seeds), nil
}

// Watch reads the file again and again.
func (f File) Watch(ctx context.Context) iter.Seq2[[]string, error] {
	return poll(ctx, cmp.Or(max(f.Every, 0), time.Second), f)
}

func (f File) String() string { return "file:" + f.Path }

// address is what a line holds besides its comment.
func address(line []byte) string {
	line, _, _ = bytes.Cut(line, []byte("#"))
	return string(bytes.TrimSpace(line))
}

func (f File) read() ([]byte, error) {
	info, err := os.Stat(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &SourceError{f.String(), fmt.Errorf("%w (%w)", ErrNone, err), "create it with one host:port a line, or wait until a silo announces itself"}
	}
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		return nil, f.failed(err)
	}
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, f.failed(err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, f.failed(err)
	}
	if len(text) > maxFile {
		return nil, &SourceError{f.String(), fmt.Errorf("it has more than %d bytes", maxFile), "check that it is the file of addresses"}
	}
	return text, nil
}

func (f File) failed(err error) error {
	return &SourceError{f.String(), err, "check the path, and the rights of this process there"}
}

// Announce adds a line with addr, unless there is one; withdraw removes it. The file is replaced as a whole,
// so that readers see either the old one or the new one, and who announces at the same time waits its turn,
// at a lock file beside it. The directory must be writable.
func (f File) Announce(ctx context.Context, addr string) (withdraw func(context.Context) error, err error) {
	if _, _, err := splitAddress(addr); err != nil {
		return nil, &FormError{addr, err.Error()}
	}
	own := func(line []byte) bool { return address(line) == addr }
	err = f.edit(ctx, func(lines [][]byte) [][]byte {
		if slices.ContainsFunc(lines, own) {
			return lines
		}
		return append(lines, []byte(addr))
	})
	if err != nil {
		return nil, err
	}
	var once sync.Once
	return func(ctx context.Context) error {
		once.Do(func() {
			err = f.edit(ctx, func(lines [][]byte) [][]byte { return slices.DeleteFunc(lines, own) })
		})
		return err
	}, nil
}

// edit replaces the lines of the file, while nobody else does.
func (f File) edit(ctx context.Context, change func([][]byte) [][]byte) error {
	unlock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	text, err := f.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var lines [][]byte
	if text = bytes.TrimRight(text, "\n"); len(text) > 0 {
		lines = bytes.Split(text, []byte("\n"))
	}
	next := bytes.Join(change(lines), []byte("\n"))
	if len(next) > 0 {
		next = append(next, '\n')
	}
	if len(next) > maxFile {
		return &SourceError{f.String(), fmt.Errorf("it would have more than %d bytes", maxFile), "remove the addresses of silos that are gone"}
	}
	if err := f.replace(next); err != nil {
		return f.failed(err)
	}
	return nil
}

// replace puts a new file in the place of the old one.
func (f File) replace(text []byte) (err error) {
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(f.Path); err == nil {
		mode = info.Mode().Perm()
	}
	next, err := os.CreateTemp(filepath.Dir(f.Path), "."+strings.TrimPrefix(filepath.Base(f.Path), ".")+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(next.Name()))
		}
	}()
	_, err = next.Write(text)
	err = errors.Join(err, next.Chmod(mode), next.Sync(), next.Close())
	if err != nil {
		return err
	}
	return os.Rename(next.Name(), f.Path)
}

// lockPause is how long is waited before a lock that is taken is tried again.
const lockPause = 10 * time.Millisecond

// lock waits for the lock file beside the file.
func (f File) lock(ctx context.Context) (unlock func(), err error) {
	for {
		unlock, err := tryLock(f.Path + ".lock")
		if err == nil {
			return unlock, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, f.failed(err)
		}
		if !sleep(ctx, lockPause) {
			return nil, &SourceError{f.String(), fmt.Errorf("somebody else has been changing it: %w", context.Cause(ctx)), stuckLock(f.Path + ".lock")}
		}
	}
}

var errLocked = errors.New("it is locked")
