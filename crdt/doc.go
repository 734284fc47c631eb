// Package crdt holds the convergent data types: states that replicas change without asking each other and
// that come out equal once all have seen the same changes, in whatever order, grouping and repetition.
//
//	counters     [Counter] (up and down), [GCounter] (up), [LexCounter], [BoundedCounter] (never below zero),
//	             [ResetCounter]
//	registers    [Register] (last writer wins), [MVRegister] (all concurrent values), [IVar] (assigned once),
//	             [MaxRegister], [MinRegister]; [HLC] stamps what the first needs
//	flags        [EWFlag] (enable wins), [DWFlag] (disable wins), [GFlag]
//	sets         [Set] (add wins), [RWSet] (remove wins), [GSet] (grows), [TwoPhaseSet]
//	maps         [ORMap] (add wins, nested to any depth), [GMap] (of lattices), [RegisterMap]
//	graphs       [Graph] (add wins), [TwoPhaseGraph], [PartialOrder]
//	composition  [Pair], [LexPair], structs by a [Layout]
//
// Each is a [Lattice]: every change returns a delta, a small state of the same type, and joining that
// delta into another replica has the same effect there. Join returns the novelty, the smallest delta that
// the receiver did not hold yet; what travels on, is stored or feeds a dataflow is the novelty, and nil ends
// the matter. Where deltas were lost, a replica sends its Digest and the other answers by Since.
//
// # Example
//
// Two replicas of a set of strings. Each has an actor of its own, whose [Minter] its owner keeps:
//
//	laptop, phone := crdt.NewSet[string](), crdt.NewSet[string]()
//	onLaptop := &crdt.Minter{Actor: 1}
//
//	delta := laptop.Add(onLaptop, "red", "white") // a mutator changes the state and returns what to send
//	b := delta.Append(nil, crdt.StringCodec[string]())
//
//	received, err := crdt.DecodeSet(b, crdt.StringCodec[string]()) // a *crdt.DecodeError for other bytes
//	novelty := phone.Join(received)                                // what phone had not: send it on
//	again := phone.Join(received)                                  // nil
//
//	laptop.Remove("red")                         // this delta is lost
//	lacking, err := laptop.Since(phone.Digest()) // what phone lacks: the dot of "red", dead
//	phone.Join(lacking)                          // phone.Equal(laptop)
//
// What a replica keeps is laptop.Append(nil, codec) and onLaptop.Append(nil), both before a delta leaves it.
//
// The values of an [ORMap] share its context, so they are not lattices but dot stores, whose mutators change
// nothing and return a [Change]. Update hands one the value and takes its change; maps in maps nest the
// closures, and their codecs:
//
//	type inner = *crdt.MapStore[string, *crdt.CounterStore]
//	stock, m := crdt.NewORMap[string, inner](), &crdt.Minter{Actor: 1}
//
//	delta := stock.Update("red", func(v inner) crdt.Change[inner] {
//		return v.Update("2019", func(n *crdt.CounterStore) crdt.Change[*crdt.CounterStore] { return n.Add(m, 6) })
//	})
//
//	text := crdt.StringCodec[string]()
//	b := delta.Append(nil, text, crdt.MapStoreCodec(text, crdt.CounterStoreCodec()))
//
//	red, _ := stock.Get("red") // nil when it is not there, which may be read
//	bottles, _ := red.Get("2019")
//	bottles.Value() // 6
//
// # What is pure, and what is believed
//
// Everything here is pure: no I/O, no clock, no goroutine; time, actors and counters are arguments. No type
// is safe for concurrent use when anyone changes it; deltas are not changed by what reads or joins them.
//
// An operation type ([SetOp], [CounterOp], [RegisterOp], [RegisterMapOp]) is a change before it has an
// identity: Prepare reads what it needs of the state, Effect makes the delta later and elsewhere, under an
// actor that only knows its own [Minter], [CounterRow] or name. Atomic blocks record operations. All types,
// and what is composed of them, have one without a type of its own: a draft, which is a delta in nobody's
// name; see [Operation].
//
// What comes from outside is decoded strictly and without panic, within a small multiple of its length. It
// is then believed: dots, rows and timestamps that a stranger made up converge like any others. Who may
// write under which actor, and how far a timestamp may be ahead of the clock, is for who takes states in to
// check. A draft is no state: Effect refuses what it changes in any other name than its own ([ForeignChange]).
//
// The design follows "Delta State Replicated Data Types" (Almeida, Shoker, Baquero, 2018) and "Efficient
// Synchronization of State-based CRDTs" (Enes, Almeida, Baquero, Leitão, ICDE 2019), the latter for novelty
// as the join of the irreducible parts that a state lacks.
//
// # Known wrong turns
//
// Each was seen in a released system. The tests named fail when the mistake is made here; those whose names
// say what a type means are random histories in package crdttest, in which models make each mistake on purpose
// and are caught (TestOracleFindsKnownWrongTurns, TestCausalOracleFindsKnownWrongTurns,
// TestMapOracleFindsKnownWrongTurns, TestCounterOracleFindsKnownWrongTurns). What goes wrong in dataflow is in
// the documentation of package flow.
//
//	mistake                                     test
//	a vector in place of a context: gaps        TestDeltasOutOfOrderLoseNothing, TestContextIsASetOfDots,
//	count as seen                                 TestNestedDeltasOutOfOrderLoseNothing, TestSetMeansAddWins
//	a delta, an answer or a novelty with the    TestDeltasNameOnlyTheirDots, TestDeltasOfKeysNameOnlyTheirDots,
//	whole context                                 TestSetMeansAddWins
//	present on both sides stays; the larger     TestRemovedOnBothSidesByHalvesIsGone,
//	context is right                              TestKeysRemovedByHalvesAreGone, TestSetMeansAddWins,
//	                                              TestRWSetMeansRemoveWins, TestORMapMeansResetRemove
//	dots minted from the context, or twice;     TestDotsComeFromTheMinter, TestMapsNoticeReusedDots,
//	a row that goes on after it was lost          TestCounterOracleFindsKnownWrongTurns
//	a change that says nothing is something     TestWhatIsNewIsToldOnce, the laws' novelty
//	else than nil, or nil where it says more    TestRemovesOfRWSetWin, TestFlagsDecideConcurrentChanges
//	a replica that was away needs what was      TestOneAnswerStandsInForAllThatWasMissed
//	kept for it
//	what died is forgotten in time, or with     TestWhatWasRemovedStaysRemoved, TestRemovedKeysStayRemoved,
//	its key: who was away brings it back          TestSetMeansAddWins, TestORMapMeansResetRemove
//	equal timestamps decided by order of        TestEqualStampsAreDecidedByValue,
//	arrival, equal extremes too                   TestEqualExtremesAreDecidedByBytes, TestRegisterLaws
//	a clock ahead of all others wins for ever   TestHLCBoundsDrift
//	a clock that is behind loses the write      TestPreparedWritesGoForward
//	a reset, or a removed key, takes back       TestResetsNameWhatTheyObserved,
//	what was not seen, or too little              TestNestedResetsNameTheObservedAmounts,
//	                                              TestResetCounterMeansObservedReset, TestORMapMeansResetRemove
//	a bounded counter spends what others have,  TestBoundedCounterRefuses, TestBoundedCounterNeverOverspends,
//	or spends twice                               TestBoundedOperationsNeedTheirRowAlone
//	sums of floats follow the order of arrival  counters are integers; see flow
//	digests that compare contexts alone, or     TestDigestsSeeRemoves, TestDigestsSeeRemovedKeys,
//	elements without what became of them          TestDigestsSeeRemovesOfTwoPhaseSets, TestTwoPhaseSetLaws
//	what is new is told again: an effect that   TestWhatIsNewIsToldOnce, TestSetMeansAddWins,
//	hangs on it happens twice                     TestTracesOfRWSetTellWhatEntersAndLeaves
//	of two that write once, one wins silently   TestIVarConflictIsTop
//	what failed to decode is joined             TestFailedDecodesLeaveNothing
//	a remove that wins takes no dot             TestRemovesOfRWSetWin, TestRWSetMeansRemoveWins,
//	                                              TestDWFlagMeansDisableWins
//	a block that records a counter's delta      TestBlocksRecordCounterOperations
//	bytes that cost memory                      TestDecodersAllocateInProportion
package crdt
