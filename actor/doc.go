// Package actor carries requests and notifications between nodes (silos and
// clients), and offers the turn lock on which grains run one call at a time.
// It knows nothing of grains: a payload is bytes.
//
// A [Node] has an address and an incarnation, the number of one run of its
// process. [Node.Request] sends a payload to a [Service] of another node and
// waits for its answer; [Node.Notify] sends and does not wait. Both travel in
// one stable message, the Envelope of envelope.proto.
//
// # What a request promises
//
// A handler runs at most once for a request, on a goroutine of its own, under a
// context that ends with the caller's deadline, with its cancellation, or when
// the caller is gone. A request ends in one of these ways:
//
//   - the handler's answer;
//   - a [*RemoteFailure]: the handler ran and failed;
//   - an error that is [ErrNotExecuted]: the handler has not run and never
//     will, so that trying again is safe;
//   - an error that is [ErrUnknown]: it may have run.
//
// A peer that is known to be gone fails all requests in flight to it at once, and
// so does the loss of a connection over which they or their answers travel.
//
// # Channels
//
// Each service is on one of four channels, which its number says ([OnBulk] and
// its like). Between two nodes each channel has a connection of its own, and
// all of the above holds for each by itself. Payloads on [Bulk] may be large:
// they are cut into chunks that take turns, and are paced; their order is not
// kept.
//
// # Who is at the other end
//
// Connections begin with a handshake, inside TLS where [Config] has it: silos
// show that they are by their certificate, by the cluster's secret, or, with
// neither, by saying so. Handlers learn it from [Peer]. Who is refused gets a
// [*Foreign] or a [*LimitReached]; both are [ErrNotExecuted] to requests.
//
// # Transports
//
// Between processes each connection carries frames: one for each envelope, or,
// on Bulk, chunks of several transfers in turns. All that waits for a connection
// is written at once; nothing waits for more to come. The length of a frame is
// checked before memory is made for it, queues are bounded, a refused address
// costs a round trip, and an end that does not answer a ping for five seconds is
// gone. Notifications go through actors of protoactor-go, one for each sender
// and service. For tests [Network] joins nodes of one process and can cut, drop,
// delay and kill.
package actor
