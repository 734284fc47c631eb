package catalogue

import (
	"errors"
	"fmt"
)

// Faults that a [*RowError] wraps.
var (
	ErrTorn          = errors.New("the file ends in the middle of a row")
	ErrColumns       = errors.New("wrong number of columns")
	ErrMissingColumn = errors.New("a column is missing in the header")
	ErrQuote         = errors.New("misplaced quote")
	ErrValue         = errors.New("not a valid value")
	ErrRange         = errors.New("rating outside 1 to 5 in halves")
	ErrUnknownWine   = errors.New("no such wine in wines.csv")
	ErrTwice         = errors.New("occurs twice")
	ErrTooLong       = errors.New("larger than a catalogue may be")
)

// A DirError says that a directory does not hold a catalogue.
type DirError struct {
	Dir     string
	Missing string // what was looked for; empty when it is the directory itself
	Err     error
}

func (e *DirError) Error() string {
	what := "no data directory " + e.Dir
	if e.Missing != "" {
		what = fmt.Sprintf("data directory %s has no usable %s", e.Dir, e.Missing)
	}
	return fmt.Sprintf("%s: %v; it should hold wines.csv, ratings.csv.gz and photos/<WineID>.jpg "+
		"in the format of X-Wines (https://doi.org/10.3390/bdcc7010020); "+
		"give another with --data DIR, or run with the built-in catalogue: --data builtin", what, e.Err)
}

func (e *DirError) Unwrap() error { return e.Err }

// A RowError says which row of a file is wrong. Nothing of the file was used.
type RowError struct {
	File string
	Line int    // from 1, the header is line 1
	What string // the offending field and its text; may be empty
	Err  error  // one of the Err… above
}

func (e *RowError) Error() string {
	if e.What == "" {
		return fmt.Sprintf("%s:%d: %v (nothing was loaded)", e.File, e.Line, e.Err)
	}
	return fmt.Sprintf("%s:%d: %s: %v (nothing was loaded)", e.File, e.Line, e.What, e.Err)
}

func (e *RowError) Unwrap() error { return e.Err }

// A GzipError says that a compressed file is damaged: no gzip at all, cut short,
// or with a wrong checksum. Nothing of the file was used.
type GzipError struct {
	File string
	Line int // the last whole row that could be read; 0 when none
	Err  error
}

func (e *GzipError) Error() string {
	return fmt.Sprintf("%s: damaged gzip after line %d: %v (nothing was loaded; fetch the file again)", e.File, e.Line, e.Err)
}

func (e *GzipError) Unwrap() error { return e.Err }

// A NoPhotoError says that the catalogue has no photograph of a wine.
type NoPhotoError struct{ Wine string }

func (e *NoPhotoError) Error() string {
	return fmt.Sprintf("no photograph of wine %s in the catalogue", e.Wine)
}
