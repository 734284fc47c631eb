package check

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/load"
)

// word is a directive that grainc knows.
type word struct {
	prefix, name string
	// arg is an example of what stands after the name, "" for nothing.
	arg string
	// belongs is what it stands directly above.
	belongs string
}

const (
	aMethod    = "a method of a grain interface"
	anything   = "what has a number: a method of a grain interface, a grain interface, an encoded struct, a struct of lattices or a field of one, a state, or an error"
	aGrainImpl = "a struct that embeds grains.Implements"
)

var words = []*word{
	{"//grain:", "readonly", "", aMethod},
	{"//grain:", "reentrant", "", "a method of a grain interface, or, for all its methods, a grain interface"},
	{"//grain:", "oneway", "", aMethod},
	{"//grain:", "idempotent", "", aMethod},
	{"//grain:", "version", "2", "a grain interface"},
	{"//grain:", "idle", "5m", aGrainImpl},
	{"//grain:", "was", "Old", anything},
	{"//crdt:", "lattice", "", "a struct whose fields are lattices"},
}

func (w *word) String() string { return w.prefix + w.name }

// example is the directive as it could be written.
func (w *word) example() string { return strings.TrimSpace(w.prefix + w.name + " " + w.arg) }

// directives are the //grain: and //crdt: comments of a package.
type directives struct {
	fset *token.FileSet
	// at holds those of each declared name, by the name's position.
	at  map[token.Pos][]*directive
	all []*directive
	// open are exported methods of interfaces, structs and their fields. Grains of other packages may be
	// what the directives above them are for.
	open map[token.Pos]opened
	own  map[string]bool // files of the package
	// spelt are the comments that were reported as misspelt.
	spelt map[token.Pos]bool
	// others are those of files of other packages, by file and line of the name.
	others map[string]map[int][]*directive
}

type opened int

const (
	openMethod opened = iota + 1
	openStruct
)

type directive struct {
	pos  token.Pos
	name token.Pos // of what it stands above
	// word is nil for one that is not known.
	word              *word
	prefix, text, arg string
	used              bool
}

// directiveOf returns the directive of a comment, nil if it is none.
func directiveOf(line *ast.Comment) *directive {
	for _, prefix := range []string{"//grain:", "//crdt:"} {
		if text, ok := strings.CutPrefix(line.Text, prefix); ok {
			name, arg, _ := strings.Cut(strings.TrimSpace(text), " ")
			return &directive{pos: line.Pos(), prefix: prefix, text: name, word: wordOf(prefix, name), arg: strings.TrimSpace(arg)}
		}
	}
	return nil
}

func wordOf(prefix, name string) *word {
	for _, w := range words {
		if w.prefix == prefix && w.name == name {
			return w
		}
	}
	return nil
}

// misspelt returns how a comment that is meant as a directive has to be written, "" for any other comment: a
// directive has no capitals and no space before its word, begins with two slashes, and is of one grain. A comment
// with more words is prose.
func misspelt(text string) string {
	line, isLine := strings.CutPrefix(text, "//")
	if block, is := strings.CutPrefix(text, "/*"); is {
		line, isLine = strings.TrimSpace(strings.TrimSuffix(block, "*/")), !strings.Contains(block, "\n")
	}
	head, rest, _ := strings.Cut(strings.TrimLeft(line, " \t"), ":")
	fields := strings.Fields(rest)
	if !isLine || len(fields) == 0 {
		return ""
	}
	head = strings.ToLower(head)
	if head == "grains" {
		head = "grain"
	}
	w := wordOf("//"+head+":", strings.ToLower(fields[0]))
	if w == nil || strings.HasPrefix(text, w.String()) {
		return ""
	}
	wants := 1
	if w.arg != "" {
		wants = 2
	}
	if len(fields) != wants {
		return ""
	}
	fields[0] = w.String()
	return strings.Join(fields, " ")
}

func (c *checker) readDirectives() *directives {
	d := &directives{
		fset: c.program.Fset, at: map[token.Pos][]*directive{}, open: map[token.Pos]opened{}, own: map[string]bool{}, spelt: map[token.Pos]bool{},
		others: map[string]map[int][]*directive{},
	}
	for _, f := range c.p.Files {
		d.own[d.fset.Position(f.Pos()).Filename] = true
		for _, g := range f.Comments {
			for _, line := range g.List {
				if right := misspelt(line.Text); right != "" {
					d.spelt[line.Pos()] = true
					c.report(line.Pos(), "%s is a plain comment to grainc: write %s", line.Text, right)
				}
			}
		}
		d.read(f)
		d.exported(f)
	}
	for _, at := range d.at {
		for n, one := range at {
			if slices.ContainsFunc(at[:n], func(o *directive) bool { return o.prefix == one.prefix && o.text == one.text }) {
				one.used = true
				c.report(one.pos, "%s%s is written twice: remove one", one.prefix, one.text)
			}
		}
	}
	return d
}

// read reads the directives of one file.
func (d *directives) read(f *ast.File) {
	byComment := map[token.Pos]*directive{}
	for _, g := range f.Comments {
		for _, line := range g.List {
			if one := directiveOf(line); one != nil {
				byComment[line.Pos()] = one
				d.all = append(d.all, one)
			}
		}
	}
	if len(byComment) == 0 {
		return
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

// exported notes what grains of other packages may embed or send.
func (d *directives) exported(f *ast.File) {
	for _, decl := range f.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range g.Specs {
			t, ok := s.(*ast.TypeSpec)
			if !ok || !t.Name.IsExported() {
				continue
			}
			var fields *ast.FieldList
			as := openMethod
			switch u := t.Type.(type) {
			case *ast.InterfaceType:
				fields = u.Methods
			case *ast.StructType:
				as = openStruct
				d.open[t.Name.Pos()] = as
				fields = u.Fields
			default:
				continue
			}
			for _, field := range fields.List {
				for _, name := range field.Names {
					if name.IsExported() {
						d.open[name.Pos()] = as
					}
				}
			}
		}
	}
}

func (d *directives) attach(byComment map[token.Pos]*directive, name token.Pos, groups ...*ast.CommentGroup) {
	for _, g := range groups {
		if g == nil {
			continue
		}
		for _, line := range g.List {
			if one := byComment[line.Pos()]; one != nil {
				one.name = name
				d.at[name] = append(d.at[name], one)
			}
		}
	}
}

// of returns the directives above what is declared at that position, in this package or another.
func (d *directives) of(name token.Pos) []*directive {
	p := d.fset.Position(name)
	if !p.IsValid() || d.own[p.Filename] || !filepath.IsAbs(p.Filename) || filepath.Base(p.Filename) == load.GeneratedFile {
		return d.at[name]
	}
	lines, known := d.others[p.Filename]
	if !known {
		lines = directivesIn(p.Filename)
		d.others[p.Filename] = lines
	}
	return lines[p.Line]
}

// directivesIn reads a file of another package: what was compiled of it has no comments, and no columns.
func directivesIn(file string) map[int][]*directive {
	fset := token.NewFileSet()
	f, _ := parser.ParseFile(fset, file, nil, parser.ParseComments|parser.SkipObjectResolution)
	if f == nil {
		return nil
	}
	d := &directives{at: map[token.Pos][]*directive{}}
	d.read(f)
	lines := map[int][]*directive{}
	for name, at := range d.at {
		line := fset.Position(name).Line
		lines[line] = append(lines[line], at...)
	}
	return lines
}

// find returns the directive of that word above what is declared at that position, nil for none.
func (d *directives) find(name token.Pos, prefix, text string) *directive {
	for _, one := range d.of(name) {
		if one.word != nil && one.prefix == prefix && one.text == text {
			return one
		}
	}
	return nil
}

// was returns the old name of what is declared at that position, "" for none.
func (d *directives) was(name token.Pos) string {
	one := d.find(name, "//grain:", "was")
	if one == nil || len(strings.Fields(one.arg)) != 1 {
		return ""
	}
	one.used = true
	return one.arg
}

// argument returns the directive of that word, if there is one with an argument.
func (d *directives) argument(name token.Pos, text string) *directive {
	one := d.find(name, "//grain:", text)
	if one == nil || one.arg == "" {
		return nil
	}
	one.used = true
	return one
}

// lattice says whether what is declared at that position is marked as a lattice.
func (d *directives) lattice(name token.Pos) bool { return d.has(name, "//crdt:", "lattice") }

func (d *directives) has(name token.Pos, prefix, text string) bool {
	one := d.find(name, prefix, text)
	if one == nil || one.arg != "" {
		return false
	}
	one.used = true
	return true
}

// unused reports directives that mean nothing where they are.
func (d *directives) unused(c *checker) {
	for _, one := range d.all {
		switch w := one.word; {
		case one.used || d.spelt[one.pos]:
		case w == nil:
			c.report(one.pos, "%s%s is not known: %s", one.prefix, one.text, nearest(one.prefix, one.text))
		case w.arg == "" && one.arg != "":
			c.report(one.pos, "%s takes nothing after it: remove %q", w, one.arg)
		case w.name == "was" && len(strings.Fields(one.arg)) != 1:
			c.report(one.pos, "%s needs the old name, and nothing else: %s", w, w.example())
		case w.arg != "" && one.arg == "":
			c.report(one.pos, "%s needs something after it: %s", w, w.example())
		case d.open[one.name] == openMethod && (w.belongs == aMethod || w.name == "reentrant" || w.name == "was"):
		case d.open[one.name] == openStruct && w.name == "was":
			// For grains of other packages.
		default:
			c.report(one.pos, "%s belongs directly above %s", w, w.belongs)
		}
	}
}

// nearest asks for the known directive with the fewest edits, or lists them all where none is near.
func nearest(prefix, text string) string {
	var best *word
	least := 1 << 30
	var all []string
	for _, w := range words {
		if w.name == text {
			return fmt.Sprintf("did you mean %s?", w.example())
		}
		if w.prefix != prefix {
			continue
		}
		all = append(all, w.name)
		if n := distance(strings.ToLower(text), w.name); n < least {
			best, least = w, n
		}
	}
	if 2*least > len(best.name) {
		return "the words are " + strings.Join(all, ", ")
	}
	return fmt.Sprintf("did you mean %s?", best.example())
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

// directiveList names directives for a sentence.
func directiveList(names ...string) string {
	for n, name := range names {
		names[n] = fmt.Sprintf("//grain:%s", name)
	}
	return strings.Join(names, " and ")
}
