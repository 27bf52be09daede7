//go:build !linux

package deployment

import "syscall"

// Attributes are those of a process of a test.
func Attributes() *syscall.SysProcAttr { return nil }

// PeakMemory is known on Linux only.
func (d *Deployment) PeakMemory(string) int64 { return 0 }
