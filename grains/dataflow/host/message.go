package host

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// The types of messages.
const (
	askSubscribe  = iota + 1 // request: a snapshot, and all changes after it
	askPage                  // request: a further page of the snapshot at From
	tellChange               // a part of a change, or a heartbeat where From is To
	tellAlive                // the subscriber is there
	tellGone                 // the subscriber has left
	tellUnknown              // to a subscriber that the station does not know
	answerPage               // a page of a snapshot, Last is the last one
	answerCurrent            // the subscriber holds everything
	answerChange             // what the subscriber lacks, as one change
	answerRefused            // Text says why
)

// message is everything that hosts say to each other: few types share many fields. On the wire it is a
// protobuf message of these fields by their numbers, numbers as varints.
type message struct {
	Type         uint64    // 1
	Node         string    // 2
	Subscription uint64    // 3: chosen by the subscriber; last on the wire, so that it can be put after the rest
	Incarnation  uint64    // 4: of the station's run
	From, To     uint64    // 5, 6: numbers of the station's sequence; a snapshot is at To
	Frontier     frontiers // 7
	Batch        []byte    // 8: a part of a batch; parts put end to end are the batch
	Part         uint64    // 9: counts parts and pages from 0
	Last         bool      // 10
	Reset        bool      // 11: what died in it may never have been removed
	Fingerprint  uint64    // 12: of the node's code, 0 where it is not known
	Text         string    // 13
	Sender       uint64    // 14: run of the subscriber's process, so that its ids are not taken for an older one's
}

func (m *message) append(b []byte) []byte {
	b = wire.AppendUint(b, 1, m.Type)
	b = wire.AppendString(b, 2, m.Node)
	b = wire.AppendUint(b, 4, m.Incarnation)
	b = wire.AppendUint(b, 5, m.From)
	b = wire.AppendUint(b, 6, m.To)
	b = m.Frontier.append(b, 7)
	b = wire.AppendBytes(b, 8, m.Batch)
	b = wire.AppendUint(b, 9, m.Part)
	b = wire.AppendBool(b, 10, m.Last)
	b = wire.AppendBool(b, 11, m.Reset)
	b = wire.AppendUint(b, 12, m.Fingerprint)
	b = wire.AppendString(b, 13, m.Text)
	b = wire.AppendUint(b, 14, m.Sender)
	return wire.AppendUint(b, 3, m.Subscription)
}

// decodeMessage reads a message, whose batch aliases b.
func decodeMessage(b []byte) (*message, error) {
	m := &message{}
	err := wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			m.Type, err = f.Uint()
		case 2:
			m.Node, err = f.String()
		case 3:
			m.Subscription, err = f.Uint()
		case 4:
			m.Incarnation, err = f.Uint()
		case 5:
			m.From, err = f.Uint()
		case 6:
			m.To, err = f.Uint()
		case 7:
			m.Frontier, err = decodeFrontier(f, m.Frontier)
		case 8:
			m.Batch, err = f.Bytes()
		case 9:
			m.Part, err = f.Uint()
		case 10:
			m.Last, err = f.Bool()
		case 11:
			m.Reset, err = f.Bool()
		case 12:
			m.Fingerprint, err = f.Uint()
		case 13:
			m.Text, err = f.String()
		case 14:
			m.Sender, err = f.Uint()
		}
		return err
	})
	if err == nil && m.From > m.To {
		err = wire.Field{Number: 5}.Errorf("a change from %d back to %d", m.From, m.To)
	}
	return m, err
}

// overhead is what a message measures at most besides batch, name and frontier.
const overhead = 256

// room is how many bytes of batch fit in one message of at most limit bytes.
func room(limit int, node string, f frontiers) int {
	n := limit - overhead - protowire.SizeBytes(len(node)) - len(f.append(nil, 7))
	return max(n, 1)
}
