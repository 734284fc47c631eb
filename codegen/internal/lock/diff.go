package lock

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Diff says in lines for people what is different from what Parse read: what was added, removed, renamed,
// and what was refused; nothing for a file that was empty.
//
//	interface Account: + 4 Freeze ()
//	interface Account: - 3 Close (): removed; its number is not used again
//	interface Account: 1 Deposit is now called Put
func (f *File) Diff() []string {
	var lines []string
	if !slices.ContainsFunc(f.sorted(), func(s *Section) bool { return s.was != nil }) {
		return nil
	}
	for _, s := range f.sorted() {
		lines = append(lines, s.diff()...)
	}
	return lines
}

func (s *Section) diff() []string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, s.Title+": "+fmt.Sprintf(format, args...)) }
	was := s.was
	if was == nil {
		if s.empty() {
			return nil
		}
		say("new")
		was = &Section{Title: s.Title, Lineage: s.Lineage, Key: s.Key}
	}
	if was.Title != s.Title {
		say("was called %s", was.Title)
	}
	switch {
	case was.Lineage == s.Lineage:
	case was.Lineage == 0:
		say("has a lineage now, %#016x", s.Lineage)
	default:
		say("lineage %#016x is now %#016x: silos and callers of the two cannot talk", was.Lineage, s.Lineage)
	}
	if was.Version != s.Version {
		say("version %d is now %d", was.Version, s.Version)
	}
	switch {
	case was.Key == s.Key:
	case was.Key == "":
		say("has its key here now, %s", s.Key)
	default:
		say("keys of %s cannot become %s: refused", was.Key, s.Key)
	}
	for _, e := range s.byNumber() {
		switch text := e.text(); {
		case e.was == nil:
			say("+ %s", text)
		case e.refused != "":
			say("%s cannot become %s: refused", e.was.text(), e.refused)
		case s.used && !e.taken && !e.was.Retired:
			say("- %s: removed; its number is not used again", text)
		default:
			if e.was.Name != e.Name {
				say("%d %s is now called %s", e.Number, e.was.Name, e.Name)
			}
			if e.was.Shape != e.Shape {
				say("%s is now written %s", e.was.text(), e.Shape)
			}
			if was.Key != "" && e.taken {
				s.traits(e, say)
			}
		}
	}
	return lines
}

// traits says which directives a method has no longer, and which it has now.
func (s *Section) traits(e *Entry, say func(format string, args ...any)) {
	had, has := strings.Fields(e.was.Traits), strings.Fields(e.Traits)
	for _, one := range had {
		if !slices.Contains(has, one) {
			say("%d %s is no longer %s", e.Number, e.Name, one)
		}
	}
	for _, one := range has {
		if !slices.Contains(had, one) {
			say("%d %s is %s now", e.Number, e.Name, one)
		}
	}
}

func (s *Section) byNumber() []*Entry {
	return slices.SortedFunc(slices.Values(s.Entries), func(a, b *Entry) int { return cmp.Compare(a.Number, b.Number) })
}
