package child

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTailKeepsTheEnd(t *testing.T) {
	t.Parallel()
	var l tail
	for range 3 * tailSize / 10 {
		_, err := l.Write([]byte("0123456789"))
		require.NoError(t, err)
	}
	_, err := l.Write([]byte("end"))
	require.NoError(t, err)
	require.Len(t, l.String(), tailSize)
	require.Contains(t, l.String(), "9end")
}
