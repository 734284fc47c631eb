package label

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"
)

// Sizes of the pictures that are compared: fine, half of it, and rough.
const (
	fineWidth, fineHeight   = 60, 80
	roughWidth, roughHeight = 20, 26
	// Of the roughly best, roughly is how many are aligned at half size, and of
	// these exactly is how many at full size.
	roughly, exactly = 12, 4
	// starts is how many views of a wine the alignment starts from at most: from
	// a view that is a little off it may run into a neighbouring line of text.
	starts = 4
	// Radius of the surroundings that a value is compared with.
	fineRadius, middleRadius = 5, 4
	// smoothing of the half-size picture: passes. Blur widens the range from
	// which the alignment finds its way.
	smoothing = 2
	// certain is the correlation at which no other start and no other wine can do
	// better.
	certain = 0.8
)

// Threshold is the correlation from which a label counts as known. Of
// known labels, disturbed, photographs reached 0.81 and more, drawn ones 0.68;
// pictures of other bottles and of no bottle stayed below 0.64.
const Threshold = 0.65

// A Match is the answer to an upload.
type Match struct {
	Wine  string  // the best of the known wines; empty only if none was plausible
	Score float64 // correlation with its photograph, 0 to 1
	Known bool    // whether the score reaches [Threshold]
}

// An Index holds the known labels. It is read-only after [New], and safe for
// concurrent use. It takes about 250 kB a label.
type Index struct {
	wines []string // sorted
	known []entry  // by the same number
}

type entry struct {
	fine, middle level
	rough        [][]float32 // by view: unit vectors
}

// views are the warps that the rough comparison tries.
var views = func() []warp {
	var out []warp
	for _, degrees := range []float64{-7, -3.5, 0, 3.5, 7} {
		for _, sx := range []float64{0.85, 0.95} {
			for _, sy := range []float64{0.85, 0.95} {
				for _, dx := range []float64{-0.015, 0.015} {
					for _, dy := range []float64{-0.02, 0.02} {
						out = append(out, turned(degrees, sx, sy, dx, dy))
					}
				}
			}
		}
	}
	return out
}()

// New indexes one photograph a wine. The error names the wine whose photograph
// cannot be used and wraps a [*NotJPEGError] or [*SizeError]. Cost: about 3 ms a
// photograph, spread over the processors.
func New(photos map[string][]byte) (*Index, error) {
	x := &Index{wines: slices.Sorted(maps.Keys(photos))}
	x.known = make([]entry, len(x.wines))
	errs := make([]error, len(x.wines))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(x.wines)) {
		wg.Go(func() {
			for i := range next {
				x.known[i], errs[i] = newEntry(photos[x.wines[i]])
			}
		})
	}
	for i := range x.wines {
		next <- i
	}
	close(next)
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("photograph of wine %s: %w", x.wines[i], err)
		}
	}
	return x, nil
}

// Wines returns the number of known labels.
func (x *Index) Wines() int { return len(x.wines) }

func newEntry(photo []byte) (entry, error) {
	img, err := decode(photo)
	if err != nil {
		return entry{}, err
	}
	g := grey(img, fineWidth, fineHeight)
	e := entry{fine: newKnownLevel(fineNormal(g)), middle: newKnownLevel(middleNormal(g))}
	for _, w := range views {
		e.rough = append(e.rough, e.look(w))
	}
	return e, nil
}

func fineNormal(g plane) plane { return g.normalized(fineRadius) }
func middleNormal(g plane) plane {
	p := g.half().normalized(middleRadius)
	for range smoothing {
		p = p.smoothed()
	}
	return p
}

// look samples what an upload with that warp shows, roughly.
func (e *entry) look(by warp) []float32 {
	w, p := by.affine(), e.middle.p
	scale := float64(p.h)
	cx, cy := float64(p.w-1)/2, float64(p.h-1)/2
	out := make([]float32, 0, roughWidth*roughHeight)
	for y := range roughHeight {
		v := (float64(y)+0.5)/roughHeight - 0.5
		for x := range roughWidth {
			u := ((float64(x)+0.5)/roughWidth - 0.5) * float64(p.w) / scale
			out = append(out, p.at(float32((w.a*u+w.b*v+w.dx)*scale+cx), float32((w.c*u+w.d*v+w.dy)*scale+cy)))
		}
	}
	return unit(out)
}

// unit subtracts the mean and scales to length 1.
func unit(v []float32) []float32 {
	var sum, squares float64
	for _, x := range v {
		sum += float64(x)
	}
	mean := float32(sum / float64(len(v)))
	for i := range v {
		v[i] -= mean
		squares += float64(v[i]) * float64(v[i])
	}
	if squares > 0 {
		scale := float32(1 / math.Sqrt(squares))
		for i := range v {
			v[i] *= scale
		}
	}
	return v
}

// Match says which of the known wines the JPEG shows. The error is a
// [*NotJPEGError] or a [*SizeError]; that no wine was recognised is not an
// error. Cost for 80 labels: 6 ms when one is recognised,
// 25 ms when none is.
func (x *Index) Match(jpeg []byte) (Match, error) {
	img, err := decode(jpeg)
	if err != nil {
		return Match{}, err
	}
	g := grey(img, fineWidth, fineHeight)
	middle, fine := newLevel(middleNormal(g)), newLevel(fineNormal(g))
	upload := entry{middle: middle}
	var aligned []candidate
	for _, c := range x.shortlist(upload.look(turned(0, 1, 1, 0, 0))) {
		if !c.align(middle, x.known[c.wine].middle) {
			continue
		}
		if c.score > certain {
			if m := x.exactly(fine, c); m.Score > certain {
				return m, nil
			}
		}
		aligned = append(aligned, c)
	}
	var best Match
	for _, c := range first(aligned, exactly) {
		if m := x.exactly(fine, c); m.Score > best.Score {
			best = m
		}
	}
	return best, nil
}

// exactly refines a candidate at full size.
func (x *Index) exactly(upload level, c candidate) Match {
	known := x.known[c.wine].fine
	w, ok := refine(upload, known, c.warp, 5)
	if !ok {
		return Match{}
	}
	s := correlation(upload.p, known.p, w)
	return Match{Wine: x.wines[c.wine], Score: s, Known: s >= Threshold}
}

// candidate is a known wine, how the upload may map onto it, and how well it does.
type candidate struct {
	wine  int
	views [starts]view // the most alike, best first
	warp  warp
	score float64
}

// view is the number of one of views, and how much the upload looks like it.
type view struct {
	number int
	score  float32
}

// see keeps v if it is among the best so far.
func (c *candidate) see(v view) {
	for i := range c.views {
		if v.score > c.views[i].score {
			c.views[i], v = v, c.views[i]
		}
	}
}

// align sets the warp to the best that the refinement finds from one of the
// views, and reports whether there is any.
func (c *candidate) align(upload, known level) bool {
	c.score = 0
	for _, v := range c.views {
		w, ok := refine(upload, known, views[v.number], 10)
		if !ok {
			continue
		}
		if s := correlation(upload.p, known.p, w); s > c.score {
			c.warp, c.score = w, s
		}
		if c.score > certain {
			break
		}
	}
	return c.score > 0
}

// first returns the n candidates with the highest scores, best first.
func first(all []candidate, n int) []candidate {
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.wine, b.wine))
	})
	return all[:min(n, len(all))]
}

// shortlist returns the wines that look most alike.
func (x *Index) shortlist(upload []float32) []candidate {
	all := make([]candidate, len(x.known))
	for i := range x.known {
		c := candidate{wine: i}
		for k := range c.views {
			c.views[k].score = -2
		}
		for number, v := range x.known[i].rough {
			c.see(view{number, dot(upload, v)})
		}
		c.score = float64(c.views[0].score)
		all[i] = c
	}
	return first(all, roughly)
}

func dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}
