package discovery

import (
	"context"
	"iter"
	"slices"
	"strings"
)

// Static is a list that does not change, in the order in which it was written.
type Static []string

// Seeds returns the list.
func (s Static) Seeds(context.Context) ([]string, error) {
	if len(s) == 0 {
		return nil, &SourceError{"a list", ErrNone, "write at least one host:port into it"}
	}
	return slices.Clone(s), nil
}

// Watch yields the list, once.
func (s Static) Watch(ctx context.Context) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		if yield(s.Seeds(ctx)) {
			<-ctx.Done()
		}
	}
}

func (s Static) String() string { return strings.Join(s, ",") }
