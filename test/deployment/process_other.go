//go:build !linux

package deployment

import "syscall"

func attributes() *syscall.SysProcAttr { return nil }
