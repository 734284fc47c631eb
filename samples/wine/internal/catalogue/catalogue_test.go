package catalogue_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/samples/wine/internal/catalogue"
)

const (
	goodWines = "WineID,WineName,Type,Elaborate,Grapes,ABV,Country,WineryName\n" +
		"1,Moscatel,Sparkling,Varietal/100%,\"['Muscat', 'Malvasia']\",7.5,Brazil,Casa Perini\n" +
		"2,\"Grand, Cru\",Red,,,,France,Somebody\n"
	goodRatings = "RatingID,UserID,WineID,Vintage,Rating,Date\n" +
		"1,ana,1,2020,4.5,2021-11-02 20:52:59\n" +
		"2,bo,2,N.V.,3.0,2015-08-20 17:46:26\n" +
		"3,bo,1,N.V.,4.0,2015-08-20 17:46:26\n"
)

func zip(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(s))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

func write(t *testing.T, wines string, ratings []byte) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "wines.csv"), []byte(wines), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ratings.csv.gz"), ratings, 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "photos"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "photos", "2.jpg"), []byte("a picture"), 0o600))
	return dir
}

func TestLoad(t *testing.T) {
	t.Parallel()
	c, err := catalogue.Load(write(t, goodWines, zip(t, goodRatings)))
	require.NoError(t, err)
	require.Len(t, c.Wines, 2)
	require.Len(t, c.Ratings, 3)
	w, ok := c.Wine("1")
	require.True(t, ok)
	require.Equal(t, "Casa Perini Moscatel", w.Title())
	require.Equal(t, []string{"Muscat", "Malvasia"}, w.Grapes)
	require.InDelta(t, 7.5, w.ABV, 0)
	_, ok = c.Wine("3")
	require.False(t, ok)
	require.Equal(t, map[string][]string{"ana": {"1"}, "bo": {"1"}}, c.Favorites())
	require.Len(t, c.RatingsByUser()["bo"], 2)
	require.Equal(t, []string{"2"}, c.Photographed())
	jpeg, err := c.Photo("2")
	require.NoError(t, err)
	require.Equal(t, "a picture", string(jpeg))
	_, err = c.Photo("1")
	var none *catalogue.NoPhotoError
	require.ErrorAs(t, err, &none)
	require.Equal(t, "1", none.Wine)
}

func TestDirectoryNotThere(t *testing.T) {
	t.Parallel()
	_, err := catalogue.Load(filepath.Join(t.TempDir(), "nowhere"))
	var dirErr *catalogue.DirError
	require.ErrorAs(t, err, &dirErr)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "wines.csv, ratings.csv.gz and photos/")
	require.ErrorContains(t, err, "run with the built-in catalogue: --data builtin")

	for _, name := range []string{"wines.csv", "ratings.csv.gz", "photos"} {
		dir := write(t, goodWines, zip(t, goodRatings))
		require.NoError(t, os.RemoveAll(filepath.Join(dir, name)))
		_, err := catalogue.Load(dir)
		require.ErrorAs(t, err, &dirErr)
		require.Equal(t, name, dirErr.Missing)
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	dir := write(t, goodWines, zip(t, goodRatings))
	_, err = catalogue.Load(filepath.Join(dir, "wines.csv"))
	require.ErrorContains(t, err, "not a directory")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "photos", "77.jpg"), nil, 0o600))
	_, err = catalogue.Load(dir)
	require.ErrorIs(t, err, catalogue.ErrUnknownWine)
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	wine3 := "3,Third,Red,,,,Chile,Somebody\n"
	rating4 := "4,ana,2,2020,4.5,2021-11-02 20:52:59\n"
	for name, c := range map[string]struct {
		wines, ratings string
		line           int
		is             error
	}{
		"wines torn in a row":        {goodWines + "3,Thi", goodRatings, 4, catalogue.ErrTorn},
		"wines torn in a list":       {goodWines + "3,Third,Red,,\"['Mus", goodRatings, 4, catalogue.ErrTorn},
		"wines torn in the last":     {strings.TrimSuffix(goodWines+wine3, "body\n"), goodRatings, 4, catalogue.ErrTorn},
		"wines empty":                {"", goodRatings, 1, catalogue.ErrTorn},
		"a row torn in the middle":   {strings.Replace(goodWines, "7.5,Brazil,Casa Perini", "7.5,Bra", 1), goodRatings, 2, catalogue.ErrColumns},
		"garbled quote":              {goodWines + "3,Th\"ird,Red,,,,Chile,Somebody\n" + wine3, goodRatings, 4, catalogue.ErrQuote},
		"garbled strength":           {strings.Replace(goodWines, "7.5", "7·5", 1), goodRatings, 2, catalogue.ErrValue},
		"strength not a number":      {strings.Replace(goodWines, "7.5", "NaN", 1), goodRatings, 2, catalogue.ErrValue},
		"id that is a path":          {goodWines + "../3,Third,Red,,,,Chile,Somebody\n", goodRatings, 4, catalogue.ErrValue},
		"wine without a name":        {goodWines + "3,,Red,,,,Chile,Somebody\n", goodRatings, 4, catalogue.ErrValue},
		"wine twice":                 {goodWines + "2,Third,Red,,,,Chile,Somebody\n", goodRatings, 4, catalogue.ErrTwice},
		"header without a column":    {strings.Replace(goodWines, "Country", "Land", 1), goodRatings, 1, catalogue.ErrMissingColumn},
		"ratings torn in a row":      {goodWines, goodRatings + "4,ana,2,20", 5, catalogue.ErrTorn},
		"ratings without a last end": {goodWines, strings.TrimSuffix(goodRatings, "\n"), 4, catalogue.ErrTorn},
		"rating of no wine":          {goodWines, goodRatings + "4,ana,77,2020,4.5,2021-11-02 20:52:59\n" + rating4, 5, catalogue.ErrUnknownWine},
		"rating out of range":        {goodWines, goodRatings + "4,ana,2,2020,5.5,2021-11-02 20:52:59\n", 5, catalogue.ErrRange},
		"rating of nothing":          {goodWines, goodRatings + "4,ana,2,2020,0,2021-11-02 20:52:59\n", 5, catalogue.ErrRange},
		"rating not in halves":       {goodWines, goodRatings + "4,ana,2,2020,4.4,2021-11-02 20:52:59\n", 5, catalogue.ErrRange},
		"rating not a number":        {goodWines, goodRatings + "4,ana,2,2020,four,2021-11-02 20:52:59\n", 5, catalogue.ErrValue},
		"rating NaN":                 {goodWines, goodRatings + "4,ana,2,2020,NaN,2021-11-02 20:52:59\n", 5, catalogue.ErrRange},
		"rating without a user":      {goodWines, goodRatings + "4,,2,2020,4,2021-11-02 20:52:59\n", 5, catalogue.ErrValue},
		"rating without a date":      {goodWines, goodRatings + "4,ana,2,2020,4,yesterday\n", 5, catalogue.ErrValue},
		"rated twice":                {goodWines, goodRatings + "4,ana,1,2020,4,2021-11-02 20:52:59\n", 5, catalogue.ErrTwice},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := catalogue.Load(write(t, c.wines, zip(t, c.ratings)))
			require.Nil(t, got)
			var row *catalogue.RowError
			require.ErrorAs(t, err, &row)
			require.ErrorIs(t, err, c.is)
			require.Equal(t, c.line, row.Line, err.Error())
			require.ErrorContains(t, err, fmt.Sprintf(":%d: ", c.line))
			require.ErrorContains(t, err, "nothing was loaded")
		})
	}
}

func TestDamagedGzip(t *testing.T) {
	t.Parallel()
	whole := zip(t, goodRatings)
	for name, bytes := range map[string][]byte{
		"not gzip": []byte(goodRatings),
		"empty":    nil,
		"cut":      whole[:len(whole)-20],
		"no tail":  whole[:len(whole)-8],
		"flipped":  append(append([]byte(nil), whole[:len(whole)-5]...), 1, 2, 3, 4, 5),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := catalogue.Load(write(t, goodWines, bytes))
			require.Nil(t, got)
			var damaged *catalogue.GzipError
			require.ErrorAs(t, err, &damaged, "%v", err)
			require.ErrorContains(t, err, "ratings.csv.gz")
		})
	}
}

// Whatever a disturbed file holds, it is loaded whole or refused by a typed error.
func TestGarbledFilesAreRefusedOrWhole(t *testing.T) {
	t.Parallel()
	dir := write(t, goodWines, zip(t, goodRatings))
	garble := func(t *rapid.T, data []byte) []byte {
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
			data = append(append(append([]byte(nil), data[:at]...), rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "bytes")...),
				data[min(len(data), at+rapid.IntRange(0, 3).Draw(t, "gone")):]...)
		}
		return data
	}
	rapid.Check(t, func(rt *rapid.T) {
		wines, ratings, packed := []byte(goodWines), []byte(goodRatings), []byte(nil)
		switch rapid.IntRange(0, 2).Draw(rt, "which") {
		case 0:
			wines = garble(rt, wines)
		case 1:
			ratings = garble(rt, ratings)
		case 2:
			packed = garble(rt, zip(t, goodRatings))
		}
		if packed == nil {
			packed = zip(t, string(ratings))
		}
		require.NoError(rt, os.WriteFile(filepath.Join(dir, "wines.csv"), wines, 0o600))
		require.NoError(rt, os.WriteFile(filepath.Join(dir, "ratings.csv.gz"), packed, 0o600))
		c, err := catalogue.Load(dir)
		if err == nil {
			for _, r := range c.Ratings {
				_, ok := c.Wine(r.Wine)
				require.True(rt, ok)
			}
			return
		}
		require.Nil(rt, c)
		var dirErr *catalogue.DirError
		var rowErr *catalogue.RowError
		var gzipErr *catalogue.GzipError
		require.True(rt, errors.As(err, &dirErr) || errors.As(err, &rowErr) || errors.As(err, &gzipErr), "%v", err)
	})
}

func TestBuiltin(t *testing.T) {
	t.Parallel()
	a, b := catalogue.Builtin(1), catalogue.Builtin(1)
	require.Equal(t, a, b)
	require.NotEqual(t, a.Ratings, catalogue.Builtin(2).Ratings)
	require.GreaterOrEqual(t, len(a.Wines), 40)
	require.Len(t, a.Photographed(), len(a.Wines))
	require.Greater(t, len(a.Favorites()), 300)
	type opinion struct{ user, wine string }
	seen := map[opinion]bool{}
	for _, r := range a.Ratings {
		require.False(t, seen[opinion{r.User, r.Wine}])
		seen[opinion{r.User, r.Wine}] = true
		require.True(t, r.Stars >= 1 && r.Stars <= 5)
	}
	photos, err := a.Photos()
	require.NoError(t, err)
	for wine, data := range photos {
		cfg, err := jpeg.DecodeConfig(bytes.NewReader(data))
		require.NoError(t, err, wine)
		require.Equal(t, [2]int{240, 320}, [2]int{cfg.Width, cfg.Height})
	}
}

// The real data, where it lies beside the repository.
func TestLoadRealData(t *testing.T) {
	t.Parallel()
	dir := filepath.FromSlash("../../../../../shared/data/xwines")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the X-Wines data set is not beside the repository: ", err)
	}
	c, err := catalogue.Load(dir)
	require.NoError(t, err)
	require.Len(t, c.Wines, 1007)
	require.Len(t, c.Ratings, 150_000)
	require.Len(t, c.RatingsByUser(), 10_561)
	require.Len(t, c.Favorites(), 10_448)
	require.Len(t, c.Photographed(), 100)
}

func BenchmarkLoad(b *testing.B) {
	dir := filepath.FromSlash("../../../../../shared/data/xwines")
	if _, err := os.Stat(dir); err != nil {
		b.Skip("the X-Wines data set is not beside the repository: ", err)
	}
	for b.Loop() {
		_, err := catalogue.Load(dir)
		require.NoError(b, err)
	}
}

func BenchmarkBuiltin(b *testing.B) {
	for b.Loop() {
		catalogue.Builtin(1)
	}
}
