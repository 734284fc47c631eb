package actor

import "fmt"

// Service says which part of a node a message is for, and by its two highest
// bits over which [Channel] it travels: declare it as OnBulk | 7, say. Without
// any it is on Calls. Numbers are part of the protocol.
type Service uint16

// Channel is a kind of traffic. Between two nodes each has a connection of its
// own in either direction, so that what waits on one delays nothing on another.
// What package actor promises holds for each by itself: order, the fate of
// requests when a connection is lost, bounds of queues and of work.
type Channel uint8

// The channels.
const (
	Calls         Channel = iota // requests that somebody waits for
	Control                      // who is there, who leads, what became of a block: small, and urgent
	Dissemination                // novelties
	Bulk                         // states, snapshots, digests: up to Config.BulkLimit each, at Config.BulkRate
	channels
)

// The bits of a Service that put it on a channel.
const (
	OnCalls         = Service(Calls) << channelShift
	OnControl       = Service(Control) << channelShift
	OnDissemination = Service(Dissemination) << channelShift
	OnBulk          = Service(Bulk) << channelShift
)

const channelShift = 14

// Channel is what the service's messages travel on.
func (s Service) Channel() Channel { return Channel(s >> channelShift) }

// String names the number, and the channel unless it is Calls.
func (s Service) String() string {
	if s.Channel() == Calls {
		return fmt.Sprint(uint16(s))
	}
	return fmt.Sprintf("%d (%v)", uint16(s)&(1<<channelShift-1), s.Channel())
}

// String names the channel.
func (c Channel) String() string {
	if c < channels {
		return [...]string{"calls", "control", "dissemination", "bulk"}[c]
	}
	return fmt.Sprintf("channel %d", uint8(c))
}
