//go:build !unix

package discovery

import (
	"errors"
	"io/fs"
	"os"
)

// tryLock creates a file that must not be there, until unlock removes it.
func tryLock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil, errLocked
	}
	if err != nil {
		return nil, err
	}
	return func() { _ = errors.Join(f.Close(), os.Remove(path)) }, nil
}

// stuckLock says what to do about a lock that does not come free.
func stuckLock(path string) string { return "remove " + path + " if the process that made it is gone" }
