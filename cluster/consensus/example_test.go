package consensus_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"

	"github.com/martinelli-go/martinelli/cluster/consensus"
)

// sum is a state machine that adds up numbers.
type sum struct{ total uint64 }

func (s *sum) Apply(_ uint64, entry []byte) []byte {
	n, _ := binary.Uvarint(entry)
	s.total += n
	return fmt.Appendf(nil, "%d", s.total)
}

func (s *sum) Snapshot() (func(io.Writer) error, error) {
	total := s.total
	return func(w io.Writer) error { return binary.Write(w, binary.BigEndian, total) }, nil
}

func (s *sum) Restore(r io.Reader) error { return binary.Read(r, binary.BigEndian, &s.total) }

func Example() {
	ctx := context.Background()
	store, err := consensus.OpenStore("") // a data directory, or nothing for memory
	if err != nil {
		panic(err)
	}
	defer func() { _ = store.Close() }()

	// A list of one founds a cluster of one; longer lists need somebody to ask.
	founders, cluster, err := consensus.Found(ctx, store, "silo-1", []string{"silo-1"}, nil)
	if err != nil {
		panic(err)
	}
	g, err := consensus.Open(ctx, consensus.Config{
		Self: founders[0], Founders: founders, ClusterID: cluster,
		Network: &consensus.Network{}, FSM: &sum{}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = g.Close() }()

	if _, err := g.AwaitLeader(ctx); err != nil {
		panic(err)
	}
	for _, n := range []uint64{3, 4} {
		total, err := g.Propose(ctx, binary.AppendUvarint(nil, n))
		fmt.Println(string(total), err)
	}
	at, err := g.ReadIndex(ctx)
	fmt.Println("position", at, err)
	// Output:
	// 3 <nil>
	// 7 <nil>
	// position 2 <nil>
}
