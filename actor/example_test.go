package actor_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/martinelli-go/martinelli/actor"
)

func Example() {
	ctx := context.Background()
	var network actor.Network
	const greet actor.Service = 1

	b, err := actor.Start(actor.Config{Network: &network, Addr: "b"})
	if err != nil {
		panic(err)
	}
	b.Handle(greet, func(_ context.Context, from actor.Peer, name []byte) ([]byte, error) {
		return fmt.Appendf(nil, "hello %s at %s", name, from.Addr), nil
	})

	a, err := actor.Start(actor.Config{Network: &network, Addr: "a"})
	if err != nil {
		panic(err)
	}
	answer, err := a.Request(ctx, "b", greet, []byte("Ada"))
	fmt.Println(string(answer), err)

	network.Kill("b")
	_, err = a.Request(ctx, "b", greet, []byte("Ada"))
	fmt.Println(errors.Is(err, actor.ErrNotExecuted), err)
	// Output:
	// hello Ada at a <nil>
	// true request to service 1 of b: not executed: not sent: no node at this address
}
