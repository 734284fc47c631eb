package catalogue

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// maxTable bounds how many bytes of a table are read, after decompression:
	// a small gzip file can unfold to anything.
	maxTable = 256 << 20
	// maxShown is how much of a bad field an error quotes.
	maxShown = 40
)

// A table reads the rows of a CSV file and says where a fault is.
type table struct {
	file    string
	csv     *csv.Reader
	tail    *tail
	columns map[string]int
	line    int // of the row read last
}

// tail remembers how a stream ended: encoding/csv takes a last row without a
// line break as it comes, which is what a torn file looks like when the tear is
// inside the last field.
type tail struct {
	r    io.Reader
	left int64
	last byte
	err  error // the first error but io.EOF
}

func (t *tail) Read(p []byte) (int, error) {
	if t.left <= 0 {
		t.err = ErrTooLong
		return 0, t.err
	}
	n, err := t.r.Read(p[:min(int64(len(p)), t.left)])
	t.left -= int64(n)
	if n > 0 {
		t.last = p[n-1]
	}
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}

// newTable reads the header, which must have the columns that are named.
func newTable(r io.Reader, file string, need ...string) (*table, error) {
	t := &table{file: file, tail: &tail{r: r, left: maxTable}, columns: make(map[string]int)}
	t.csv = csv.NewReader(bufio.NewReaderSize(t.tail, 1<<16))
	t.csv.ReuseRecord = true
	header, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		return nil, &RowError{File: file, Line: 1, What: "empty file", Err: ErrTorn}
	}
	if err != nil {
		return nil, t.explain(err)
	}
	t.line = 1
	for i, name := range header {
		t.columns[strings.TrimPrefix(name, "\ufeff")] = i
	}
	for _, name := range need {
		if _, ok := t.columns[name]; !ok {
			return nil, &RowError{File: file, Line: 1, What: "column " + name, Err: ErrMissingColumn}
		}
	}
	return t, nil
}

// next returns the next row, which is valid until the call after. It ends with
// io.EOF, and only if the file ends with a whole line.
func (t *table) next() (row, error) {
	fields, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		if t.tail.last != '\n' {
			return row{}, &RowError{File: t.file, Line: t.line, What: "no line break at the end", Err: ErrTorn}
		}
		return row{}, io.EOF
	}
	if err != nil {
		return row{}, t.explain(err)
	}
	t.line, _ = t.csv.FieldPos(0)
	return row{table: t, fields: fields, line: t.line}, nil
}

// explain turns what the reader below reports into our errors.
func (t *table) explain(err error) error {
	if damaged(t.tail.err) {
		return &GzipError{File: t.file, Line: t.line, Err: t.tail.err}
	}
	pe, ok := errors.AsType[*csv.ParseError](err)
	if !ok {
		return &RowError{File: t.file, Line: t.line + 1, Err: err}
	}
	e := &RowError{File: t.file, Line: pe.StartLine, Err: ErrQuote}
	switch {
	case errors.Is(pe.Err, csv.ErrFieldCount):
		e.Err = ErrColumns
		e.What = fmt.Sprintf("not the %d columns of the header", len(t.columns))
		if t.atEnd() {
			e.Err = ErrTorn
		}
	case errors.Is(pe.Err, csv.ErrQuote) && t.atEnd():
		e.Err, e.What = ErrTorn, "quote without an end"
	}
	return e
}

// atEnd reports whether all was read and the last line has no end.
func (t *table) atEnd() bool {
	_, err := t.csv.Read()
	return errors.Is(err, io.EOF) && t.tail.last != '\n'
}

func damaged(err error) bool {
	if _, ok := errors.AsType[flate.CorruptInputError](err); ok {
		return true
	}
	return errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF)
}

// A row is one line of a table.
type row struct {
	*table
	fields []string
	line   int
}

// get returns the field of that column; "" when the file has no such column.
func (r row) get(column string) string {
	i, ok := r.columns[column]
	if !ok {
		return ""
	}
	return r.fields[i]
}

func (r row) fault(column string, err error) error {
	text := r.get(column)
	if len(text) > maxShown {
		text = text[:maxShown] + "…"
	}
	return &RowError{File: r.file, Line: r.line, What: fmt.Sprintf("%s %q", column, text), Err: err}
}
