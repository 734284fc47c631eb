//go:build !unix

package consensus

// lockDir does nothing where there is no flock: silos in production run on
// Linux, and development elsewhere must take care of itself.
func lockDir(string) (unlock func() error, err error) {
	return func() error { return nil }, nil
}
