package grains

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

type user interface{ GrainID() ID }

// A kind is named by the package's name, and one of a command by the last element of the command's path.
func TestKindsHaveTheNamesThatGraincGivesThem(t *testing.T) {
	t.Parallel()
	require.Equal(t, "grains.user", kindOf(reflect.TypeFor[user]()))
	require.Equal(t, "hello.Greeter", kindOf(inCommand{reflect.TypeFor[user]()}))
}

// inCommand is a type of the command hello.
type inCommand struct{ reflect.Type }

func (inCommand) PkgPath() string { return "example.org/hello" }
func (inCommand) Name() string    { return "Greeter" }
func (inCommand) String() string  { return "main.Greeter" }
