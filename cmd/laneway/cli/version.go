package cli

import "runtime/debug"

// Version returns the version of this binary.
func Version() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		return build.Main.Version
	}
	return "(unknown)"
}
