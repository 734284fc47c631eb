package check

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// directives are the //grain: and //crdt: comments of a package.
type directives struct {
	// at holds those of each declared name, by the name's position.
	at  map[token.Pos][]*directive
	all []*directive
}

type directive struct {
	pos               token.Pos
	prefix, word, arg string
	used              bool
}

// knownDirectives are the words by what stands before them.
var knownDirectives = map[string][]string{"//grain:": {"readonly", "was"}, "//crdt:": {"lattice"}}

// directiveOf returns the directive of a comment, nil if it is none.
func directiveOf(line *ast.Comment) *directive {
	for prefix := range knownDirectives {
		if text, ok := strings.CutPrefix(line.Text, prefix); ok {
			word, arg, _ := strings.Cut(strings.TrimSpace(text), " ")
			return &directive{pos: line.Pos(), prefix: prefix, word: word, arg: strings.TrimSpace(arg)}
		}
	}
	return nil
}

// misspelt returns how a comment that is meant as a directive has to be written, "" for any other comment: a
// directive has no capitals and no space before its word. A comment with more words is prose.
func misspelt(text string) string {
	line, isLine := strings.CutPrefix(text, "//")
	head, rest, _ := strings.Cut(strings.TrimLeft(line, " \t"), ":")
	words := strings.Fields(rest)
	if !isLine || len(words) == 0 {
		return ""
	}
	prefix, word, wants := "//"+strings.ToLower(head)+":", strings.ToLower(words[0]), 1
	if word == "was" {
		wants = 2
	}
	if len(words) != wants || !slices.Contains(knownDirectives[prefix], word) || strings.HasPrefix(text, prefix+word) {
		return ""
	}
	words[0] = prefix + word
	return strings.Join(words, " ")
}

func (c *checker) readDirectives() *directives {
	d := &directives{at: map[token.Pos][]*directive{}}
	byComment := map[token.Pos]*directive{}
	for _, f := range c.p.Files {
		for _, g := range f.Comments {
			for _, line := range g.List {
				if right := misspelt(line.Text); right != "" {
					c.report(line.Pos(), "%s is a plain comment to grainc: write %s", line.Text, right)
				} else if one := directiveOf(line); one != nil {
					byComment[line.Pos()] = one
					d.all = append(d.all, one)
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field:
				for _, name := range n.Names {
					d.attach(byComment, name.Pos(), n.Doc, n.Comment)
				}
			case *ast.GenDecl:
				for _, s := range n.Specs {
					var doc *ast.CommentGroup
					if len(n.Specs) == 1 {
						doc = n.Doc
					}
					switch s := s.(type) {
					case *ast.TypeSpec:
						d.attach(byComment, s.Name.Pos(), doc, s.Doc, s.Comment)
					case *ast.ValueSpec:
						for _, name := range s.Names {
							d.attach(byComment, name.Pos(), doc, s.Doc, s.Comment)
						}
					}
				}
			}
			return true
		})
	}
	return d
}

func (d *directives) attach(byComment map[token.Pos]*directive, name token.Pos, groups ...*ast.CommentGroup) {
	for _, g := range groups {
		if g == nil {
			continue
		}
		for _, line := range g.List {
			if one := byComment[line.Pos()]; one != nil {
				d.at[name] = append(d.at[name], one)
			}
		}
	}
}

// was returns the old name of what is declared at that position, "" for none.
func (d *directives) was(name token.Pos) string {
	for _, one := range d.at[name] {
		if one.prefix == "//grain:" && one.word == "was" && len(strings.Fields(one.arg)) == 1 {
			one.used = true
			return one.arg
		}
	}
	return ""
}

func (d *directives) readOnly(name token.Pos) bool { return d.has(name, "//grain:", "readonly") }

// lattice says whether what is declared at that position is marked as a lattice.
func (d *directives) lattice(name token.Pos) bool { return d.has(name, "//crdt:", "lattice") }

func (d *directives) has(name token.Pos, prefix, word string) bool {
	for _, one := range d.at[name] {
		if one.prefix == prefix && one.word == word && one.arg == "" {
			one.used = true
			return true
		}
	}
	return false
}

// unused reports directives that mean nothing where they are.
func (d *directives) unused(c *checker) {
	for _, one := range d.all {
		switch {
		case one.used:
		case !slices.Contains(knownDirectives[one.prefix], one.word):
			c.report(one.pos, "%s%s is not known: did you mean %s%s?", one.prefix, one.word, one.prefix, nearest(one.word, knownDirectives[one.prefix]))
		case one.word != "was" && one.arg != "":
			c.report(one.pos, "%s%s takes nothing after it: remove %q", one.prefix, one.word, one.arg)
		case one.word == "lattice":
			c.report(one.pos, "//crdt:lattice belongs directly above a struct whose fields are lattices")
		case one.word == "readonly":
			c.report(one.pos, "//grain:readonly belongs directly above a method of a grain interface")
		case one.word == "was" && len(strings.Fields(one.arg)) != 1:
			c.report(one.pos, "//grain:was needs the old name, and nothing else: //grain:was Old")
		default:
			c.report(one.pos, "//grain:was belongs directly above what has a number: a method of a grain interface, a grain interface, an encoded struct, a struct of lattices or a field of one, a state, or an error")
		}
	}
}

// nearest returns the known word with the fewest edits.
func nearest(word string, of []string) string {
	best, least := "", 1<<30
	for _, known := range of {
		if n := distance(strings.ToLower(word), known); n < least {
			best, least = known, n
		}
	}
	return best
}

// distance is that of Levenshtein.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
