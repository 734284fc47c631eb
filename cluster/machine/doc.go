// Package machine is the form that the protocols of a cluster have: state machines that do no I/O.
//
// A protocol is a plain struct with one method, Step. It takes the time and one input (a message that
// arrived, a timer, a request of its own silo, the completion of a write) and appends what has to be
// done about it (messages to send, records to log, answers to give). It reads no clock, starts no
// goroutine, opens nothing and blocks on nothing: all that it knows came in through Step, so the same
// inputs in the same order give the same effects. That is what lets a host drive it over real sockets
// and disks, and package sim drive ten thousand of them in one process from a seed.
//
// # Writing one
//
// Inputs and effects are sum types of the protocol's own: an interface with an unexported method and one
// struct for each case. Time is a reading of a monotonic clock since some origin of the host; only
// differences have a meaning. Randomness is a *rand.Rand (math/rand/v2) that the constructor takes. An
// iteration over a Go map must not decide the order of effects.
//
// # Driving one
//
// A host owns the machine from one goroutine, or under one lock, and calls Step for each input. Effects
// are carried out in the order in which they were appended, and after Step returned:
//
//	var effects []replica.Effect
//	for in := range inbox {
//		effects = m.Step(clock(), in, effects[:0])
//		for _, e := range effects {
//			switch e := e.(type) {
//			case replica.Send: // hand to the transport; it may be lost
//			case replica.Log: // write it; when it is durable, put replica.Logged{e.Ticket} into inbox
//			}
//		}
//	}
//
// A machine that needs to know when a write is durable says so by an effect with a ticket and waits for
// the input that carries the ticket back; meanwhile it accepts other inputs. Nothing that depends on
// the write may leave the machine before that. Messages may be lost, doubled, reordered and delayed
// without bound, unless the protocol says what it needs of its transport.
//
// What an input refers to (byte slices, pointers) belongs to the machine from then on, and what an
// effect refers to belongs to the host; neither is changed any more by its giver.
package machine
