//go:build !linux

package machine

import "syscall"

// Attributes are those of a process of a test.
func Attributes() *syscall.SysProcAttr { return nil }
