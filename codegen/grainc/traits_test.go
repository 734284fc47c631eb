package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const service = `package bank

import (
	"context"

	"github.com/martinelli-go/martinelli/grains"
)

// Account is one.
//
//grain:version 3
type Account interface {
	grains.Keyed[string]
	Audited
	//grain:readonly
	//grain:reentrant
	Balance(ctx context.Context) (Amount, error)
	//grain:oneway
	Note(ctx context.Context, text string) error
	//grain:idempotent
	Close(ctx context.Context) error
	Deposit(ctx context.Context, a Amount, from *Party) error
}

//grain:reentrant
type Desk interface {
	grains.Keyed[int64]
	Open(ctx context.Context) error
	//grain:readonly
	Who(ctx context.Context) (string, error)
}

type Audited interface {
	//grain:readonly
	Audit(ctx context.Context) error
}

type Amount struct {
	Units int64
	Of    string
}

type Party struct {
	Name    string
	Friends []*Party
}

//grain:idle 5m
type account struct {
	grains.Implements[Account]
}

func (*account) Balance(ctx context.Context) (a Amount, err error) { return }
func (*account) Note(ctx context.Context, text string) error { return nil }
func (*account) Close(ctx context.Context) error { return nil }
func (*account) Deposit(ctx context.Context, a Amount, from *Party) error { return nil }
func (*account) Audit(ctx context.Context) error { return nil }
`

func TestDirectivesBecomeTraits(t *testing.T) {
	t.Parallel()
	dir, _ := scratch(t)
	write(t, service, dir, "bank.go")
	code, _, errs := command(t, dir)
	require.Zero(t, code, errs)
	text := regexp.MustCompile(`\s+`).ReplaceAllString(read(t, dir, "grain_gen.go"), " ")
	for method, traits := range map[string]string{
		`"Balance", Of: &interfaceAccount`: "ReadOnly: true, Reentrant: true",
		`"Note", Of: &interfaceAccount`:    "OneWay: true",
		`"Close", Of: &interfaceAccount`:   "Idempotent: true",
		`"Audit", Of: &interfaceAccount`:   "ReadOnly: true",
		`"Open", Of: &interfaceDesk`:       "Reentrant: true",
		`"Who", Of: &interfaceDesk`:        "ReadOnly: true, Reentrant: true",
	} {
		require.Contains(t, text, "Name: "+method+", Traits: wire.Traits{"+traits+"}")
	}
	require.Contains(t, text, `Name: "Deposit", Of: &interfaceAccount, Args:`)
	require.Contains(t, text, `wire.KindOptions{IdleAfter: 300000000000 /* 5m0s */}`)
	require.Regexp(t, `interfaceAccount = wire.Interface\{Kind: "\w+.Account", Version: 3, Fingerprint: 0x[0-9a-f]{16}, Lineage: 0x[0-9a-f]{16}}`, text)
	require.Contains(t, read(t, dir, "grain_gen.lock"), "\tversion 3\n")
}

// Directives of methods that are embedded from other packages count, whether those are read as source or as
// what was compiled of them.
func TestDirectivesOfOtherPackages(t *testing.T) {
	t.Parallel()
	dir, path := scratch(t)
	write(t, "package base\n\nimport \"context\"\n\ntype Base interface {\n\t//grain:readonly\n\tPing(ctx context.Context) error\n}\n\n"+
		"type Part struct {\n\t//grain:was Old\n\tNew int\n}\n", dir, "base", "base.go")
	write(t, "package x\n\nimport (\n\t\"context\"\n\t\""+path+"/base\"\n\t\"github.com/martinelli-go/martinelli/grains\"\n)\n\n"+
		"type X interface {\n\tgrains.Keyed[string]\n\tbase.Base\n\tTake(ctx context.Context, p base.Part) error\n}\n", dir, "x", "x.go")
	write(t, "struct "+path+"/base.Part\n\t1 Gone int // retired\n\t2 Old int\n", dir, "x", "grain_gen.lock")
	code, out, errs := command(t, dir, "./...")
	require.Zero(t, code, errs)
	require.Contains(t, read(t, dir, "x", "grain_gen.go"), "ReadOnly: true")
	require.Contains(t, read(t, dir, "x", "grain_gen.lock"), "\t2 New int\n")
	require.Contains(t, out, "base.Part: 2 Old is now called New\n")
}

// print generates and returns the fingerprint and the lineage of the first interface.
func print(t *testing.T, dir, src string) (fingerprint, lineage string) {
	t.Helper()
	write(t, src, dir, "bank.go")
	code, _, errs := command(t, dir)
	require.Zero(t, code, errs)
	found := regexp.MustCompile(`Fingerprint: (0x\w+), Lineage: (0x\w+)`).FindStringSubmatch(read(t, dir, "grain_gen.go"))
	require.Len(t, found, 3)
	return found[1], found[2]
}

// The fingerprint of an interface tells what callers and silos have to agree on, and nothing else; its lineage
// stays.
func TestFingerprintsOfInterfaces(t *testing.T) {
	t.Parallel()
	dir, _ := scratch(t)
	first, lineage := print(t, dir, service)
	require.Equal(t, first, lineage)
	lock := read(t, dir, "grain_gen.lock")
	for name, c := range map[string]struct {
		same bool
		edit []string
	}{
		"comment":            {true, []string{"// Account is one.", "// Account is one of many."}},
		"order of methods":   {true, []string{"\t//grain:idempotent\n\tClose(ctx context.Context) error\n", "", "\t//grain:oneway\n", "\t//grain:idempotent\n\tClose(ctx context.Context) error\n\t//grain:oneway\n"}},
		"order of fields":    {true, []string{"\tUnits int64\n\tOf    string\n", "\tOf string\n\tUnits int64\n"}},
		"scalar's type":      {true, []string{"Units int64", "Units Cents", "type Amount struct", "type Cents int32\n\ntype Amount struct"}},
		"name of a struct":   {true, []string{"type Amount struct", "//grain:was Amount\ntype Sum struct", "a Amount", "a Sum", "(Amount", "(Sum"}},
		"name of a field":    {true, []string{"\tUnits int64", "\t//grain:was Units\n\tCents int64"}},
		"idle time":          {true, []string{"idle 5m", "idle 6m"}},
		"version":            {true, []string{"version 3", "version 4"}},
		"name of a method":   {false, []string{"\tDeposit(ctx", "\t//grain:was Deposit\n\tPut(ctx", ") Deposit(", ") Put("}},
		"trait":              {false, []string{"\t//grain:idempotent\n", ""}},
		"added method":       {false, []string{"\tDeposit(ctx", "\tFreeze(ctx context.Context) error\n\tDeposit(ctx", "func (*account) Close", "func (*account) Freeze(ctx context.Context) error { return nil }\nfunc (*account) Close"}},
		"added field":        {false, []string{"\tUnits int64", "\tUnits int64\n\tAt int64"}},
		"added field inside": {false, []string{"\tName    string", "\tName string\n\tNick string"}},
	} {
		t.Run(name, func(t *testing.T) {
			src := service
			for i := 0; i < len(c.edit); i += 2 {
				require.Contains(t, src, c.edit[i])
				src = strings.ReplaceAll(src, c.edit[i], c.edit[i+1])
			}
			write(t, lock, dir, "grain_gen.lock")
			got, stays := print(t, dir, src)
			require.Equal(t, c.same, got == first)
			require.Equal(t, lineage, stays)
		})
	}
	// A lock file of before there were lineages begins one; a new lock file another.
	write(t, regexp.MustCompile("\tlineage .*\n").ReplaceAllString(lock, ""), dir, "grain_gen.lock")
	_, begun := print(t, dir, service)
	require.Equal(t, lineage, begun)
	write(t, "", dir, "grain_gen.lock")
	changed := strings.Replace(service, "Keyed[string]", "Keyed[int64]", 1)
	got, begun := print(t, dir, changed)
	require.Equal(t, got, begun)
	require.NotEqual(t, lineage, begun)
}

// What changes on the wire is said, line by line, also by -check and when it is refused.
func TestChangesAreShown(t *testing.T) {
	t.Parallel()
	dir, _ := scratch(t)
	write(t, service, dir, "bank.go")
	code, out, errs := command(t, dir)
	require.Zero(t, code, errs)
	require.Empty(t, out, "everything is new")
	code, out, _ = command(t, dir)
	require.Zero(t, code)
	require.Empty(t, out)

	edit := strings.NewReplacer("\tDeposit(ctx", "\t//grain:was Deposit\n\tPut(ctx", ") Deposit(", ") Put(", "version 3", "version 4",
		"\t//grain:idempotent\n\tClose(ctx context.Context) error\n", "\tFreeze(ctx context.Context) error\n", ") Close(", ") Freeze(",
		"\tOf    string\n", "", "type Party", "//grain:was Party\ntype Person", "*Party", "*Person")
	const want = `grain_gen.lock: interface Account: version 3 is now 4
grain_gen.lock: interface Account: 3 Close (): removed; its number is not used again
grain_gen.lock: interface Account: 4 Deposit is now called Put
`
	write(t, edit.Replace(service), dir, "bank.go")
	for _, args := range [][]string{{"-check"}, nil} {
		_, out, errs = command(t, dir, args...)
		require.NotContains(t, errs, "bank.go")
		require.Equal(t, strings.ReplaceAll(want, ": 3 Close", ": - 3 Close")+`grain_gen.lock: interface Account: 4 Deposit (Amount, *Party) is now written (Amount, *Person)
grain_gen.lock: interface Account: + 6 Freeze ()
grain_gen.lock: struct Amount: - 2 Of string: removed; its number is not used again
grain_gen.lock: struct Person: was called struct Party
grain_gen.lock: struct Person: 2 Friends []*Party is now written []*Person
`, out)
	}
	_, out, _ = command(t, dir)
	require.Empty(t, out)

	write(t, strings.Replace(edit.Replace(service), "Units int64", "Units string", 1), dir, "bank.go")
	code, out, errs = command(t, dir)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "field Amount.Units was int and is now string")
	require.Equal(t, "grain_gen.lock: struct Amount: 1 Units int cannot become string: refused\n", out)
}
