package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rows says which packages of the tables of refusals and warnings show which row of the tables of doc.go; a row
// is named by how it begins.
var rows = map[string][]string{
	"a method without context":     {"nocontext", "noerror", "resultorder", "tworesults", "variadic", "unexportedmethod"},
	"a stream without errors":      {"streams"},
	"a channel, function":          {"channel", "function", "anything", "complexnumber", "pointers", "badstate", "errorstruct"},
	"a grain reference":            {"reference"},
	"a struct with unexported":     {"lost", "foreignlost", "mutex", "protovalue"},
	"grains.Unknown that":          {"unknown"},
	"a struct without a name":      {"anonymous"},
	"a type of another package":    {"hiddenelsewhere", "elsewhere"},
	"a float, pointer":             {"floatkey", "elements", "floatnode", "families"},
	"a key that is no":             {"badkey", "elements"},
	"keys of two types":            {"twokeys"},
	"a generic grain interface":    {"generic", "genericimpl", "instance"},
	"GetX of an interface":         {"notkeyed"},
	"two implementations":          {"twoimpls"},
	"grains.Implements of what":    {"nograin", "hiddenelsewhere", "pointertograin"},
	"grains.Implements as a":       {"implements"},
	"an implementation that lacks": {"lacking"},
	"OnActivate or OnDeactivate":   {"lifecycle"},
	"HandOver or TakeOver":         {"handsover"},
	"a method Key, or a field":     {"ownkey"},
	"a txn.State inside":           {"hiddenstate", "instance"},
	"a constructor that":           {"constructor", "constructorvariadic"},
	"parameters of constructors":   {"constructorparams"},
	"a variable, node or rule":     {"names", "families"},
	"an inner node":                {"captures"},
	"a function of a graph":        {"captures"},
	"a changed type":               {"changes", "renamedtype", "renamedtypes"},
	"a changed key of":             {"keys"},
	"an old name that":             {"changes", "renames"},
	"//grain: or //crdt: with":     {"directive", "directivesofmethods", "spelling", "latticespelling", "latticemarks"},
	"//grain:oneway with":          {"directivesofmethods", "streams"},
	"a version that is no":         {"directivesofmethods"},
	"//crdt:lattice above":         {"latticemarks"},
	"a field of a lattice":         {"latticefields", "latticefieldnames", "latticegone", "latticeparts"},
	"a tag crdt:":                  {"latticetags"},
	"a lattice that contains":      {"latticecycle"},
	"a lattice of one's own":       {"ownlattices", "nodecoder", "latticenoeffect"},
	"a method by hand":             {"latticemethods"},
	"a name of the package":        {"taken", "latticenames"},
	"a name of the generated":      {"generatednames"},
	"variable.Replicas":            {"replicas"},
	"what the compiler refuses":    {"typeerror", "syntax"},
	"a context from outside":       {"contexts"},
	"an exported constructor":      {"exportedconstructor"},
	"a grain interface that was":   {"renamedinterface"},
	"a lock file that is gone":     nil, // TestLockFileThatIsGone
}

// The tables of the documentation list all that is refused or warned of, and nothing else.
func TestTablesAreComplete(t *testing.T) {
	t.Parallel()
	doc := read(t, "doc.go")
	_, tables, found := strings.Cut(doc, "// # What it refuses\n")
	require.True(t, found)
	shown := map[string]bool{}
	for line := range strings.Lines(tables) {
		row, isRow := strings.CutPrefix(strings.TrimRight(line, "\n"), "//\t")
		if !isRow || strings.HasPrefix(row, " ") {
			continue
		}
		var names []string
		for begins := range rows {
			if strings.HasPrefix(row, begins) {
				names = append(names, begins)
			}
		}
		require.Len(t, names, 1, "row %q of doc.go is to be shown by packages, in rows", row)
		require.False(t, shown[names[0]], row)
		shown[names[0]] = true
	}
	var cases, listed []string
	for begins, names := range rows {
		require.True(t, shown[begins], "doc.go has no row that begins %q", begins)
		listed = append(listed, names...)
	}
	for _, r := range slices.Concat(refusals, latticeRefusals, warnings, changes) {
		cases = append(cases, r.name)
	}
	slices.Sort(listed)
	require.ElementsMatch(t, cases, slices.Compact(listed))
}
