package discovery

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o640))
}

func TestFile(t *testing.T) {
	t.Parallel()
	f := File{Path: filepath.Join(t.TempDir(), "silos")}
	_, err := f.Seeds(t.Context())
	require.ErrorIs(t, err, ErrNone)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "create it")

	write(t, f.Path, "# the silos of the cellar\r\n\n b:2 # new\na:1\nb:2")
	seeds, err := f.Seeds(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:2"}, seeds)

	for text, says := range map[string]string{
		"# nobody\n":                        "names no silo",
		"a:1\n\nb\n":                        `line 3: "b" is no host:port`,
		"a:1,b:2\n":                         "line 1",
		"\x00\xff\xfe:1":                    "line 1",
		strings.Repeat("x", maxFile/2):      "line 1",
		strings.Repeat("x", maxFile+1):      "more than 1048576 bytes",
		strings.Repeat("a:1\n", maxSeeds+1): "more than 4096 addresses",
	} {
		write(t, f.Path, text)
		_, err := f.Seeds(t.Context())
		var source *SourceError
		require.ErrorAs(t, err, &source, says)
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, err, f.Path)
		require.Less(t, len(err.Error()), 1000)
	}
	_, err = File{Path: t.TempDir()}.Seeds(t.Context())
	require.ErrorContains(t, err, "no regular file")
}

// Whatever a file holds, it yields addresses or an error that names it.
func FuzzFile(f *testing.F) {
	f.Add([]byte("a:1\nb:2 # x\n"))
	f.Add([]byte("[::1]:1\n#\n\r\n:0"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file := File{Path: filepath.Join(t.TempDir(), "silos")}
		write(t, file.Path, string(text))
		seeds, err := file.Seeds(t.Context())
		if err != nil {
			require.ErrorAs(t, err, new(*SourceError))
			return
		}
		for _, addr := range seeds {
			_, _, err := splitAddress(addr)
			require.NoError(t, err)
		}
	})
}

func TestFileIsWatched(t *testing.T) {
	t.Parallel()
	f := File{Path: filepath.Join(t.TempDir(), "silos"), Every: time.Millisecond}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	steps := []struct{ text, told string }{{"a:1", "a:1"}, {"rubbish", ""}, {"a:1\nb:2", "a:1 b:2"}}
	var told []string
	for seeds, err := range f.Watch(ctx) {
		require.Equal(t, err != nil, len(seeds) == 0)
		told = append(told, strings.Join(seeds, " "))
		if len(told) > len(steps) {
			break
		}
		write(t, f.Path+".new", steps[len(told)-1].text)
		require.NoError(t, os.Rename(f.Path+".new", f.Path))
	}
	require.Equal(t, []string{"", "a:1", "", "a:1 b:2"}, told)
}

// Silos that announce themselves and go at the same time lose nothing of each other's, nor of what people
// wrote, and readers never see half a file.
func TestFileAnnouncements(t *testing.T) {
	t.Parallel()
	f := File{Path: filepath.Join(t.TempDir(), "silos")}
	write(t, f.Path, "# by hand\nhand:1 # first\n")
	const silos = 16
	addr := func(i int) string { return fmt.Sprintf("silo-%d:7000", i) }
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seed := rand.Uint64()
	var wg, readers sync.WaitGroup
	reading, stop := context.WithCancel(ctx)
	readers.Go(func() {
		for reading.Err() == nil {
			seeds, err := f.Seeds(ctx)
			if err != nil || !strings.Contains(strings.Join(seeds, " "), "hand:1") {
				t.Errorf("seed %d: half a file: %v, %v", seed, seeds, err)
				return
			}
		}
	})
	for i := range silos {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 1 + random.IntN(3) {
				withdraw, err := f.Announce(ctx, addr(i))
				if err == nil && i%2 == 1 {
					err = withdraw(ctx)
					if again := withdraw(ctx); err == nil {
						err = again
					}
				}
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
	wg.Wait()
	stop()
	readers.Wait()
	want := []string{"hand:1"}
	for i := 0; i < silos; i += 2 {
		want = append(want, addr(i))
	}
	seeds, err := f.Seeds(ctx)
	require.NoError(t, err)
	require.ElementsMatch(t, want, seeds, "seed %d", seed)
	text, err := os.ReadFile(f.Path)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(text), "# by hand\nhand:1 # first\n"), "%s", text)
	info, err := os.Stat(f.Path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), info.Mode().Perm(), "who could read it still can")
	entries, err := os.ReadDir(filepath.Dir(f.Path))
	require.NoError(t, err)
	require.Len(t, entries, 2, "the file and its lock, and nothing that was left behind")
}

func TestFileAnnouncementsThatCannotBe(t *testing.T) {
	t.Parallel()
	f := File{Path: filepath.Join(t.TempDir(), "silos")}
	_, err := f.Announce(t.Context(), "a:1\nevil:1")
	require.ErrorAs(t, err, new(*FormError))
	_, err = f.Announce(t.Context(), "a:1 # comment")
	require.ErrorAs(t, err, new(*FormError))
	_, err = File{Path: "/nowhere/at/all"}.Announce(t.Context(), "a:1")
	require.ErrorAs(t, err, new(*SourceError))
	require.ErrorContains(t, err, "/nowhere/at/all")

	unlock, err := tryLock(f.Path + ".lock")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 3*lockPause)
	defer cancel()
	_, err = f.Announce(ctx, "a:1")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, f.Path+".lock")
	unlock()
	_, err = f.Announce(t.Context(), "a:1")
	require.NoError(t, err, "the first to announce itself creates the file")
	seeds, err := f.Seeds(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a:1"}, seeds)
}
