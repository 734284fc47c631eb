package check

import (
	"go/token"
	"go/types"
	"strconv"
	"strings"
	"time"

	"github.com/martinelli-go/martinelli/codegen/internal/load"
)

// maxIdle is the longest time that //grain:idle may say: a year.
const maxIdle = 365 * 24 * time.Hour

// Traits are what the directives of a method, and its form, say of it.
type Traits struct{ ReadOnly, Reentrant, OneWay, Idempotent, Stream bool }

// Names lists the traits by the names of their fields in package wire.
func (t Traits) Names() []string {
	var all []string
	for _, one := range []struct {
		set  bool
		name string
	}{{t.ReadOnly, "ReadOnly"}, {t.Reentrant, "Reentrant"}, {t.OneWay, "OneWay"}, {t.Idempotent, "Idempotent"}, {t.Stream, "Stream"}} {
		if one.set {
			all = append(all, one.name)
		}
	}
	return all
}

// directives lists the traits that directives give, by their words.
func (t Traits) directives() []string {
	t.Stream = false
	names := t.Names()
	for n, name := range names {
		names[n] = strings.ToLower(name)
	}
	return names
}

// traits reads the directives above a method of i. What contradicts itself is reported by conflicts, once
// it is known what the method returns.
func (c *checker) traits(i *Interface, f *types.Func) Traits {
	has := func(word string) bool { return c.notes.has(f.Pos(), "//grain:", word) }
	return Traits{
		ReadOnly: has("readonly"), Reentrant: has("reentrant") || i.Reentrant, OneWay: has("oneway"), Idempotent: has("idempotent"),
	}
}

// conflicts reports directives of a method that cannot both be meant.
func (c *checker) conflicts(pos token.Pos, full string, m *Method) {
	switch {
	case m.OneWay && m.Stream:
		c.report(pos, "method %s is //grain:oneway and returns a stream: nobody waits for it, so nobody could read it; remove the directive", full)
	case m.OneWay && m.Result != nil:
		c.report(pos, "method %s is //grain:oneway and returns a result (%s): nobody waits for it, so nobody would get it; return an error alone, or remove the directive", full, c.show(m.Result.Go))
	}
	if m.OneWay && m.Idempotent {
		c.report(pos, "method %s is both %s: what nobody waits for is sent once, and never again; remove one", full, directiveList("oneway", "idempotent"))
	}
	if m.OneWay && m.ReadOnly {
		c.report(pos, "method %s is both %s: what nobody waits for and what changes nothing does nothing; remove one", full, directiveList("oneway", "readonly"))
	}
}

// stream returns T where a method returns an iter.Seq2[T, error] alone, nil where it returns none; what is nearly
// one is reported.
func (c *checker) stream(pos token.Pos, full string, results *types.Tuple) types.Type {
	if !hasStream(results) {
		return nil
	}
	if form := hiddenSequence(results.At(0).Type()); len(form) == 2 {
		c.report(pos, "method %s returns %s, which is a stream by another name: write iter.Seq2[%s, %s] itself", full, c.show(results.At(0).Type()), c.show(form[0]), c.show(form[1]))
		return nil
	}
	args, pairs := load.Is(results.At(0).Type(), "iter", "Seq2")
	switch {
	case !pairs:
		one, _ := load.Is(results.At(0).Type(), "iter", "Seq")
		c.report(pos, "method %s returns an iter.Seq, which has no place for an error, and every call can fail: return an iter.Seq2[%s, error]", full, c.show(one[0]))
	case !isError(args[1]):
		c.report(pos, "method %s returns a stream whose second values are no errors: return an iter.Seq2[T, error], where T is a struct of the two, say", full)
	case results.Len() > 1:
		c.report(pos, "method %s returns more than a stream: return the %s alone, whose elements have errors", full, c.show(results.At(0).Type()))
	default:
		return args[0]
	}
	return nil
}

// hasStream says whether the first result is a sequence.
func hasStream(results *types.Tuple) bool {
	return results.Len() > 0 && (isSequence(results.At(0).Type()) || len(hiddenSequence(results.At(0).Type())) == 2)
}

// hiddenSequence returns what a function type takes that ranges over it as an iter.Seq2 does, and is not called that.
func hiddenSequence(t types.Type) (form []types.Type) {
	s, ok := t.Underlying().(*types.Signature)
	if !ok || isSequence(t) || s.Params().Len() != 1 || s.Results().Len() != 0 {
		return nil
	}
	yield, ok := s.Params().At(0).Type().Underlying().(*types.Signature)
	if !ok || yield.Results().Len() != 1 || !types.Identical(yield.Results().At(0).Type(), types.Typ[types.Bool]) {
		return nil
	}
	for v := range yield.Params().Variables() {
		form = append(form, v.Type())
	}
	return form
}

func isSequence(t types.Type) bool {
	_, seq := load.Is(t, "iter", "Seq")
	_, seq2 := load.Is(t, "iter", "Seq2")
	return seq || seq2
}

// version reads the version of an interface, 0 without one.
func (c *checker) version(pos token.Pos) uint32 {
	one := c.notes.argument(pos, "version")
	if one == nil {
		return 0
	}
	n, err := strconv.ParseUint(one.arg, 10, 32)
	if err != nil || n == 0 {
		c.report(one.pos, "//grain:version %s: a version is a whole number from 1 on: //grain:version 2", one.arg)
	}
	return uint32(n)
}

// idle reads how long grains of an implementation are kept without calls, 0 for as long as the silo says.
func (c *checker) idle(pos token.Pos) time.Duration {
	one := c.notes.argument(pos, "idle")
	if one == nil {
		return 0
	}
	d, err := time.ParseDuration(one.arg)
	switch {
	case err != nil:
		c.report(one.pos, "//grain:idle %s: that is no duration: write one as 30s, 5m or 1h30m", one.arg)
	case d < time.Second || d > maxIdle:
		c.report(one.pos, "//grain:idle %s: a grain is kept for a second at least, and for a year at most: write a duration between, as 5m", one.arg)
	}
	return d
}
