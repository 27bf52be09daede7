//go:build !linux

package bench

import "syscall"

// attributes keep an interrupt of the terminal away from the servers, which are
// stopped in order.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// settle has no call of its own on this system for one file system.
func settle(string) error { return nil }

// inMemory cannot be told on this system.
func inMemory(string) bool { return false }
