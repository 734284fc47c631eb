// Package mixed is a message of ten fields of different types, which grainc's encoders and those of package
// proto both know. The bytes are the same: the two can read each other.
package mixed

import (
	"context"
	"time"

	"github.com/martinelli-go/martinelli/grains"
)

//go:generate go tool grainc .
//go:generate protoc --go_out=. --go_opt=paths=source_relative mixed.proto

// Order has the ten fields; mixed.proto says the same.
type Order struct {
	ID      string
	Comment string
	Count   int64
	Paid    bool
	Price   float64
	Photo   []byte
	At      time.Time
	Place   Place
	Scores  []int64
	Lines   []Line
}

// Place is where an Order goes.
type Place struct {
	Country   string
	Lat, Long float64
}

// Line is one thing that is ordered.
type Line struct {
	Name   string
	Amount int32
	Price  float64
}

// Echo is a grain that answers what it is asked.
type Echo interface {
	grains.Keyed[string]
	// Order returns o.
	Order(ctx context.Context, o Order) (Order, error)
}
