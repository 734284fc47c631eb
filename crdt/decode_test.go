package crdt

import (
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt/internal/seeds"
)

// decoders is everything of this package that reads bytes from outside. Digests are answered by small states,
// for an answer costs what is sent.
func decoders(t require.TestingT) map[string]func([]byte) (any, error) {
	str, num := stringCodec(), uintCodec()
	sets, regs := seedSets(), NewRegisterMap(num, str)
	regs.Set(1, 1, 7, "x")
	gset, phased := NewGSet(num), NewTwoPhaseSet(num)
	gset.Add(1, 2, 3)
	phased.Add(1, 2, 3)
	reg, ivar := NewRegister(str), NewIVar(str)
	reg.Set(1, 1, "x")
	_, err := ivar.Set("x")
	require.NoError(t, err)
	keys, nested := tagMapsCodec()
	flag, mv := NewEWFlag(), NewMVRegister(str)
	flag.Enable(&Minter{Actor: 1})
	mv.Set(&Minter{Actor: 1}, "x")
	return map[string]func([]byte) (any, error){
		"Context":           func(b []byte) (any, error) { return DecodeContext(b) },
		"Minter":            func(b []byte) (any, error) { return DecodeMinter(b) },
		"Set":               func(b []byte) (any, error) { return DecodeSet(b, num) },
		"SetOp":             func(b []byte) (any, error) { return DecodeSetOp(b, num) },
		"SetDigest":         func(b []byte) (any, error) { return sets[1].Since(b) },
		"RWSet":             func(b []byte) (any, error) { return DecodeRWSet(b, num) },
		"RWSetOp":           func(b []byte) (any, error) { return DecodeRWSetOp(b, num) },
		"GSet":              func(b []byte) (any, error) { return DecodeGSet(b, num) },
		"TwoPhaseSet":       func(b []byte) (any, error) { return DecodeTwoPhaseSet(b, num) },
		"SetHashes":         func(b []byte) (any, error) { return phased.Since(b) },
		"Counter":           func(b []byte) (any, error) { return DecodeCounter(b) },
		"CounterOp":         func(b []byte) (any, error) { return DecodeCounterOp(b) },
		"CounterRow":        func(b []byte) (any, error) { return DecodeCounterRow(b) },
		"GCounter":          func(b []byte) (any, error) { return DecodeGCounter(b) },
		"GCounterOp":        func(b []byte) (any, error) { return DecodeGCounterOp(b) },
		"LexCounter":        func(b []byte) (any, error) { return DecodeLexCounter(b) },
		"LexCounterOp":      func(b []byte) (any, error) { return DecodeLexCounterOp(b) },
		"LexRow":            func(b []byte) (any, error) { return DecodeLexRow(b) },
		"BoundedCounter":    func(b []byte) (any, error) { return DecodeBoundedCounter(b) },
		"BoundedCounterOp":  func(b []byte) (any, error) { return DecodeBoundedCounterOp(b) },
		"ResetCounter":      func(b []byte) (any, error) { return DecodeResetCounter(b) },
		"ResetCounterOp":    func(b []byte) (any, error) { return DecodeResetCounterOp(b) },
		"Register":          func(b []byte) (any, error) { return DecodeRegister(b, str) },
		"RegisterOp":        func(b []byte) (any, error) { return DecodeRegisterOp(b, str) },
		"RegisterDigest":    func(b []byte) (any, error) { return reg.Since(b) },
		"RegisterMap":       func(b []byte) (any, error) { return DecodeRegisterMap(b, num, str) },
		"RegisterMapOp":     func(b []byte) (any, error) { return DecodeRegisterMapOp(b, num, str) },
		"RegisterMapDigest": func(b []byte) (any, error) { return regs.Since(b) },
		"MVRegister":        func(b []byte) (any, error) { return DecodeMVRegister(b, str) },
		"MVRegisterOp":      func(b []byte) (any, error) { return DecodeMVRegisterOp(b, str) },
		"IVar":              func(b []byte) (any, error) { return DecodeIVar(b, str) },
		"IVarDigest":        func(b []byte) (any, error) { return ivar.Since(b) },
		"MaxRegister":       func(b []byte) (any, error) { return DecodeMaxRegister(b, num) },
		"MinRegister":       func(b []byte) (any, error) { return DecodeMinRegister(b, num) },
		"HLC":               func(b []byte) (any, error) { return DecodeHLC(b) },
		"GFlag":             func(b []byte) (any, error) { return DecodeGFlag(b) },
		"EWFlag":            func(b []byte) (any, error) { return DecodeEWFlag(b) },
		"DWFlag":            func(b []byte) (any, error) { return DecodeDWFlag(b) },
		"FlagOp":            func(b []byte) (any, error) { return DecodeFlagOp(b) },
		"CausalDigest":      func(b []byte) (any, error) { return flag.Since(b) },
		"ORMap":             func(b []byte) (any, error) { return DecodeORMap(b, keys, nested) },
		"ORMap values":      func(b []byte) (any, error) { return DecodeORMap(b, keys, ValueStoreCodec(str)) },
		"ORMap counters":    func(b []byte) (any, error) { return DecodeORMap(b, keys, CounterStoreCodec()) },
		"ORMap flags":       func(b []byte) (any, error) { return DecodeORMap(b, keys, FlagStoreCodec()) },
		"ORMapOp":           func(b []byte) (any, error) { return DecodeORMapOp(b, keys, nested) },
		"GMap":              func(b []byte) (any, error) { return decodeCounters(b) },
		"KeyDigest":         func(b []byte) (any, error) { return seedCountersMap().Since(b) },
		"Graph":             func(b []byte) (any, error) { return DecodeGraph(b, str) },
		"TwoPhaseGraph":     func(b []byte) (any, error) { return DecodeTwoPhaseGraph(b, str) },
		"PartialOrder":      func(b []byte) (any, error) { return DecodePartialOrder(b, str) },
		"Pair":              func(b []byte) (any, error) { return DecodePair(b, gcounterPart(), SetCodec(str)) },
		"PairDigest":        func(b []byte) (any, error) { return pairSample().Since(b) },
		"LexPair":           func(b []byte) (any, error) { return DecodeLexPair(b, gcounterPart(), gcounterPart()) },
		"LexPairDigest":     func(b []byte) (any, error) { return lexPairSample().Since(b) },
		"struct":            func(b []byte) (any, error) { return sampleLayout.Decode(b) },
		"struct's digest":   func(b []byte) (any, error) { return sampleLayout.Since(structSample(), b) },
	}
}

// dense are encodings and digests with as much as their bytes can say: many rows, runs, gaps and entries,
// each as short as it can be. n is roughly how many.
func dense(t require.TestingT, n int) map[string][]byte {
	str, num := stringCodec(), uintCodec()
	out := map[string][]byte{}
	minterOf := func(i int) *Minter { return &Minter{Actor: Actor(n - i)} }

	actors, gaps, one := NewSet[uint64](), NewSet[uint64](), &Minter{Actor: 1}
	rw, mv, ew, dw := NewRWSet[uint64](), NewMVRegister(str), NewEWFlag(), NewDWFlag()
	graph := NewGraph[string]()
	flags, counts, values := NewORMap[string, *FlagStore](), NewORMap[string, *CounterStore](), NewORMap[string, *ValueStore[string]]()
	nested := &tagMaps{}
	for i := range n {
		key := string(uintCodec().Append(nil, uint64(i)))
		actors.Join(NewSet[uint64]().Add(minterOf(i), uint64(i)))
		one.Next += 255 // a block for each dot
		gaps.Add(one, uint64(i))
		rw.Add(minterOf(i), uint64(i))
		mv.Join(NewMVRegister(str).Set(minterOf(i), ""))
		ew.Join(NewEWFlag().Enable(minterOf(i)))
		dw.Join(NewDWFlag().Enable(minterOf(i)))
		graph.AddVertex(minterOf(i), key)
		flags.Update(key, func(s *FlagStore) Change[*FlagStore] { return s.Enable(minterOf(i)) })
		counts.Update(key, count(minterOf(i), 1))
		values.Update(key, func(s *ValueStore[string]) Change[*ValueStore[string]] { return s.Set(minterOf(i), "") })
		nested.Update(key, in("", addTags(minterOf(i), "")))
	}
	out["Set of actors"], out["Set of blocks"] = actors.Append(nil, num), gaps.Append(nil, num)
	out["SetDigest of actors"], out["SetDigest of blocks"] = actors.Digest(), gaps.Digest()
	out["Context of actors"], out["Context of gaps"] = actors.Context().Append(nil), gaps.Context().Append(nil)
	out["SetOp"] = AppendSetOp(nil, actors.Prepare(SetOp[uint64]{Remove: slices.Collect(actors.All())}), num)
	out["RWSet"], out["MVRegister"], out["Graph"] = rw.Append(nil, num), mv.Append(nil), graph.Append(nil, str)
	out["EWFlag"], out["DWFlag"], out["CausalDigest"] = ew.Append(nil), dw.Append(nil), ew.Digest()
	out["FlagOp"] = ew.Prepare(FlagOp{}).Append(nil)
	out["MVRegisterOp"] = AppendMVRegisterOp(nil, mv.Prepare(MVRegisterOp[string]{Clear: true}), str)
	keys, nestedCodec := tagMapsCodec()
	out["ORMap"] = nested.Append(nil, keys, nestedCodec)
	out["ORMap flags"], out["ORMap counters"] = flags.Append(nil, keys, FlagStoreCodec()), counts.Append(nil, keys, CounterStoreCodec())
	out["ORMap values"] = values.Append(nil, keys, ValueStoreCodec(str))
	op := nested.Prepare(func(v *MapStore[string, tagsOf], m *Minter) (c Change[*MapStore[string, tagsOf]]) {
		drafts := &tagMaps{}
		for k := range v.All() {
			drafts.Update(k, in("", addTags(m, "")))
		}
		return Change[*MapStore[string, tagsOf]]{Context: *drafts.Context(), Live: drafts.Values()}
	})
	out["ORMapOp"] = AppendORMapOp(nil, op, keys, nestedCodec)

	pn, up, lex, bounded, gifts, reset := NewCounter(), NewGCounter(), NewLexCounter(), NewBoundedCounter(), NewBoundedCounter(), NewResetCounter()
	gset, phased, regs, gmap := NewGSet(num), NewTwoPhaseSet(num), NewRegisterMap(num, str), newCounters()
	phasedGraph, order := NewTwoPhaseGraph(str), NewPartialOrder(str)
	var regOp RegisterMapOp[uint64, string]
	gifts.Inc(1, uint64(n))
	for i := range n {
		a, e := Actor(i+1), uint64(i)
		key := string(uintCodec().Append(nil, e))
		pn.Add(a, 1)
		up.Add(a, 1)
		lex.Add(a, 1)
		bounded.Inc(a, 1)
		_, err := gifts.Transfer(1, a+1, 1)
		require.NoError(t, err)
		reset.Add(a, 1)
		gset.Add(e)
		phased.Add(e)
		regs.Set(0, 1, e, "")
		regOp.Set = append(regOp.Set, RegisterMapSet[uint64, string]{Key: e})
		gmap.Update(key, add(1))
		_, err = phasedGraph.AddVertex(key)
		require.NoError(t, err)
		_, err = order.Add(key, Start[string](), End[string]())
		require.NoError(t, err)
	}
	observed := reset.Prepare(ResetCounterOp{Reset: true})
	phased.Remove(slices.Collect(phased.All())...)
	out["Counter"], out["GCounter"], out["LexCounter"] = pn.Append(nil), up.Append(nil), lex.Append(nil)
	out["BoundedCounter"], out["BoundedCounter of gifts"] = bounded.Append(nil), gifts.Append(nil)
	out["ResetCounter"], out["ResetCounterOp"] = reset.Append(nil), observed.Append(nil)
	out["GSet"], out["TwoPhaseSet"], out["RegisterMap"] = gset.Append(nil, num), phased.Append(nil, num), regs.Append(nil, num, str)
	out["RegisterMapOp"] = AppendRegisterMapOp(nil, regOp, num, str)
	out["GMap"] = gmap.Append(nil, str, counterCodec())
	out["TwoPhaseGraph"], out["PartialOrder"] = phasedGraph.Append(nil, str), order.Append(nil, str)
	out["SetHashes of buckets"], out["RegisterMapDigest of buckets"], out["KeyDigest of buckets"] = gset.Digest(), regs.Digest(), gmap.Digest()

	pair := NewPair(up, NewSet[string]())
	out["Pair"] = pair.Append(nil, gcounterPart(), SetCodec(str))
	out["PairDigest"] = pair.Digest()
	lp := NewLexPair(up, up)
	out["LexPair"], out["LexPairDigest"] = lp.Append(nil, gcounterPart(), gcounterPart()), lp.Digest()

	// More hashes and entries than digests list: they are believed.
	list, mapList, keyList := appendVersion(nil), appendVersion(nil), appendVersion(nil)
	words := make([]uint64, n)
	for i := range words {
		words[i] = uint64(i)
		mapList = appendNested(mapList, 2, func(b []byte) []byte {
			return appendFixed64(appendFixed64(b, 1, uint64(i)), 4, 0)
		})
		keyList = appendNested(keyList, 2, func(b []byte) []byte {
			return appendBytes(appendFixed64(b, 1, uint64(i)), 2, nil)
		})
	}
	out["SetHashes"], out["RegisterMapDigest"], out["KeyDigest"] = appendWords(list, 2, words), mapList, keyList
	return out
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// perByte bounds what decoding allocates for each byte of its input, garbage included. Most need a third of it;
// orders, whose facts are found by their content, need four fifths.
const perByte = 100

// Not parallel: the runtime counts what all tests allocate.
func TestDecodersAllocateInProportion(t *testing.T) {
	all := decoders(t)
	names := slices.Sorted(maps.Keys(all))
	bounded := func(name, input string, b []byte) {
		n := allocated(func() {
			if _, err := all[name](b); err != nil {
				check(t, err)
			}
		})
		require.LessOrEqual(t, n, uint64(8192+perByte*len(b)), "%s, %d bytes of %s: %x", name, len(b), input, b[:min(len(b), 100)])
	}
	for input, b := range dense(t, 1500) {
		for _, name := range names {
			bounded(name, input, b)
		}
	}
	few := dense(t, 20)
	inputs := slices.Sorted(maps.Keys(few))
	for seed := range seeds.Of(t, 2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		input := inputs[r.IntN(len(inputs))]
		b := slices.Clone(few[input])
		for range 1 + r.IntN(4) {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
		b = b[:1+r.IntN(len(b))]
		own, _, _ := strings.Cut(input, " of ")
		require.Contains(t, all, own)
		bounded(own, input, b)
		bounded(names[r.IntN(len(names))], input, b)
	}
}

// What failed to decode leaves nothing that could be joined or take effect by mistake.
func TestFailedDecodesLeaveNothing(t *testing.T) {
	t.Parallel()
	failed, all := map[string]bool{}, decoders(t)
	for input, b := range dense(t, 3) {
		for name, decode := range all {
			for cut := range b {
				got, err := decode(b[:cut])
				if err != nil {
					require.True(t, reflect.ValueOf(got).IsZero(), "%s of %x, cut out of %s, fails with %v and gives %v", name, b[:cut], input, err, got)
					failed[name] = true
				}
			}
		}
	}
	require.Len(t, failed, len(all))
}

// Every message that an error names is in crdt.proto, so that who reads the error finds what it speaks of.
func TestDecodersNameMessagesOfTheProto(t *testing.T) {
	t.Parallel()
	proto, err := os.ReadFile("crdt.proto")
	require.NoError(t, err)
	require.Equal(t, strings.Count(string(proto), "{"), strings.Count(string(proto), "}"))
	named, all := map[string]error{}, decoders(t)
	for _, b := range dense(t, 3) {
		for _, decode := range all {
			for cut := range b {
				_, err := decode(b[:cut])
				for e := (*DecodeError)(nil); errors.As(err, &e); err = e.Err {
					named[e.Message] = e
				}
			}
		}
	}
	for message, err := range named {
		if strings.HasPrefix(message, "Sample") || message == "uint64" { // of tests
			continue
		}
		for part := range strings.SplitSeq(message, ".") {
			said := regexp.MustCompile(`message ` + part + ` \{|\b` + part + ` = \d|\b` + part + ` is (encoded as|an) `)
			require.True(t, said.Match(proto), "%s of %v", part, err)
		}
	}
}
