package lock

import (
	"fmt"
	"slices"
	"strings"
)

// Rename is what a declaration says of its old name: Was, "" for nothing.
type Rename struct{ Name, Was string }

// Unknown is the error of a rename from a name that the file does not have.
type Unknown struct{ Section, Was string }

func (e *Unknown) Error() string {
	return fmt.Sprintf("the lock file has no %s in %q", e.Was, e.Section)
}

// Kept is the error of a rename from a name that something else has still.
type Kept struct{ Was string }

func (e *Kept) Error() string { return e.Was + " is there still" }

// Twice is the error of a rename from a name that another declaration says it had, too.
type Twice struct{ Was, Other string }

func (e *Twice) Error() string { return fmt.Sprintf("%s is what %s was called, too", e.Was, e.Other) }

// Swapped is the error of renames that go round: what they say looks the same before and after.
type Swapped struct{ Names []string }

func (e *Swapped) Error() string { return strings.Join(e.Names, ", ") + " change names" }

// Both is the error of a rename where both names have numbers, and the old one is not declared any more: it may
// be done with, or not.
type Both struct{ Name, Was string }

func (e *Both) Error() string { return fmt.Sprintf("both %s and %s are there", e.Name, e.Was) }

// Rename gives the numbers of old names to new ones, all at once: where B was A and C was B, each keeps its own
// number. A rename is done, and nothing, where the new name has a number and nobody takes it away.
//
// The declarations are all of the section; there is an error for each that cannot be, nil for the others: an
// *Unknown, a *Kept, a *Twice, a *Both or a *Swapped.
func (s *Section) Rename(declared []Rename) []error {
	moves, errs := renames(declared, func(name string) bool { return s.live(name) != nil }, true)
	from := make([]*Entry, len(moves))
	for n, move := range moves {
		from[n] = s.live(move.Was)
	}
	for n, move := range moves {
		from[n].Name = move.Name
	}
	for n, err := range errs {
		if err == errUnknown {
			errs[n] = &Unknown{s.Title, declared[n].Was}
			continue
		}
		if err != nil {
			s.used = false // what cannot be says nothing of the rest: nothing is removed
		}
	}
	return errs
}

// RenameSections does with sections what Section.Rename does with numbers; names are titles. It returns which
// renames were made.
func (f *File) RenameSections(declared []Rename) (made []Rename, errs []error) {
	moves, errs := renames(declared, f.Has, false)
	from := make([]*Section, len(moves))
	for n, move := range moves {
		from[n] = f.sections[move.Was]
		delete(f.sections, move.Was)
	}
	for n, move := range moves {
		from[n].Title = move.Name
		f.sections[move.Name] = from[n]
	}
	for n, err := range errs {
		if err == errUnknown {
			errs[n] = &Unknown{declared[n].Name, declared[n].Was}
		}
	}
	return moves, errs
}

var errUnknown = fmt.Errorf("unknown")

// renames finds which renames are still to be made. With retire, what is not declared goes.
func renames(declared []Rename, locked func(string) bool, retire bool) (moves []Rename, errs []error) {
	errs = make([]error, len(declared))
	index := map[string]int{}
	for n, d := range declared {
		index[d.Name] = n
	}
	pending := make([]bool, len(declared))
	// A name with a number has another one's only if its own is taken away, so each round may find more.
	for more := true; more; {
		more = false
		for n, d := range declared {
			if pending[n] || d.Was == "" || d.Was == d.Name || !locked(d.Was) {
				continue
			}
			taken := slices.ContainsFunc(declared, func(o Rename) bool { return o.Was == d.Name && pending[index[o.Name]] })
			if !locked(d.Name) || taken {
				pending[n], more = true, true
			}
		}
	}
	taker := map[string]string{}
	for n, d := range declared {
		if d.Was == "" || d.Was == d.Name {
			continue
		}
		if ring := ringOf(declared, index, n); ring != nil {
			errs[n] = &Swapped{ring}
			continue
		}
		keeper, declaredStill := index[d.Was]
		switch {
		case !pending[n]:
			if !locked(d.Name) {
				errs[n] = errUnknown
			} else if retire && locked(d.Was) && !declaredStill {
				errs[n] = &Both{d.Name, d.Was}
			}
		case declaredStill && !pending[keeper]:
			errs[n] = &Kept{d.Was}
		case taker[d.Was] != "":
			errs[n] = &Twice{d.Was, taker[d.Was]}
		default:
			taker[d.Was] = d.Name
			moves = append(moves, d)
		}
	}
	// After an error nothing is moved: numbers would go astray.
	if slices.ContainsFunc(errs, func(err error) bool { return err != nil && err != errUnknown }) {
		moves = nil
	}
	return moves, errs
}

// ringOf returns the names that change places with that of n, itself first; nil for none.
func ringOf(declared []Rename, index map[string]int, n int) []string {
	ring := []string{declared[n].Name}
	for at := n; len(ring) <= len(declared); {
		next, ok := index[declared[at].Was]
		if !ok || declared[at].Was == "" {
			return nil
		}
		if next == n {
			return ring
		}
		ring, at = append(ring, declared[next].Name), next
	}
	return nil
}
