// Package sim runs many nodes of a protocol in one process, in virtual time and from a seed.
//
// A test describes a node by a Boot function, which makes the node's handler at its first start and again
// at each restart, and drives the whole by running virtual time:
//
//	sim.Run(t, 200, sim.Config[msg]{Loss: 0.1}, func(t *testing.T, s *sim.Sim[msg]) {
//		for id := machine.NodeID(1); id <= 3; id++ {
//			s.AddNode(id, func(env *sim.Env[msg]) sim.Handler[msg] { return newNode(env) })
//		}
//		s.Disturb(10*time.Second, sim.Faults{Partition: time.Second, Crash: 2 * time.Second})
//		s.RunFor(10 * time.Second)
//		s.Calm()
//		require.True(t, s.RunUntil(equal, time.Minute), "replicas differ")
//	})
//
// Everything happens on the goroutine that runs the test. The same seed and the same test give the same
// run, event for event, as long as the nodes draw randomness from Env.Rand only, read time from Env.Now
// only and let no iteration over a Go map decide the order of what they do.
//
// Links lose, double, delay (and so reorder) messages, and are cut in one or both directions. Nodes crash
// with their disk or without, restart as a new incarnation, and pause, which delays all that concerns
// them without their noticing. What a node appended to its Disk survives a crash once it was told so;
// what was under way survives in part, as it does on a real one.
//
// A run that fails prints its seed and its last events. SIM_SEED=n runs that seed alone; SIM_SEEDS=n sets
// how many seeds each Run tries.
package sim
