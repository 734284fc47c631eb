// Package flow declares dataflow graphs over collections that change, and holds the operators that keep
// their outputs up to date. It is pure: no I/O, no clock, no goroutine, no lock. Where operators run and
// how their changes travel is somebody else's matter.
//
// # Declaring
//
// Nodes are package-level variables. From and Each read replicated variables and families of them; the
// rest is made of other nodes:
//
//	var Likes = flow.CountBy("likes", flow.Each(Favorites),
//		func(e flow.Entry[UserID, WineID]) WineID { return e.Value })
//
// Declaring does nothing and never panics; Compile reports what is wrong with a graph, all of it, with
// the places of the declarations. Functions given to operators must be pure: the same result for the
// same arguments, on every machine, and no effect. Elements are comparable by == and by the bytes of
// their codec, which must agree; one that does not equal itself, a NaN, is refused where it comes in, and where
// a function makes one the operator panics.
//
// # Operators
//
// Cost is index accesses for each element that changes, n the size of its group. Held is what an operator
// keeps, its output aside where it says so. A fold and whatever has two inputs count an element once,
// however large its weight; Map, FlatMap, Filter and Union pass weights on.
//
//	operator                 its collection                            cost            held
//	From, Each, Input        a variable, a family, a test's feed       1               the elements
//	Map                      f(e)                                      1               the output
//	FlatMap                  all that f(e) yields                      what f yields   the output
//	Filter                   e where keep(e)                           1               the output
//	Union                    e in any input                            1               the output
//	Distinct                 e, with weight 1                          1               the elements
//	Intersection             e in both inputs                          1               both inputs
//	DifferenceNonMonotone    e in the first input, not in the second   1               both inputs
//	Join                     pairs with equal keys                     pairs changed   both inputs, by key
//	Product                  all pairs                                 pairs changed   both inputs
//	CountBy                  (k, how many)                             1               elements, counts
//	CountTogether            (pair of items, groups with both)         n               elements, counts
//	SumBy, AverageBy         (k, sum), (k, mean), of integers          1               elements, sums
//	MinBy, MaxBy, TopBy      (k, e) for the least, the n greatest      log n           elements, in order
//	FoldBy                   (k, join of all)                          log n joins     elements, in a tree
//
// Sums of floats are refused by the type checker: float addition is not associative, and sums would
// follow the order of arrival. FoldBy joins in an order that the elements alone decide.
//
// # What travels
//
// What travels on an edge of the graph is a batch of weighted elements (Weighted), a Z-set. The weight
// of an element is the number of its live supports: at a source the dots of the variable that support
// it, +1 for each that is born and -1 for each that dies (Feed); further on, the sum over all ways in
// which it is derived. An element is in a collection while its weight is positive. No weight that is held
// leaves ±2^47: the change that would take it there is refused whole (WeightError).
//
// The alternative, to carry the dots themselves through the graph, asks of every operator to decide
// which dots its output has seen, and goes wrong where two ways lead to one element. Weights have no
// such cases: an operator that passes each element on by itself (Map, Filter, Union) is linear, so its
// change is the operator applied to the change, and what cancels, cancels. Functions that are not
// injective and branches that meet again are right by construction. What is not linear counts an element
// once however large its weight: every fold, and every operator with two unlike inputs, begins with a
// distinct, which passes on only the crossings between absent and present. So a pair of a join has weight
// 1, and two weights that are negative for a moment never make a positive one. See Budiu, Chajed,
// McSherry, Ryzhyk and Tannen, "DBSP: Automatic Incremental View Maintenance for Rich Query Languages",
// VLDB 2023; here time is a sequence of batches for each edge, and sources see each birth and death
// exactly once.
//
// # Sources
//
// Elements says which collection a type of package crdt is, NewFeed and NewFeedBy make the feeds that turn its
// deltas into batches: sets of all kinds (their elements), counters and registers (one element), maps (entries,
// or keys). Where there is no cluster, an Input takes them.
//
// # Running
//
// Generated code binds each node to the codec of its elements (Bind); Compile closes the set; Graph.New
// makes an Operator, which takes encoded changes and gives encoded changes, at a cost of O(change) index
// accesses (Work counts them). Materialized is the reader's end of an edge. Batches may come in any
// grouping: an operator's view depends on the sum of what it was given, not on how that was cut, and
// weights that are negative for a moment, because a death overtook its birth, come right by themselves.
// AppendState and Restore save an operator's state and bring it back.
//
// By hand, without a cluster and in one place, a graph runs like this, errors left out; the last argument of
// Bind tells versions of a node's function apart, and may be 0 where all that runs is one program:
//
//	stock := flow.Input[E]("stock")
//	scarce := flow.Filter("scarce", stock, func(e E) bool { return e.Value < 6 })
//	of := flow.RegisterMapElements(text, number) // what the elements of a delta are; their codec
//	g, err := flow.Compile([]flow.Bound{flow.Bind(stock, of.Codec(), 0), flow.Bind(scarce, of.Codec(), 0)})
//	n, err := g.NewNetwork()
//	feed := flow.NewFeed(of)
//	for number, delta := range deltas { // in encoded form
//		batch, err := feed.Join("", delta)
//		err = n.Push("stock", uint64(number)+1, batch) // numbered from 1, without a gap
//		fired, err := n.Run()                          // the changes of every node, to be applied to a Materialized
//	}
//	view := flow.NewMaterialized(of.Codec())
//	_, _, err = view.Reset(slices.Collect(n.Node("scarce").Operator().Snapshot(0))) // or all of it at once
//
// # Glitches
//
// Where two ways of one source meet again, an operator that takes each change as it comes shows, between
// the two, collections that never were: the difference of a collection and its own copy is then not
// empty. A Gate makes an operator wait until its inputs are at one frontier, and a Network does so for a
// whole graph in one place: the view of a node at frontier F is the operator on the inputs at F. Changes
// carry the frontiers that they lead from and to; those that were taken before are dropped, and a gap is
// an error.
//
// # Known wrong turns
//
// Each was seen in a released system or is easily taken; a test guards each. Every operator is moreover
// compared, after every step of random histories, with a recomputation from scratch (Test…FollowsItsLaw).
//
//	a function that is not injective; its     TestMapThatIsNotInjectiveKeepsAnElement-
//	output dies with the first support          WhileOneSupportLives
//	branches of one source that meet again:   TestBranchesOfOneSourceThatMeetAgain
//	the complement kills what is kept
//	a binary operator that is silent while    TestUnionKeepsWhatOneSideStillHolds-
//	one side is empty, or lets one side         AndNeedsNoOtherSide
//	remove what the other holds
//	a pair whose element came while the       TestElementAddedWhileTheOtherInputIsEmpty-
//	other input was empty never appears         MeetsItLater, which also switches the index off
//	an element that one side removed stays    TestElementRemovedOnOneSideLeavesWhatBothMade
//	in an intersection or a join
//	a product that holds its pairs            TestProductHoldsNoPairs
//	a difference that is taken for stable     TestDifferenceShowsWhatIsWithdrawnLater
//	sums that follow the order of arrival     TestFoldOfFloatsDependsOnTheElementsAlone,
//	                                            TestFoldsTreeDependsOnItsElementsAlone,
//	                                            TestSumIsExactAndShowsTheNearestThatFits
//	a diamond that shows what never was       TestDiamondShowsNoGlitch, which also lets nodes
//	                                            fire at once and finds it out
//	a change that is taken twice or skipped;  TestGateTakesEachChangeOnceAndInOrder,
//	an empty one that is not passed on          TestNetworkDetectsRepetitionsAndGaps
//	a state of other code that is taken over  TestRestoreRefusesWhatIsNoState
//	an element that was added again counts    TestReaddedElementCountsOnce, and with the
//	twice in a fold                             distinct off TestFoldWithoutDistinctIsFoundOut
//	a death is delivered before its birth     TestDeathThatOvertakesItsBirthComesRight
//	a batch that is half decoded and half     TestMalformedChangeIsRefusedWhole,
//	applied; bytes that cost memory             TestDecodeBatchRefuses, FuzzDecodeBatch,
//	                                            TestDecodersAllocateInProportion
//	state in doubt that goes on being used    TestOperatorWhoseFunctionPanickedIsNotUsedAgain,
//	                                            TestImpureFunctionIsNotPassedOverInSilence,
//	                                            TestNetworkWhoseFunctionPanickedSaysSo
//	an output that its reader refuses, a      TestWeightsOutOfRangeAreRefusedWhole,
//	state that does not come back               TestNetworkRefusesWeightsOutOfRange
//	what does not equal itself is put away    TestWhatDoesNotEqualItselfIsRefused
//	work that grows with the collection       TestWorkIsProportionalToTheChange
//	indexes that keep what is gone            history, sameAs: "history leaves nothing behind"
//	views made by different code are mixed    TestFingerprintCoversWhatComesBefore
package flow
