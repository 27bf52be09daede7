//go:build !linux

package bench

import (
	"errors"
	"syscall"
)

// attributes returns the attributes of a server's process. An interrupt of the terminal does
// not reach the servers, which are stopped in order.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// settle does nothing: this system has no call that syncs one file system.
func settle(string) error { return nil }

// inMemory returns false: this system does not say.
func inMemory(string) bool { return false }

// processUsage fails: this system does not say.
func processUsage(int) (Usage, error) { return Usage{}, errors.ErrUnsupported }
