//go:build !linux

package deployment

// PeakMemory is known on Linux only.
func (d *Deployment) PeakMemory(string) int64 { return 0 }
