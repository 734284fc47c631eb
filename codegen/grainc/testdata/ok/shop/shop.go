// Package shop is what clients see of a grain that another package implements.
package shop

import (
	"context"
	"errors"

	"github.com/martinelli-go/martinelli/grains"
)

//go:generate go tool grainc -proto shop.proto .

// ErrClosed keeps its identity.
var ErrClosed = errors.New("the till is closed")

// Short is an error with what is missing.
type Short struct{ Cents int64 }

func (e *Short) Error() string { return "too little" }

// Unfit is an error by value and by pointer.
type Unfit struct{ Why error }

func (e Unfit) Error() string { return e.Why.Error() }

// Receipt is a result.
type Receipt struct {
	Lines []Line
	Sum   int64
}

// Line is a line of it.
type Line struct {
	Text  string
	Cents int64
}

// Till takes money; its key is its number.
type Till interface {
	grains.Keyed[int64]
	Pay(ctx context.Context, cents int64, text string) error
	Receipt(ctx context.Context) (Receipt, error)
}
