// Package lock keeps the numbers that generated code sends and stores, in a file beside it.
//
// The file is text, one section for each thing that has numbers (an interface, a struct, the state of a
// grain, the errors of a package), one line for each number:
//
//	interface User
//		lineage 0x8a2c0f1d5b3e7a94
//		version 3
//		key string
//		1 Balance () int // readonly
//		2 Purchase (string) Order // retired
//
// An interface's section has the form of its keys, and what its methods are by directives; files that were
// written before there was the line of the key have neither.
//
// The lineage of an interface is the fingerprint that it had when its first numbers were given: interfaces of
// one lineage can talk.
//
// A number is never given to anything else: what was removed stays as a retired line.
package lock

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Name is the name of the file.
const Name = "grain_gen.lock"

const (
	header = `# Numbers that travel between silos and are stored. Written by grainc: keep this file under version
# control. A number is never used again: what was removed stays as a retired line.
`
	retired = " // retired"
	// comment is what stands between a shape and traits.
	comment = " // "
	// maxNumber is the last number that protobuf's wire format can hold.
	maxNumber = 1<<29 - 1
)

// Entry is one number.
type Entry struct {
	Number  uint32
	Name    string
	Shape   string // of what is encoded: a rename of a Go type leaves it as it is
	Retired bool
	// Traits are the directives of a method, as they stand in the file.
	Traits string
	taken  bool
	// was is what the file said, nil for a new number; refused is the shape that was declared instead.
	was     *Entry
	refused string
}

// Section holds the numbers of one thing.
type Section struct {
	Title   string
	Entries []*Entry
	// First is the first number that is given, 0 for 1.
	First uint32
	// Lineage and Version are those of an interface, 0 for none.
	Lineage uint64
	Version uint32
	// Key is the form of an interface's keys, "" for none.
	Key  string
	used bool
	was  *Section // what the file said of it, without entries; nil for a new one
}

// File is a lock file.
type File struct {
	sections map[string]*Section
}

// Error says what is wrong with a line of a lock file.
type Error struct {
	Line   int
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Parse reads a lock file; an empty text is an empty one. The error is an *Error.
func Parse(text string) (*File, error) {
	f := &File{sections: map[string]*Section{}}
	var section *Section
	for i, line := range strings.Split(text, "\n") {
		fail := func(format string, args ...any) (*File, error) {
			return nil, &Error{i + 1, fmt.Sprintf(format, args...)}
		}
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		if strings.HasPrefix(trimmed, "<<<<<<<") || strings.HasPrefix(trimmed, "=======") || strings.HasPrefix(trimmed, ">>>>>>>") {
			return fail("an unresolved merge conflict: keep the lines of the branch that was deployed first, give the others fresh numbers")
		}
		if line[0] != '\t' && line[0] != ' ' {
			if f.sections[trimmed] != nil {
				return fail("%q is there twice: merge the two", trimmed)
			}
			section = &Section{Title: trimmed}
			f.sections[trimmed] = section
			continue
		}
		if section == nil {
			return fail("a number before the first section")
		}
		if word, value, _ := strings.Cut(trimmed, " "); word == "lineage" || word == "version" {
			bits := 64
			if word == "version" {
				bits = 32
			}
			n, err := strconv.ParseUint(value, 0, bits)
			if err != nil || n == 0 {
				return fail("%q is no %s: restore the line from version control", value, word)
			}
			if word == "version" {
				section.Version = uint32(n)
			} else {
				section.Lineage = n
			}
			continue
		}
		if key, ok := strings.CutPrefix(trimmed, "key "); ok {
			section.Key = strings.TrimSpace(key)
			continue
		}
		e := &Entry{}
		if e.Retired = strings.HasSuffix(trimmed, retired); e.Retired {
			trimmed = strings.TrimSpace(strings.TrimSuffix(trimmed, retired))
		}
		trimmed, e.Traits, _ = strings.Cut(trimmed, comment)
		number, rest, _ := strings.Cut(trimmed, " ")
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || n == 0 || n > maxNumber {
			return fail("%q is no number from 1 to %d", number, maxNumber)
		}
		e.Number = uint32(n)
		if e.Name, e.Shape, _ = strings.Cut(rest, " "); e.Name == "" {
			return fail("number %d has no name", n)
		}
		for _, other := range section.Entries {
			if other.Number == e.Number {
				return fail("number %d of %q is given twice, to %s and to %s (by two branches?): keep the one that was deployed first, remove the other line", n, section.Title, other.Name, e.Name)
			}
			if other.Name == e.Name && !other.Retired && !e.Retired {
				return fail("%s of %q has two numbers, %d and %d: retire one", e.Name, section.Title, other.Number, n)
			}
		}
		section.Entries = append(section.Entries, e)
	}
	for _, s := range f.sections {
		s.was = &Section{Title: s.Title, Lineage: s.Lineage, Version: s.Version, Key: s.Key}
		for _, e := range s.Entries {
			was := *e
			e.was = &was
		}
	}
	return f, nil
}

// Section returns the section of that title, which is made if it is not there.
func (f *File) Section(title string) *Section {
	s := f.sections[title]
	if s == nil {
		s = &Section{Title: title}
		f.sections[title] = s
	}
	s.used = true
	return s
}

// Has says whether there is a section of that title.
func (f *File) Has(title string) bool { return f.sections[title] != nil }

// Live returns the names and shapes of a section's numbers that are not retired, sorted; nil without the section.
func (f *File) Live(title string) (lines []string) {
	if s := f.sections[title]; s != nil {
		for _, e := range s.Entries {
			if !e.Retired {
				lines = append(lines, strings.TrimSpace(e.Name+" "+e.Shape))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// Titles returns the titles with that prefix of sections that hold something, sorted.
func (f *File) Titles(prefix string) (titles []string) {
	for _, s := range f.sorted() {
		if !s.empty() && strings.HasPrefix(s.Title, prefix) {
			titles = append(titles, s.Title)
		}
	}
	return titles
}

// RenameWords replaces words in all shapes, all at once: the names of structs and interfaces, old to new.
func (f *File) RenameWords(words map[string]string) {
	for _, s := range f.sections {
		for _, e := range s.Entries {
			e.Shape = RenameWords(e.Shape, words)
		}
	}
}

// RenameWords replaces words in a shape.
func RenameWords(text string, words map[string]string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		j := i
		for j < len(text) && wordByte(text[j]) {
			j++
		}
		if j == i {
			b.WriteByte(text[i])
			i++
			continue
		}
		word := text[i:j]
		if to, ok := words[word]; ok {
			word = to
		}
		b.WriteString(word)
		i = j
	}
	return b.String()
}

func wordByte(c byte) bool {
	return c == '_' || c == '.' || c == '/' || c == '-' || c == '~' || c >= 0x80 ||
		'0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// Changed is the error of Take for a shape that is not the locked one.
type Changed struct {
	Section, Name    string
	Number           uint32
	Locked, Declared string
}

func (e *Changed) Error() string {
	return fmt.Sprintf("%s of %q was %s and is now %s, under the same number %d", e.Name, e.Section, e.Locked, e.Declared, e.Number)
}

// Take returns the number of name, a new one if it has none. The error is a *Changed.
func (s *Section) Take(name, shape string) (uint32, error) {
	e := s.live(name)
	if e == nil {
		e = &Entry{Number: s.next(), Name: name, Shape: shape}
		s.Entries = append(s.Entries, e)
	}
	e.taken = true
	if e.Shape != shape {
		e.refused = shape
		return e.Number, &Changed{s.Title, name, e.Number, e.Shape, shape}
	}
	return e.Number, nil
}

// Describe notes the directives of a method that was taken.
func (s *Section) Describe(name, traits string) {
	if e := s.live(name); e != nil {
		e.Traits = traits
	}
}

func (s *Section) live(name string) *Entry {
	for _, e := range s.Entries {
		if e.Name == name && !e.Retired {
			return e
		}
	}
	return nil
}

func (s *Section) next() uint32 {
	var last uint32
	for _, e := range s.Entries {
		last = max(last, e.Number)
	}
	if last >= 19000-1 && last < 20000 {
		return 20000 // 19000 to 19999 are protobuf's own
	}
	return max(last+1, s.First)
}

// Retired returns the numbers of the section of that title that were removed.
func (f *File) Retired(title string) (numbers []uint32) {
	s := f.sections[title]
	if s == nil {
		return nil
	}
	for _, e := range s.byNumber() {
		if e.Retired || s.used && !e.taken {
			numbers = append(numbers, e.Number)
		}
	}
	return numbers
}

// Missing returns the names that have numbers and were not taken, in the order of their numbers.
func (s *Section) Missing() (names []string) {
	for _, e := range s.Entries {
		if !e.taken && !e.Retired {
			names = append(names, e.Name)
		}
	}
	return names
}

// String returns the text of the file: numbers that were not taken, in sections that were used, are
// retired; sections that were not used stay as they are.
func (f *File) String() string {
	var b strings.Builder
	b.WriteString(header)
	for _, s := range f.sorted() {
		if s.empty() {
			continue
		}
		b.WriteString("\n" + s.Title + "\n")
		if s.Lineage != 0 {
			fmt.Fprintf(&b, "\tlineage %#016x\n", s.Lineage)
		}
		if s.Version != 0 {
			fmt.Fprintf(&b, "\tversion %d\n", s.Version)
		}
		if s.Key != "" {
			fmt.Fprintf(&b, "\tkey %s\n", s.Key)
		}
		for _, e := range s.byNumber() {
			line := e.text()
			switch {
			case e.Retired || s.used && !e.taken:
				line += retired
			case e.Traits != "":
				line += comment + e.Traits
			}
			b.WriteString("\t" + line + "\n")
		}
	}
	return b.String()
}

func (e *Entry) text() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", e.Number, e.Name, e.Shape))
}

func (f *File) sorted() []*Section {
	return slices.SortedFunc(maps.Values(f.sections), func(a, b *Section) int { return cmp.Compare(a.Title, b.Title) })
}

func (s *Section) empty() bool { return len(s.Entries) == 0 && s.Lineage == 0 && s.Key == "" }

// Empty says whether the file holds no number.
func (f *File) Empty() bool {
	for _, s := range f.sections {
		if !s.empty() {
			return false
		}
	}
	return true
}
