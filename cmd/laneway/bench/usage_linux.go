package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// processUsage returns what a process has taken since its start.
func processUsage(pid int) (Usage, error) {
	file := fmt.Sprintf("/proc/%d/stat", pid)
	stat, err := os.ReadFile(file)
	if err != nil {
		return Usage{}, err
	}
	used, err := parseStat(string(stat), os.Getpagesize())
	if err != nil {
		return Usage{}, fmt.Errorf("%s: %w", file, err)
	}
	return used, nil
}

// parseStat reads a line of /proc/PID/stat. The second field is a name in parentheses, which may
// have spaces and parentheses in it.
func parseStat(line string, page int) (Usage, error) {
	const (
		ticks        = 100            // a second, on every Linux
		user, system = 14 - 3, 15 - 3 // of the fields behind the name
		resident     = 24 - 3         // in pages
	)
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) <= resident {
		return Usage{}, fmt.Errorf("%q has too few fields", line)
	}
	var numbers [3]int64
	for i, at := range []int{user, system, resident} {
		var err error
		if numbers[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return Usage{}, err
		}
	}
	return Usage{CPUSeconds: float64(numbers[0]+numbers[1]) / ticks, MemoryBytes: numbers[2] * int64(page)}, nil
}
