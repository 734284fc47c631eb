package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Transport carries messages to other nodes. Its methods may be called from any goroutine, and must not
// call back before they return.
type Transport interface {
	// Request asks a silo. An error that is wire.ErrNotExecuted says that the request surely had no
	// effect.
	Request(ctx context.Context, to view.SiloID, payload []byte) ([]byte, error)
	// RequestAt asks the node at an address.
	RequestAt(ctx context.Context, addr string, payload []byte) ([]byte, error)
	// Notify sends without waiting: at most once, in order while the connection lives.
	Notify(to view.SiloID, payload []byte) error
	// NotifyAt sends to the silo or client at an address.
	NotifyAt(addr string, payload []byte) error
}

// timing is how often things are done.
type timing struct {
	coalesce time.Duration // an ingress gathers novelties for so long
	tick     time.Duration // between looks at what is due
	beat     time.Duration // between heartbeats, and signs of life of subscribers
	silence  time.Duration // an upstream is asked again after so long without a word
	expire   time.Duration // subscribers and snapshots are forgotten, and idle stations end
	request  time.Duration // bounds one request
	backoff  time.Duration // the longest pause after failures
	run      time.Duration // bounds one run of a process
}

var usual = timing{
	coalesce: 2 * time.Millisecond,
	tick:     100 * time.Millisecond,
	beat:     500 * time.Millisecond,
	silence:  2 * time.Second,
	expire:   10 * time.Second,
	request:  10 * time.Second,
	backoff:  2 * time.Second,
	run:      time.Minute,
}

// NodeKind is the kind of the ids by which operators are placed; all silos host it.
const NodeKind = "dataflow.node"

func stationID(node string) wire.ID { return wire.NewID(NodeKind, node) }

// peers is how a node reaches stations, its own without the network.
type peers struct {
	views     *view.Holder
	transport Transport
	self      view.SiloID // "" for a client
	serve     func(ctx context.Context, from string, payload []byte) ([]byte, error)
	local     chan []byte // notifications to this node itself; what finds no room is dropped, and found missing
}

// localQueue is how many notifications to the node itself wait.
const localQueue = 4096

var errNoOwner = errors.New("no silo is up in the view")

func (p *peers) owner(node string) (view.Member, error) {
	v := p.views.Current()
	if v == nil {
		return view.Member{}, errNoOwner
	}
	silo, ok := v.Owner(stationID(node))
	if !ok {
		return silo, errNoOwner
	}
	return silo, nil
}

// selfAddr is the address of a silo's own.
func (p *peers) selfAddr() string {
	if v := p.views.Current(); v != nil && p.self != "" {
		s, _ := v.Member(p.self)
		return s.Addr
	}
	return ""
}

func (p *peers) request(ctx context.Context, to view.Member, m *message) (*message, error) {
	var b []byte
	var err error
	if to.ID == p.self {
		b, err = p.serve(ctx, to.Addr, m.append(nil))
	} else {
		b, err = p.transport.Request(ctx, to.ID, m.append(nil))
	}
	if err != nil {
		return nil, err
	}
	answer, err := decodeMessage(b)
	if err != nil {
		return nil, fmt.Errorf("the answer of silo %s: %w", to.Addr, err)
	}
	return answer, nil
}

// notify sends; a message that is lost is found missing by whoever waits for it.
func (p *peers) notify(addr string, payload []byte) {
	if addr == p.selfAddr() && p.self != "" {
		select {
		case p.local <- payload:
		default:
		}
		return
	}
	_ = p.transport.NotifyAt(addr, payload)
}
