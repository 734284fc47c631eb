package host

import (
	"fmt"

	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// outputs holds what processes wrote last, to which variable each: a process that has moved, or begun
// again, goes on by difference to it.
var outputs = variable.By[string](variable.Register[string]("dataflow.outputs"))

// OutputsKind is the hidden family that silos host for processes besides what they are given.
func OutputsKind() wire.Kind {
	return variable.RegisterKindBy(outputs, wire.Codec[string]{
		Append: func(b []byte, v string) []byte { return append(b, v...) },
		Decode: func(b []byte) (string, error) { return string(b), nil },
	})
}

// outputKey names what the process writes, for its key, to a variable. Names of kinds have no zero byte.
func outputKey(process, key string, variable wire.ID) string {
	return fmt.Sprintf("%s\x00%s\x00%d:%s%s", process, variable.Kind(), len(key), key, variable.Key())
}
