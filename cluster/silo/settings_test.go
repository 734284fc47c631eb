package silo

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A clock that was set back must not make a run look older than the one before it.
func TestIncarnationsGrow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]Config{
		"on disk":   {DataDir: dir, Memory: NewMemory()},
		"in memory": {Memory: NewMemory()},
	} {
		now := time.Now()
		first, err := c.mintIncarnation(now)
		require.NoError(t, err, name)
		if c.DataDir != "" {
			c.Memory = NewMemory() // another process
		}
		second, err := c.mintIncarnation(now.Add(-time.Hour))
		require.NoError(t, err, name)
		require.Greater(t, second, first, name)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "incarnation"), []byte("rubbish"), 0o644))
	_, err := Config{DataDir: dir, Memory: NewMemory()}.mintIncarnation(time.Now())
	require.ErrorContains(t, err, "DataDir")
}
