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
// write under which actor, and how far a timestamp may be ahead of the clock, is checked by who takes
// states in.
//
// The design follows "Delta State Replicated Data Types" (Almeida, Shoker, Baquero, 2018) and "Efficient
// Synchronization of State-based CRDTs" (Enes, Almeida, Baquero, Leitão, ICDE 2019), the latter for novelty
// as the join of the irreducible parts that a state lacks.
//
// # Known wrong turns
//
// Each was seen in a released system. The test named fails when the mistake is made here; the ones of
// package crdttest are random histories, in which a naive model makes each mistake on purpose and is
// caught (TestOracleFindsKnownWrongTurns).
//
//	mistake                                            test
//	a vector in place of a context: gaps count as seen TestDeltasOutOfOrderLoseNothing, TestContextIsASetOfDots,
//	                                                   crdttest: TestSetMeansAddWins
//	a delta or answer with the whole context           TestDeltasNameOnlyTheirDots, crdttest: TestSetMeansAddWins
//	present on both sides stays; a dominating context  TestRemovedOnBothSidesByHalvesIsGone,
//	is right                                           crdttest: TestSetMeansAddWins
//	dots minted from the context, or twice             TestDotsComeFromTheMinter, crdttest: TestSetMeansAddWins
//	equal timestamps decided by order of arrival       TestEqualStampsAreDecidedByValue, crdttest: TestRegisterLaws
//	a clock that is behind loses the user's write      TestPreparedWritesGoForward
//	digests that compare contexts alone                TestDigestsSeeRemoves, crdttest: TestSetMeansAddWins
//	a block that records a counter's delta             TestBlocksRecordCounterOperations
package crdt
