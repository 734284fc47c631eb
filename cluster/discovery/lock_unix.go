//go:build unix

package discovery

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks a file until unlock is called or the process ends. The file stays: to remove it would let a
// third lock another one of that name.
func tryLock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errLocked
		}
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // nothing was written to it
}

// stuckLock says what to do about a lock that does not come free.
func stuckLock(path string) string { return "find the process that holds " + path + " open" }
