package discovery_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/martinelli-go/martinelli/cluster/discovery"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "silos")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "silos")
	withdraw, err := discovery.File{Path: path}.Announce(ctx, "10.0.0.1:7000") // by a silo
	if err != nil {
		panic(err)
	}
	source, err := discovery.Parse("file:" + path) // by a client
	if err != nil {
		panic(err)
	}
	fmt.Println(source.Seeds(ctx))
	fmt.Println(withdraw(ctx))
	// Output:
	// [10.0.0.1:7000] <nil>
	// <nil>
}
