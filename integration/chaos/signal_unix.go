//go:build unix

package main

import (
	"os"
	"syscall"
)

// Signals that no process can be deaf to.
const (
	sigStop = syscall.SIGSTOP
	sigCont = syscall.SIGCONT
)

// stopSelf stops this process, until somebody lets it go on.
func stopSelf() error { return syscall.Kill(os.Getpid(), syscall.SIGSTOP) }
