// Package hall passes references to grains of another package on, and its methods' directives are another's.
package hall

import (
	"context"

	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/guild"
	"github.com/martinelli-go/martinelli/grains"
)

// Hall is where they meet.
type Hall interface {
	grains.Keyed[string]
	guild.Named
	Enter(ctx context.Context, m guild.Member) (guild.Master, error)
	Seat(ctx context.Context, who []guild.Member, c guild.Charter) error
}
