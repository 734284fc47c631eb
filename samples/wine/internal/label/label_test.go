package label_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/samples/wine/internal/catalogue"
	"github.com/martinelli-go/martinelli/samples/wine/internal/label"
)

// realData is where the X-Wines data set lies if it is beside the repository.
const realData = "../../../../../shared/data/xwines"

func builtin(t testing.TB) map[string][]byte {
	t.Helper()
	photos, err := catalogue.Builtin(1).Photos()
	require.NoError(t, err)
	return photos
}

// some returns the first n by id.
func some(photos map[string][]byte, n int) map[string][]byte {
	out := make(map[string][]byte)
	for _, wine := range slices.Sorted(maps.Keys(photos))[:n] {
		out[wine] = photos[wine]
	}
	return out
}

func realPhotos(t testing.TB) map[string][]byte {
	t.Helper()
	dir := filepath.FromSlash(realData)
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the X-Wines data set is not beside the repository: ", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "photos", "*.jpg"))
	require.NoError(t, err)
	photos := make(map[string][]byte)
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		photos[strings.TrimSuffix(filepath.Base(f), ".jpg")] = data
	}
	return photos
}

// outcome of a trial: see trial.
type outcome struct {
	Known, Right   int // photographs of the index, and how many were named right
	Others, Unsaid int // everything else, and how much of it was answered unknown
	Wrong          int // known ones named as another wine
	lowest         float64
	highest        float64
}

func (o outcome) String() string {
	return fmt.Sprintf("%d of %d known named right (lowest score %.3f), %d wrong; %d of %d others unknown (highest score %.3f)",
		o.Right, o.Known, o.lowest, o.Wrong, o.Unsaid, o.Others, o.highest)
}

// trial indexes a random four fifths of the photographs and asks for all of
// them, disturbed, and for noise, a gradient and a page of text.
func trial(t testing.TB, photos map[string][]byte, seed uint64) outcome {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	var wines []string
	for w := range photos {
		wines = append(wines, w)
	}
	slices.Sort(wines)
	rng.Shuffle(len(wines), func(i, j int) { wines[i], wines[j] = wines[j], wines[i] })
	known := make(map[string][]byte)
	for _, w := range wines[:len(wines)*4/5] {
		known[w] = photos[w]
	}
	index, err := label.New(known)
	require.NoError(t, err)

	type shot struct {
		wine string
		data []byte
	}
	var shots []shot
	for i, w := range wines {
		if race && i%8 != 0 {
			continue
		}
		data, err := label.Disturb(photos[w], rng)
		require.NoError(t, err)
		shots = append(shots, shot{w, data})
	}
	for _, data := range [][]byte{label.Noise(rng), label.Gradient(rng), label.Text(rng)} {
		shots = append(shots, shot{"", data})
	}

	var mu sync.Mutex
	o := outcome{lowest: 1}
	work := make(chan shot)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for s := range work {
				m, err := index.Match(s.data)
				mu.Lock()
				if err != nil {
					t.Errorf("%s: %v", s.wine, err)
				}
				if _, ok := known[s.wine]; ok {
					o.Known++
					switch {
					case m.Known && m.Wine == s.wine:
						o.Right++
						o.lowest = min(o.lowest, m.Score)
					case m.Known:
						o.Wrong++
					}
				} else {
					o.Others++
					o.highest = max(o.highest, m.Score)
					if !m.Known {
						o.Unsaid++
					}
				}
				mu.Unlock()
			}
		})
	}
	for _, s := range shots {
		work <- s
	}
	close(work)
	wg.Wait()
	return o
}

func TestRealPhotographs(t *testing.T) {
	t.Parallel()
	photos := realPhotos(t)
	for seed := uint64(1); seed <= 2; seed++ {
		o := trial(t, photos, seed)
		t.Logf("seed %d: %v", seed, o)
		if race {
			return
		}
		require.Equal(t, 80, o.Known)
		require.Equal(t, 23, o.Others)
		require.GreaterOrEqual(t, o.Right, 77, "seed %d: %v", seed, o)
		require.GreaterOrEqual(t, o.Unsaid, 22, "seed %d: %v", seed, o)
		require.Zero(t, o.Wrong, "seed %d: %v", seed, o)
	}
}

func TestDrawnLabels(t *testing.T) {
	t.Parallel()
	o := trial(t, builtin(t), 1)
	t.Log(o)
	if race {
		return
	}
	require.GreaterOrEqual(t, o.Right, o.Known-2, o.String())
	require.GreaterOrEqual(t, o.Unsaid, o.Others-1, o.String())
	require.Zero(t, o.Wrong, o.String())
}

func TestUndisturbedIsRecognised(t *testing.T) {
	t.Parallel()
	photos := some(builtin(t), 8)
	index, err := label.New(photos)
	require.NoError(t, err)
	require.Equal(t, len(photos), index.Wines())
	for wine, data := range photos {
		m, err := index.Match(data)
		require.NoError(t, err)
		require.Equal(t, wine, m.Wine)
		require.True(t, m.Known)
		require.Greater(t, m.Score, 0.95)
	}
}

func TestEmptyIndexKnowsNothing(t *testing.T) {
	t.Parallel()
	index, err := label.New(nil)
	require.NoError(t, err)
	m, err := index.Match(label.Text(rand.New(rand.NewPCG(1, 1))))
	require.NoError(t, err)
	require.Equal(t, label.Match{}, m)
}

func TestDisturbIsSeeded(t *testing.T) {
	t.Parallel()
	photo := label.Text(rand.New(rand.NewPCG(1, 1)))
	at := func(seed uint64) []byte {
		data, err := label.Disturb(photo, rand.New(rand.NewPCG(seed, 0)))
		require.NoError(t, err)
		return data
	}
	require.Equal(t, at(1), at(1))
	require.NotEqual(t, at(1), at(2))
	for seed := range uint64(20) {
		cfg, err := jpeg.DecodeConfig(bytes.NewReader(at(seed)))
		require.NoError(t, err)
		require.True(t, cfg.Width >= 192 && cfg.Width <= 240 && cfg.Height >= 256 && cfg.Height <= 320,
			"%d x %d", cfg.Width, cfg.Height)
	}
}

func encoded(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, w, h)), nil))
	return b.Bytes()
}

func TestNotAJPEG(t *testing.T) {
	t.Parallel()
	index, err := label.New(nil)
	require.NoError(t, err)
	var pngFile bytes.Buffer
	require.NoError(t, png.Encode(&pngFile, image.NewGray(image.Rect(0, 0, 64, 64))))
	whole := encoded(t, 64, 64)
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"png":    {pngFile.Bytes(), "not a JPEG but image/png (it begins with 89 50 4e 47"},
		"text":   {[]byte("a bottle of wine"), "not a JPEG but text/plain"},
		"empty":  {nil, "the upload is empty"},
		"torn":   {whole[:len(whole)-30], "not a whole JPEG (it begins with ff d8"},
		"header": {[]byte{0xff, 0xd8, 0xff}, "not a whole JPEG"},
	} {
		_, err := index.Match(c.data)
		require.ErrorIs(t, err, label.ErrNotJPEG, name)
		var not *label.NotJPEGError
		require.ErrorAs(t, err, &not, name)
		require.ErrorContains(t, err, c.says, name)

		_, err = label.New(map[string][]byte{"w7": c.data})
		require.ErrorIs(t, err, label.ErrNotJPEG, name)
		require.ErrorContains(t, err, "photograph of wine w7", name)
		_, err = label.Disturb(c.data, rand.New(rand.NewPCG(1, 1)))
		require.ErrorIs(t, err, label.ErrNotJPEG, name)
	}
}

// A few bytes may claim a picture of any size; it must not be allocated.
func TestHostileSizes(t *testing.T) {
	t.Parallel()
	index, err := label.New(nil)
	require.NoError(t, err)
	claim := encoded(t, 64, 64)
	sof := bytes.Index(claim, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(claim[sof+5:], 65000)
	binary.BigEndian.PutUint16(claim[sof+7:], 65000)
	scans := encoded(t, 64, 64)
	for range 100 {
		scans = append(scans, 0xff, 0xda)
	}
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"claims 65000 x 65000": {claim, "65000 x 65000; at most 4194304 pixels"},
		"many bytes":           {append(encoded(t, 64, 64), make([]byte, label.MaxBytes)...), "bytes; at most 4194304 are taken"},
		"a dot":                {encoded(t, 3, 200), "3 x 200; at least 32 x 32"},
		"many scans":           {scans, "101 scans; at most 64"},
	} {
		_, err := index.Match(c.data)
		require.ErrorIs(t, err, label.ErrSize, name)
		var size *label.SizeError
		require.ErrorAs(t, err, &size, name)
		require.ErrorContains(t, err, c.says, name)
	}
}

// Shapes that no camera makes are compared all the same, and not recognised.
func TestOddPicturesDoNotPanic(t *testing.T) {
	t.Parallel()
	index, err := label.New(some(builtin(t), 4))
	require.NoError(t, err)
	for _, size := range [][2]int{{32, 32}, {32, 2000}, {2000, 32}, {1000, 1000}} {
		m, err := index.Match(encoded(t, size[0], size[1]))
		require.NoError(t, err)
		require.False(t, m.Known)
	}
}

// FuzzMatch: whatever is uploaded, the answer is a match or a typed error.
func FuzzMatch(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	text := label.Text(rng)
	index, err := label.New(map[string][]byte{"text": text})
	require.NoError(f, err)
	f.Add(text)
	f.Add(text[:200])
	f.Add([]byte("\xff\xd8\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := index.Match(data)
		var not *label.NotJPEGError
		var size *label.SizeError
		if err != nil {
			require.True(t, errors.As(err, &not) || errors.As(err, &size), "%v", err)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	photos := realPhotos(b)
	rng := rand.New(rand.NewPCG(1, 1))
	index, err := label.New(photos)
	require.NoError(b, err)
	for name, data := range map[string][]byte{"known": photos["100062"], "unknown": label.Text(rng)} {
		if name == "known" {
			data, err = label.Disturb(data, rng)
			require.NoError(b, err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err := index.Match(data)
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	photos := realPhotos(b)
	for b.Loop() {
		_, err := label.New(photos)
		require.NoError(b, err)
	}
}
