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
// their codec, which must agree.
//
// # What travels
//
// What travels on an edge of the graph is a batch of weighted elements (Weighted), a Z-set. The weight
// of an element is the number of its live supports: at a source the dots of the variable that support
// it, +1 for each that is born and -1 for each that dies (Feed); further on, the sum over all ways in
// which it is derived. An element is in a collection while its weight is positive.
//
// The alternative, to carry the dots themselves through the graph, asks of every operator to decide
// which dots its output has seen, and goes wrong where two ways lead to one element. Weights have no
// such cases: an operator that passes each element on by itself (Map, Filter, Union) is linear, so its
// change is the operator applied to the change, and what cancels, cancels. Functions that are not
// injective and branches that meet again are right by construction. What is not linear counts an element
// once however large its weight: every fold (CountBy, CountTogether, TopBy) begins with a distinct,
// which passes on only the crossings between absent and present. See Budiu, Chajed, McSherry, Ryzhyk and
// Tannen, "DBSP: Automatic Incremental View Maintenance for Rich Query Languages", VLDB 2023; here
// time is a sequence of batches for each edge, and sources see each birth and death exactly once.
//
// # Running
//
// Generated code binds each node to the codec of its elements (Bind); Compile closes the set; Graph.New
// makes an Operator, which takes encoded changes and gives encoded changes, at a cost of O(change) index
// accesses (Work counts them). Materialized is the reader's end of an edge. Batches may come in any
// grouping: an operator's view depends on the sum of what it was given, not on how that was cut, and
// weights that are negative for a moment, because a death overtook its birth, come right by themselves.
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
//	an element that was added again counts    TestReaddedElementCountsOnce, and with the
//	twice in a fold                             distinct off TestFoldWithoutDistinctIsFoundOut
//	a death is delivered before its birth     TestDeathThatOvertakesItsBirthComesRight
//	a batch that is half decoded and half     TestMalformedChangeIsRefusedWhole,
//	applied; bytes that cost memory             TestDecodeBatchRefuses, FuzzDecodeBatch
//	state in doubt that goes on being used    TestOperatorWhoseFunctionPanickedIsNotUsedAgain,
//	                                            TestImpureFunctionIsNotPassedOverInSilence
//	work that grows with the collection       TestWorkIsProportionalToTheChange
//	indexes that keep what is gone            history, sameAs: "history leaves nothing behind"
//	views made by different code are mixed    TestFingerprintCoversWhatComesBefore
package flow
