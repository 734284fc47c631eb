package main

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/martinelli-go/martinelli/samples/wine"
	"github.com/martinelli-go/martinelli/samples/wine/internal/catalogue"
	"github.com/martinelli-go/martinelli/samples/wine/internal/label"
	"github.com/martinelli-go/martinelli/samples/wine/internal/walk"
)

const (
	// beside is where the X-Wines data set is looked for, relative to the module or the working
	// directory.
	beside = "../shared/data/xwines"
	// builtin as a directory stands for the catalogue that needs none.
	builtin = "builtin"

	dataUsage = "`directory` in the format of X-Wines, or " + builtin + " for the catalogue that comes with the program (default: " +
		beside + " if it is there, otherwise " + builtin + ")"
)

// dataDir resolves --data to a directory or to builtin.
func dataDir(flag string) string {
	if flag != "" {
		return flag
	}
	for _, from := range []string{moduleDir(), "."} {
		dir := filepath.Join(from, filepath.FromSlash(beside))
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return builtin
}

// moduleDir is the nearest directory upwards that has a go.mod, or the working directory.
func moduleDir() string {
	from, err := os.Getwd()
	for dir := from; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return "."
}

func loadCatalogue(dir string, seed uint64) (*catalogue.Catalogue, error) {
	if dir == builtin {
		return catalogue.Builtin(seed), nil
	}
	return catalogue.Load(dir)
}

// photographs splits the wines that have a photograph into those of the silos' catalogue, four of five,
// and the rest, which they have never seen.
func photographs(c *catalogue.Catalogue, seed uint64) (known, unseen []string) {
	wines := c.Photographed()
	rng := rand.New(rand.NewPCG(seed, 0x70686f746f))
	rng.Shuffle(len(wines), func(i, j int) { wines[i], wines[j] = wines[j], wines[i] })
	n := len(wines) * 4 / 5
	slices.Sort(wines[:n])
	slices.Sort(wines[n:])
	return wines[:n], wines[n:]
}

// labels indexes the photographs that the silos know.
func labels(c *catalogue.Catalogue, seed uint64) (*label.Index, error) {
	known, _ := photographs(c, seed)
	photos := make(map[string][]byte, len(known))
	for _, id := range known {
		photo, err := c.Photo(id)
		if err != nil {
			return nil, err
		}
		photos[id] = photo
	}
	return label.New(photos)
}

// input is what the demonstration feeds the cluster with.
type input struct {
	dir       string
	catalogue *catalogue.Catalogue
	users     []string            // sorted; those who have ratings
	favorites map[string][]string // by user
	// kept and held split favorites for the hit rate.
	kept, held map[string][]string
	// first are the ratings that are loaded before the measurement, rest those of what is held out.
	first, rest map[string][]wine.Rating
}

func (in *input) real() bool { return in.dir != builtin }

// load reads the catalogue; of more than users users it takes as many, all for 0.
func load(dir string, seed uint64, users int) (*input, error) {
	c, err := loadCatalogue(dir, seed)
	if err != nil {
		return nil, err
	}
	in := &input{dir: dir, catalogue: c, favorites: c.Favorites(), first: map[string][]wine.Rating{}, rest: map[string][]wine.Rating{}}
	ratings := c.RatingsByUser()
	in.users = slices.Sorted(maps.Keys(ratings))
	if users > 0 && users < len(in.users) {
		in.users = in.users[:users]
		maps.DeleteFunc(in.favorites, func(user string, _ []string) bool {
			_, taken := slices.BinarySearch(in.users, user)
			return !taken
		})
	}
	in.kept, in.held = walk.HoldOut(in.favorites, seed)
	for _, user := range in.users {
		for _, r := range ratings[user] {
			part := in.first
			if slices.Contains(in.held[user], r.Wine) {
				part = in.rest
			}
			part[user] = append(part[user], wine.Rating{Wine: wine.WineID(r.Wine), Stars: r.Stars})
		}
	}
	return in, nil
}
