package catalogue

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"
)

// A Wine is one entry of the catalogue.
type Wine struct {
	ID         string
	Name       string
	Type       string // Red, White, Rosé, Sparkling, Dessert …
	Country    string
	Region     string
	Winery     string
	Grapes     []string
	ABV        float64 // alcohol, % of volume; 0 when not given
	Body       string
	Acidity    string
	Elaborated string // how it is made, such as "Varietal/100%"
}

// Title is how a label would name the wine: winery and name.
func (w Wine) Title() string {
	if w.Winery == "" {
		return w.Name
	}
	return w.Winery + " " + w.Name
}

// A Rating is one user's opinion of one wine.
type Rating struct {
	User string
	Wine string
	// Stars is 1 to 5 in halves.
	Stars float64
	Date  time.Time
}

// FavoriteStars is the rating from which a wine counts as a favourite.
const FavoriteStars = 4.0

// Favorite reports whether the user likes the wine.
func (r Rating) Favorite() bool { return r.Stars >= FavoriteStars }

// A Catalogue is what was loaded. It is read-only: its methods may be called
// from any number of goroutines, its slices must not be changed.
type Catalogue struct {
	Wines   []Wine   // by id
	Ratings []Rating // in the order of the source

	byID   map[string]int
	photos map[string]photo
}

// photo is a file, or a picture that is in memory.
type photo struct {
	path string
	jpeg []byte
}

// Wine returns the wine of that id.
func (c *Catalogue) Wine(id string) (Wine, bool) {
	i, ok := c.byID[id]
	if !ok {
		return Wine{}, false
	}
	return c.Wines[i], true
}

// Photographed returns the ids of the wines that have a photograph, sorted.
func (c *Catalogue) Photographed() []string {
	return slices.Sorted(maps.Keys(c.photos))
}

// Photo returns the photograph of the wine as a JPEG. The error is a
// [*NoPhotoError] when there is none, otherwise what reading the file reported.
// Each call reads the file; the caller owns the bytes.
func (c *Catalogue) Photo(wine string) ([]byte, error) {
	p, ok := c.photos[wine]
	if !ok {
		return nil, &NoPhotoError{Wine: wine}
	}
	if p.path == "" {
		return slices.Clone(p.jpeg), nil
	}
	jpeg, err := os.ReadFile(p.path)
	if err != nil {
		return nil, fmt.Errorf("photograph of wine %s: %w", wine, err)
	}
	return jpeg, nil
}

// Photos returns all the photographs by wine.
func (c *Catalogue) Photos() (map[string][]byte, error) {
	all := make(map[string][]byte, len(c.photos))
	for _, wine := range c.Photographed() {
		jpeg, err := c.Photo(wine)
		if err != nil {
			return nil, err
		}
		all[wine] = jpeg
	}
	return all, nil
}

// RatingsByUser groups the ratings, each user's in the order of the source.
func (c *Catalogue) RatingsByUser() map[string][]Rating {
	by := make(map[string][]Rating)
	for _, r := range c.Ratings {
		by[r.User] = append(by[r.User], r)
	}
	return by
}

// Favorites returns, for each user who has any, the wines rated
// [FavoriteStars] or more, sorted.
func (c *Catalogue) Favorites() map[string][]string {
	by := make(map[string][]string)
	for _, r := range c.Ratings {
		if r.Favorite() {
			by[r.User] = append(by[r.User], r.Wine)
		}
	}
	for _, wines := range by {
		slices.Sort(wines)
	}
	return by
}

// finish sorts the wines and indexes them.
func (c *Catalogue) finish() {
	slices.SortFunc(c.Wines, func(a, b Wine) int {
		switch {
		case a.ID < b.ID:
			return -1
		case a.ID > b.ID:
			return 1
		}
		return 0
	})
	c.byID = make(map[string]int, len(c.Wines))
	for i, w := range c.Wines {
		c.byID[w.ID] = i
	}
}
