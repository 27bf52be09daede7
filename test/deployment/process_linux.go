package deployment

import (
	"fmt"
	"os"
	"strings"
)

// PeakMemory returns the most memory that the process of a role has ever had
// resident, in bytes.
func (d *Deployment) PeakMemory(role string) int64 {
	d.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.member(role).command.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscan(line, &kilobytes); err != nil {
		d.t.Fatalf("the peak of the memory of %s: %v", role, err)
	}
	return kilobytes << 10
}
