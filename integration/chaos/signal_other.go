//go:build !unix

package main

import (
	"errors"
	"syscall"
)

// There is nothing like them here; to send them fails.
const (
	sigStop = syscall.Signal(-1)
	sigCont = syscall.Signal(-1)
)

func stopSelf() error { return errors.ErrUnsupported }
