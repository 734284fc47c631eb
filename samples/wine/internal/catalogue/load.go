package catalogue

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// File names in a data directory.
const (
	winesFile   = "wines.csv"
	ratingsFile = "ratings.csv.gz"
	photosDir   = "photos"
)

// Load reads the catalogue in dir. The error is a [*DirError] when the directory
// or a file is not there, a [*RowError] for a row that is torn, garbled or
// contradicts the rest, a [*GzipError] for damaged compression; each says what to
// do. Photographs are listed, not read. 150,000 ratings take about 0.2 s.
func Load(dir string) (*Catalogue, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, &DirError{Dir: dir, Err: plain(err)}
	}
	if !info.IsDir() {
		return nil, &DirError{Dir: dir, Err: errors.New("not a directory")}
	}
	c := &Catalogue{photos: make(map[string]photo)}
	if err := c.loadWines(dir); err != nil {
		return nil, err
	}
	c.finish()
	if err := c.loadRatings(dir); err != nil {
		return nil, err
	}
	if err := c.findPhotos(dir); err != nil {
		return nil, err
	}
	return c, nil
}

// plain strips the path from a file error: the message around it names it.
func plain(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

func (c *Catalogue) loadWines(dir string) error {
	file := filepath.Join(dir, winesFile)
	f, err := os.Open(file)
	if err != nil {
		return &DirError{Dir: dir, Missing: winesFile, Err: plain(err)}
	}
	defer f.Close()
	t, err := newTable(f, file, "WineID", "WineName", "Type", "Country", "WineryName")
	if err != nil {
		return err
	}
	seen := make(map[string]int)
	for {
		row, err := t.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		w := Wine{
			ID:         row.get("WineID"),
			Name:       row.get("WineName"),
			Type:       row.get("Type"),
			Country:    row.get("Country"),
			Region:     row.get("RegionName"),
			Winery:     row.get("WineryName"),
			Grapes:     list(row.get("Grapes")),
			Body:       row.get("Body"),
			Acidity:    row.get("Acidity"),
			Elaborated: row.get("Elaborate"),
		}
		if w.ID == "" || strings.ContainsAny(w.ID, "/\\\x00") {
			return row.fault("WineID", ErrValue)
		}
		if w.Name == "" {
			return row.fault("WineName", ErrValue)
		}
		if abv := row.get("ABV"); abv != "" {
			if w.ABV, err = strconv.ParseFloat(abv, 64); err != nil || !(w.ABV >= 0 && w.ABV <= 100) {
				return row.fault("ABV", ErrValue)
			}
		}
		if first, ok := seen[w.ID]; ok {
			return row.fault("WineID", fmt.Errorf("%w, first in line %d", ErrTwice, first))
		}
		seen[w.ID] = row.line
		c.Wines = append(c.Wines, w)
	}
}

// list reads "['a', 'b']", as the data set writes lists.
func list(s string) []string {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if s == "" {
		return nil
	}
	var out []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.Trim(item, ` '"`); item != "" {
			out = append(out, item)
		}
	}
	return out
}

func (c *Catalogue) loadRatings(dir string) error {
	file := filepath.Join(dir, ratingsFile)
	f, err := os.Open(file)
	if err != nil {
		return &DirError{Dir: dir, Missing: ratingsFile, Err: plain(err)}
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return &GzipError{File: file, Err: err}
	}
	t, err := newTable(z, file, "UserID", "WineID", "Rating", "Date")
	if err != nil {
		return err
	}
	type opinion struct{ user, wine string }
	seen := make(map[opinion]int)
	users := make(map[string]string) // one string a user, not one a rating
	for {
		row, err := t.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r, err := c.rating(row, users)
		if err != nil {
			return err
		}
		key := opinion{r.User, r.Wine}
		if first, ok := seen[key]; ok {
			return row.fault("WineID", fmt.Errorf("rated by user %s in line %d already: %w", r.User, first, ErrTwice))
		}
		seen[key] = row.line
		c.Ratings = append(c.Ratings, r)
	}
}

func (c *Catalogue) rating(row row, users map[string]string) (Rating, error) {
	i, ok := c.byID[row.get("WineID")]
	if !ok {
		return Rating{}, row.fault("WineID", ErrUnknownWine)
	}
	user := row.get("UserID")
	if user == "" {
		return Rating{}, row.fault("UserID", ErrValue)
	}
	if known, ok := users[user]; ok {
		user = known
	} else {
		user = strings.Clone(user)
		users[user] = user
	}
	stars, err := strconv.ParseFloat(row.get("Rating"), 64)
	if err != nil {
		return Rating{}, row.fault("Rating", ErrValue)
	}
	if !(stars >= 1 && stars <= 5) || math.Trunc(2*stars) != 2*stars {
		return Rating{}, row.fault("Rating", ErrRange)
	}
	date, err := time.Parse(time.DateTime, row.get("Date"))
	if err != nil {
		return Rating{}, row.fault("Date", ErrValue)
	}
	return Rating{User: user, Wine: c.Wines[i].ID, Stars: stars, Date: date}, nil
}

// findPhotos lists photos/*.jpg. A directory without photographs is in order;
// one of a wine that is not in the catalogue is not.
func (c *Catalogue) findPhotos(dir string) error {
	path := filepath.Join(dir, photosDir)
	entries, err := os.ReadDir(path)
	if err != nil {
		return &DirError{Dir: dir, Missing: photosDir, Err: plain(err)}
	}
	for _, e := range entries {
		wine, ok := strings.CutSuffix(e.Name(), ".jpg")
		if !ok || e.IsDir() {
			continue
		}
		i, ok := c.byID[wine]
		if !ok {
			return &DirError{Dir: dir, Missing: filepath.Join(photosDir, e.Name()), Err: ErrUnknownWine}
		}
		c.photos[c.Wines[i].ID] = photo{path: filepath.Join(path, e.Name())}
	}
	return nil
}
