package commit

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func requireCurrent(t *testing.T, v *Versions, want Attempt, tentative bool) {
	t.Helper()
	got, known := v.Current()
	require.True(t, known)
	require.Equal(t, want, got)
	require.Equal(t, tentative, v.Tentative())
}

func requireUnknown(t *testing.T, v *Versions) {
	t.Helper()
	_, known := v.Current()
	require.False(t, known)
}

func TestVersionsAreNamedBeforeTheyAreDecided(t *testing.T) {
	t.Parallel()
	a, b, c := attempt(1, 1, 1), attempt(2, 1, 1), attempt(3, 1, 1)
	var v Versions
	requireUnknown(t, &v)
	require.False(t, v.Submitted(a), "nothing is known that it could have read")
	require.True(t, v.Loaded(Attempt{}))
	requireCurrent(t, &v, Attempt{}, false)
	require.True(t, v.Submitted(a))
	require.True(t, v.Submitted(b))
	requireCurrent(t, &v, b, true)
	require.False(t, v.Loaded(a), "a load that comes late tells nothing new")
	require.True(t, v.Finished(b, true, false), "and with it what it was built upon")
	requireCurrent(t, &v, b, false)
	require.True(t, v.Finished(a, true, false))
	require.True(t, v.Submitted(c))
	require.True(t, v.Finished(b, true, false))
	requireCurrent(t, &v, c, true)
}

func TestASuccessorFailsWithItsPredecessor(t *testing.T) {
	t.Parallel()
	a, b := attempt(1, 1, 1), attempt(2, 1, 1)
	var v Versions
	v.Loaded(Attempt{})
	v.Submitted(a)
	v.Submitted(b)
	require.False(t, v.Finished(a, false, false))
	requireUnknown(t, &v)
	require.False(t, v.Submitted(attempt(3, 1, 1)))
	require.True(t, v.Loaded(Attempt{}))
	require.True(t, v.Finished(b, false, false), "it is gone already")
	requireCurrent(t, &v, Attempt{}, false)
}

func TestAStaleReadMakesTheVersionUnknown(t *testing.T) {
	t.Parallel()
	var v Versions
	v.Loaded(attempt(1, 1, 1))
	require.True(t, v.Finished(attempt(2, 1, 1), false, false), "aborted for another's sake")
	require.False(t, v.Finished(attempt(2, 1, 2), false, true))
	requireUnknown(t, &v)
}
