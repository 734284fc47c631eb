// Package rich has a value of every type that can be encoded.
package rich

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains"
)

//go:generate go tool grainc -proto rich.proto .

type (
	Flag   bool
	Small  int8
	Amount uint16
	Name   string
	Blob   []byte
	Digest [32]byte
	Grid   [2][3]int32
	Names  []Name
	Level  int
)

// Everything is encoded.
type Everything struct {
	Bool      bool
	Flag      Flag
	Int       int
	Small     Small
	Uint      uint64
	Amount    Amount
	F32       float32
	F64       float64
	String    string
	Name      Name
	Bytes     []byte
	Blob      Blob
	Digest    Digest
	Hash      [4]byte
	When      time.Time
	Long      time.Duration
	Grid      Grid
	Two       [2]Inner
	Names     Names
	Levels    []Level
	Floats    []float64
	Flags     []Flag
	Blobs     [][]byte
	Digests   []Digest
	Times     []time.Time
	Inners    []Inner
	Pointers  []*Inner
	Nested    [][]int
	Map       map[Name]int
	Keyed     map[Point]map[string]Inner
	Inner     Inner
	Pointer   *Inner
	Number    *int
	Deep      **string
	Tree      *Tree
	Forest    Forest
	Err       error
	Errs      []error
	Proto     *durationpb.Duration
	Protos    []*durationpb.Duration
	Pair      flow.Pair[Name, int]
	Empty     struct{}
	MapOfMany map[int8][]string
	Inner2
}

// Inner is inside.
type Inner struct {
	A int
	B []string
}

// Inner2 is embedded.
type Inner2 struct{ C *time.Time }

// Point is a key.
type Point struct{ X, Y int }

// Tree is recursive through slice and map.
type Tree struct {
	Value int
	Kids  []Tree
	Named map[string]*Tree
}

// Forest is recursive without a struct.
type Forest []Forest

// ID is a key of 16 bytes.
type ID [16]byte

// ErrRich is known.
var ErrRich error = Sad{1}

// Sad is an error by value.
type Sad struct{ N int }

func (s Sad) Error() string { return "sad" }

// Wrapped holds another error.
type Wrapped struct{ Err error }

func (w *Wrapped) Error() string { return "wrapped: " + w.Err.Error() }

// Rich takes and gives everything.
type Rich interface {
	grains.Keyed[ID]
	Base
	Echo(ctx context.Context, e Everything) (Everything, error)
	Many(ctx context.Context, a int, b []Inner, c *Tree, _ error, when time.Time) (map[string]Everything, error)
	Plain(ctx context.Context) error
	Scalar(ctx context.Context, n Level) (time.Duration, error)
	Time(ctx context.Context, t time.Time) (error, error)
}

// Base is embedded.
type Base interface {
	Ping(ctx context.Context) error
}
