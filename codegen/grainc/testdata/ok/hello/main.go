// Command hello is one grain on one silo.
package main

import (
	"context"
	"fmt"

	"github.com/martinelli-go/martinelli/grains"
)

//go:generate go tool grainc .

// Greeter greets; its key is the name of who is greeted.
type Greeter interface {
	grains.Keyed[string]
	Hello(ctx context.Context) (string, error)
}

type greeter struct {
	grains.Implements[Greeter]
	times int // since the silo started
}

func (g *greeter) Hello(context.Context) (string, error) {
	g.times++
	return fmt.Sprintf("Hello %s, for the %d. time", g.Key(), g.times), nil
}

func main() { _ = Grains }
