// Command hello is one grain on one silo.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/martinelli-go/martinelli/cluster/silo"
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
	times int // since the grain was activated
}

func (g *greeter) Hello(context.Context) (string, error) {
	g.times++
	return fmt.Sprintf("Hello %s, for the %d. time", g.Key(), g.times), nil
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) (err error) {
	s, err := silo.Start(ctx, silo.Config{Grains: Grains()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop(ctx)) }()
	for range 2 {
		text, err := GetGreeter(s, "Ada").Hello(ctx)
		if err != nil {
			return err
		}
		fmt.Println(text)
	}
	return nil
}
