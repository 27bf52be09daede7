//go:build !linux

package deployment

import "syscall"

func attributes() *syscall.SysProcAttr { return nil }

// PeakMemory is known on Linux only.
func (d *Deployment) PeakMemory(string) int64 { return 0 }
