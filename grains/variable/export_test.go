package variable

import "github.com/martinelli-go/martinelli/crdt/flow"

// CounterElement is the codec of a counter's value in graphs.
var CounterElement = flow.CounterElements().Codec()
