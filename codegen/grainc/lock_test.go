package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// evolution is a package that changes.
type evolution struct {
	t   *testing.T
	dir string
	src string
}

func evolve(t *testing.T) *evolution {
	dir, _ := scratch(t)
	e := &evolution{t, dir, `package bank

import (
	"context"
	"errors"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/txn"
)

type Account interface {
	grains.Keyed[string]
	Deposit(ctx context.Context, a Amount) error
	Balance(ctx context.Context) (Amount, error)
	Close(ctx context.Context) error
}

type Amount struct {
	Units int64
	Of    string
}

var ErrClosed = errors.New("closed")
var ErrPoor = errors.New("poor")

type account struct {
	grains.Implements[Account]
	balance txn.State[Amount]
	open    txn.State[bool]
}

func (*account) Deposit(ctx context.Context, a Amount) error { return nil }
func (*account) Balance(ctx context.Context) (a Amount, err error) { return }
func (*account) Close(ctx context.Context) error { return nil }
`}
	e.ok()
	return e
}

// change replaces text and text, all of it there.
func (e *evolution) change(oldnew ...string) {
	e.t.Helper()
	for i := 0; i < len(oldnew); i += 2 {
		require.Contains(e.t, e.src, oldnew[i])
		e.src = strings.ReplaceAll(e.src, oldnew[i], oldnew[i+1])
	}
}

// ok generates and returns the lock file.
func (e *evolution) ok() string {
	e.t.Helper()
	write(e.t, e.src, e.dir, "bank.go")
	code, _, errs := command(e.t, e.dir, ".")
	require.Zero(e.t, code, errs)
	return e.lock()
}

// lock returns the lock file without lineages and keys.
func (e *evolution) lock() string {
	return lineage.ReplaceAllString(read(e.t, e.dir, "grain_gen.lock"), "")
}

var lineage = regexp.MustCompile("\t(?:lineage 0x[0-9a-f]+|key .*)\n")

// refused generates and returns what is said; nothing is written.
func (e *evolution) refused() string {
	e.t.Helper()
	before := e.lock()
	write(e.t, e.src, e.dir, "bank.go")
	code, _, errs := command(e.t, e.dir, ".")
	require.Equal(e.t, 1, code)
	require.Equal(e.t, before, e.lock())
	return errs
}

func TestLockAddAndRemove(t *testing.T) {
	t.Parallel()
	e := evolve(t)
	// What is new comes after, wherever it stands; what was removed is never used again.
	e.change("\tDeposit(ctx", "\tFreeze(ctx context.Context) error\n\tDeposit(ctx", "\tClose(ctx context.Context) error\n}", "}",
		"Units int64", "Cents int64\n\tUnits int64", "\tOf    string\n", "",
		"var ErrPoor", "var ErrFrozen", "\tbalance txn", "\tlimit txn.State[int]\n\tbalance txn", "\topen    txn.State[bool]\n", "",
		"func (*account) Close", "func (*account) Freeze")
	lock := e.ok()
	require.Contains(t, lock, "interface Account\n\t1 Deposit (Amount)\n\t2 Balance () Amount\n\t3 Close () // retired\n\t4 Freeze ()\n")
	require.Contains(t, lock, "struct Amount\n\t1 Units int\n\t2 Of string // retired\n\t3 Cents int\n")
	require.Contains(t, lock, "errors\n\t1 ErrClosed variable\n\t2 ErrPoor variable // retired\n\t3 ErrFrozen variable\n")
	require.Contains(t, lock, "\t1 balance Amount\n\t2 open bool // retired\n\t3 limit int\n")
	code := read(t, e.dir, "grain_gen.go")
	require.Contains(t, code, `Number: 4, Name: "Freeze"`)
	require.Contains(t, code, `append(b, 0x18), wire.ZigZag(v.Cents)`)

	// A name that comes back is something new.
	e.change("Cents int64", "Cents int64\n\tOf string")
	require.Contains(t, e.ok(), "\t2 Of string // retired\n\t3 Cents int\n\t4 Of string\n")
	require.Equal(t, e.lock(), e.ok())
}

func TestLockRename(t *testing.T) {
	t.Parallel()
	e := evolve(t)
	e.change("\tDeposit(ctx", "\t//grain:was Deposit\n\tPut(ctx", ") Deposit(", ") Put(", "Units int64", "//grain:was Units\n\tCents int64",
		"type Amount struct", "//grain:was Amount\ntype Sum struct", "a Amount", "a Sum", "(Amount", "(Sum", "[Amount]", "[Sum]",
		"var ErrPoor", "//grain:was ErrPoor\nvar ErrNoMoney", "balance txn", "//grain:was balance\n\tsum txn")
	lock := e.ok()
	require.Contains(t, lock, "interface Account\n\t1 Put (Sum)\n\t2 Balance () Sum\n\t3 Close ()\n")
	require.Contains(t, lock, "struct Sum\n\t1 Cents int\n\t2 Of string\n")
	require.Contains(t, lock, "\t2 ErrNoMoney variable\n")
	require.Contains(t, lock, "\t1 sum Sum\n\t2 open bool\n")
	require.NotContains(t, lock, "// retired")
	require.NotContains(t, lock, "Amount")
	require.Equal(t, lock, e.ok(), "the comments may stay")

	e.change("//grain:was Deposit", "", "Put(", "Pay(")
	lock = e.ok()
	require.Contains(t, lock, "1 Put (Sum) // retired\n", "without the comment it is another method")
	require.Contains(t, lock, "4 Pay (Sum)\n")
}

// Renames are made all at once: in a chain each keeps its own number.
func TestLockRenameChain(t *testing.T) {
	t.Parallel()
	e := evolve(t)
	e.change("\tClose(ctx", "\tBalance3(ctx context.Context) (Amount, error)\n\tClose(ctx", "func (*account) Close", "func (*account) Balance3(ctx context.Context) (a Amount, err error) { return }\nfunc (*account) Close",
		"Of    string", "Of    int64", "open    txn.State[bool]", "open    txn.State[Amount]", "type account", "type Other struct {\n\tX Amount\n}\n\ntype account",
		"\tClose(ctx context.Context) error", "\tClose(ctx context.Context, o Other) error", "Close(ctx context.Context) error {", "Close(ctx context.Context, o Other) error {")
	write(t, "", e.dir, "grain_gen.lock")
	lock := e.ok()
	require.Contains(t, lock, "interface Account\n\t1 Deposit (Amount)\n\t2 Balance () Amount\n\t3 Balance3 () Amount\n\t4 Close (Other)\n")
	e.change("\tBalance3(ctx", "\t//grain:was Balance3\n\tBalance4(ctx", "\tBalance(ctx", "\t//grain:was Balance\n\tBalance3(ctx", ") Balance3(", ") Balance4(", ") Balance(", ") Balance3(",
		"\tOf    int64", "\t//grain:was Of\n\tIn int64", "\tUnits int64", "\t//grain:was Units\n\tOf int64",
		"\topen    txn", "\t//grain:was open\n\tclosed txn", "\tbalance txn", "\t//grain:was balance\n\topen txn",
		"var ErrPoor", "//grain:was ErrClosed\nvar ErrPoor", "var ErrClosed = errors.New(\"closed\")\n", "//grain:was ErrPoor\nvar ErrRich = errors.New(\"rich\")\n")
	e.src = strings.ReplaceAll(e.src, "Other", "Last")
	e.src = strings.ReplaceAll(e.src, "Amount", "Other")
	e.change("type Last", "//grain:was Other\ntype Last", "type Other", "//grain:was Amount\ntype Other")
	lock = e.ok()
	require.Contains(t, lock, "interface Account\n\t1 Deposit (Other)\n\t2 Balance3 () Other\n\t3 Balance4 () Other\n\t4 Close (Last)\n")
	require.Contains(t, lock, "struct Last\n\t1 X Other\n")
	require.Contains(t, lock, "struct Other\n\t1 Of int\n\t2 In int\n")
	require.Contains(t, lock, "\t1 open Other\n\t2 closed Other\n")
	require.Contains(t, lock, "errors\n\t1 ErrPoor variable\n\t2 ErrRich variable\n")
	require.NotContains(t, lock, "Amount")
	code := read(t, e.dir, "grain_gen.go")
	require.Contains(t, code, `Number: 2, Name: "Balance3"`)
	require.Contains(t, code, `Number: 3, Name: "Balance4"`)
	require.Equal(t, lock, e.ok(), "the comments may stay")

	// Comments that are done with do not come alive when a name goes.
	e.change("\t//grain:was Balance3\n\tBalance4(ctx context.Context) (Other, error)\n", "", "func (*account) Balance4(ctx context.Context) (a Other, err error) { return }\n", "")
	require.Contains(t, e.ok(), "\t2 Balance3 () Other\n\t3 Balance4 () Other // retired\n")
}

// A struct without fields has a name in shapes alone.
func TestLockRenameEmptyStruct(t *testing.T) {
	t.Parallel()
	e := evolve(t)
	e.change("type Amount", "type None struct{}\n\ntype Amount", "Close(ctx context.Context)", "Close2(ctx context.Context, n None)")
	e.ok()
	e.change("None", "Nothing", "type Nothing", "//grain:was None\ntype Nothing")
	lock := e.ok()
	require.Contains(t, lock, "\t4 Close2 (Nothing)\n")
	require.Equal(t, lock, e.ok())
}

// A rename in a ring is made in two steps, through a third name.
func TestLockRenameRing(t *testing.T) {
	t.Parallel()
	e := evolve(t)
	swapped := e.src
	e.change("Units int64", "//grain:was Of\n\tUnits string", "Of    string", "//grain:was Units\n\tOf    int64")
	require.Contains(t, e.refused(), "bank.go:20:2: field Amount.Units: the //grain:was of Units and Of go round in a ring")
	e.src = swapped
	e.change("Units int64", "//grain:was Units\n\tThird int64")
	e.ok()
	e.change("//grain:was Units\n\tThird int64", "//grain:was Third\n\tOf int64", "\tOf    string", "\t//grain:was Of\n\tUnits string")
	lock := e.ok()
	require.Contains(t, lock, "struct Amount\n\t1 Of int\n\t2 Units string\n")
	require.Equal(t, lock, e.ok())
}

// The form of keys is locked, in files that have it.
func TestLockKeys(t *testing.T) {
	t.Parallel()
	e := evolve(t)
	lock := read(t, e.dir, "grain_gen.lock")
	require.Contains(t, lock, "\tkey string\n")
	e.change("Keyed[string]", "Keyed[Name]", "type Amount", "type Name string\n\ntype Amount")
	e.ok()
	require.Equal(t, lock, read(t, e.dir, "grain_gen.lock"), "a type of the same form")
	e.change("Keyed[Name]", "Keyed[ID]", "type Name string", "type ID struct { Of string; N int64 }")
	require.Contains(t, e.refused(), "the key of Account was string and is now (string int64), so neither callers nor what is stored would find its grains")
	write(t, strings.Replace(lock, "\tkey string\n", "", 1), e.dir, "grain_gen.lock")
	code, out, errs := command(t, e.dir)
	require.Zero(t, code, errs)
	require.Equal(t, "grain_gen.lock: interface Account: has its key here now, (string int64)\n", out)
	e.change("Of string; N int64", "Of string; N string")
	require.Contains(t, e.refused(), "the key of Account was (string int64) and is now (string string)")
}

// A directive that goes, or comes, is said; what a lock file from before had is not known.
func TestLockTraits(t *testing.T) {
	t.Parallel()
	e := evolve(t)
	e.change("\tBalance(ctx", "\t//grain:readonly\n\t//grain:reentrant\n\tBalance(ctx")
	shown := func() string {
		t.Helper()
		write(t, e.src, e.dir, "bank.go")
		code, out, errs := command(t, e.dir)
		require.Zero(t, code, errs)
		return out
	}
	require.Equal(t, "grain_gen.lock: interface Account: 2 Balance is readonly now\ngrain_gen.lock: interface Account: 2 Balance is reentrant now\n", shown())
	require.Contains(t, e.lock(), "\t2 Balance () Amount // readonly reentrant\n\t3 Close ()\n")
	require.Empty(t, shown())
	e.change("\t//grain:readonly\n", "", "\tClose(ctx", "\t//grain:oneway\n\tClose(ctx")
	require.Equal(t, "grain_gen.lock: interface Account: 2 Balance is no longer readonly\ngrain_gen.lock: interface Account: 3 Close is oneway now\n", shown())
	write(t, "interface Account\n\t1 Deposit (Amount)\n\t2 Balance () Amount\n\t3 Close ()\n", e.dir, "grain_gen.lock")
	require.NotContains(t, shown(), " now\ngrain_gen.lock: interface Account: 3 Close is oneway")
	require.Contains(t, e.lock(), "\t3 Close () // oneway\n")
}

// Without the lock file numbers are given anew, which is said.
func TestLockFileThatIsGone(t *testing.T) {
	t.Parallel()
	e := evolve(t)
	require.NoError(t, os.Remove(filepath.Join(e.dir, "grain_gen.lock")))
	const warning = "grain_gen.lock:1:1: warning: there is no such file, but a grain_gen.go with numbers"
	code, _, errs := command(t, e.dir, "-strict")
	require.Equal(t, 1, code)
	require.Contains(t, errs, warning)
	require.NoFileExists(t, filepath.Join(e.dir, "grain_gen.lock"))
	code, _, errs = command(t, e.dir)
	require.Zero(t, code)
	require.Contains(t, errs, warning)
	code, _, errs = command(t, e.dir)
	require.Zero(t, code)
	require.Empty(t, errs)
}

func TestLockRenameInterface(t *testing.T) {
	t.Parallel()
	e := evolve(t)
	e.change("\topen    txn.State[bool]\n", "", "type Account interface", "//grain:was Account\ntype Purse interface", "Implements[Account]", "Implements[Purse]")
	lock := e.ok()
	require.Contains(t, lock, "interface Purse\n\t1 Deposit")
	require.Contains(t, lock, ".Purse\n\t1 balance Amount\n\t2 open bool // retired\n")
	require.NotContains(t, lock, "Account")
}

func TestLockRefusesChangesThatBreakTheWire(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, new, want string }{
		"field": {"Units int64", "Units string", "field Amount.Units was int and is now string, so what was sent or stored before could not be read: leave it as it was and add a field under another name, say Units2 (or, if nothing ever was, delete its line in grain_gen.lock)"},
		"argument": {"Deposit(ctx context.Context, a Amount)", "Deposit(ctx context.Context, a Amount, memo string)",
			"method Account.Deposit was (Amount) and is now (Amount, string), so what was sent or stored before could not be read: leave it as it was and add a method under another name, say Deposit2"},
		"result":  {"Close(ctx context.Context) error", "Close(ctx context.Context) (n int, err error)", "method Account.Close was () and is now () int"},
		"state":   {"txn.State[bool]", "txn.State[string]", "state account.open was bool and is now string"},
		"error":   {`var ErrPoor = errors.New("poor")`, "type ErrPoor struct{}\n\nfunc (ErrPoor) Error() string { return `` }", "error ErrPoor was variable and is now struct"},
		"renamed": {"\tDeposit(ctx", "\t//grain:was Depot\n\tPut(ctx", "method Account.Put: //grain:was Depot, but grain_gen.lock has no Depot there: correct the old name, or remove the comment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := evolve(t)
			e.change(c.old, c.new)
			switch name {
			case "result":
				e.src = strings.Replace(e.src, "(n int, err error) { return nil }", "(n int, err error) { return }", 1)
			case "renamed":
				e.change(") Deposit(", ") Put(")
			}
			got := e.refused()
			require.Contains(t, got, c.want)
			require.Regexp(t, `^bank\.go:\d+:\d+: `, got)
		})
	}
}

// Go types of the same encoding may take each other's place.
func TestLockAllowsWhatTheWireAllows(t *testing.T) {
	t.Parallel()
	e := evolve(t)
	before := e.lock()
	e.change("Units int64", "Units Cents", "type Amount struct", "type Cents int32\n\ntype Amount struct")
	require.Equal(t, before, e.ok())
}

func TestLockFileThatIsDamaged(t *testing.T) {
	t.Parallel()
	e := evolve(t)
	for text, want := range map[string]string{
		"interface Account\n\t1 Deposit (Amount)\n\t1 Close ()\n":          `grain_gen.lock:3:1: number 1 of "interface Account" is given twice, to Deposit and to Close (by two branches?)`,
		"interface Account\n\tone Deposit\n":                               `grain_gen.lock:2:1: "one" is no number`,
		"interface Account\n<<<<<<< HEAD\n":                                "grain_gen.lock:2:1: an unresolved merge conflict",
		"\t1 Deposit (Amount)\n":                                           "grain_gen.lock:1:1: a number before the first section",
		"interface Account\n\t1\n":                                         "grain_gen.lock:2:1: number 1 has no name",
		"interface Account\n\t1 Close ()\n\t2 Close ()\n":                  `Close of "interface Account" has two numbers, 1 and 2: retire one`,
		"interface Account\n\t1 A ()\ninterface Account\n\t2 B ()\n":       `"interface Account" is there twice`,
		"interface Account\n\t999999999 Deposit (Amount)\n":                "is no number from 1 to",
		"interface Account\n\t1 Deposit (Amount) // retired\n\t0 Close ()": "is no number from 1 to",
	} {
		write(t, text, e.dir, "grain_gen.lock")
		require.Contains(t, e.refused(), want)
	}
}

// The fingerprint of a node tells code from code, and nothing else.
func TestFingerprints(t *testing.T) {
	t.Parallel()
	dir, path := scratch(t)
	src := `package g

import (
	"` + path + `/helper"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/variable"
)

var words = variable.Set[string]("words")

var long = flow.Filter("long", flow.From(words), func(s string) bool { return isLong(s) })

// isLong tells.
func isLong(s string) bool { return len(helper.Trim(s)) > least }

const least = 3
`
	helper := "package helper\n\nfunc Trim(s string) string { return s[min(1, len(s)):] }\n\nfunc Other() int { return 1 }\n"
	print := func() string {
		t.Helper()
		write(t, src, dir, "g", "g.go")
		write(t, helper, dir, "helper", "helper.go")
		code, _, errs := command(t, dir, "./g")
		require.Zero(t, code, errs)
		return fingerprint.FindString(read(t, filepath.Join(dir, "g"), "grain_gen.go"))
	}
	first := print()
	require.NotEmpty(t, first)

	was, wasHelper := src, helper
	src = strings.Replace(src, "// isLong tells.", "// isLong says whether s is long.\n//\n// Comments do not count.", 1)
	src = strings.Replace(src, "{ return isLong(s) }", "{\n\n\t// Nor does layout.\n\treturn isLong(s)\n}", 1)
	helper = strings.Replace(helper, "return 1", "return 2", 1)
	require.Equal(t, first, print(), "comments, layout and functions that are not called are not part of it")

	for _, change := range []struct{ old, new string }{
		{"isLong(s) }", "!isLong(s) }"}, {"least = 3", "least = 4"}, {"> least", ">= least"},
	} {
		src = strings.Replace(was, change.old, change.new, 1)
		require.NotEqual(t, first, print(), change.new)
	}
	src, helper = was, strings.Replace(wasHelper, "min(1", "min(2", 1)
	require.NotEqual(t, first, print(), "a function of another package of the module")
}
