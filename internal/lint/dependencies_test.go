package lint

import (
	"os/exec"
	"strings"
	"testing"
)

// Users of pkg must not download the SDKs of clouds, and services are given their store.
func TestOnlyCommandsDependOnCloudSDKs(t *testing.T) {
	for _, packages := range []string{"./pkg/...", "./services/...", "./internal/objectstore", "./internal/storeid", "./internal/storecheck", "./internal/repair", "./internal/recovery"} {
		for _, dependency := range dependencies(t, packages) {
			if isCloudSDK(dependency) {
				t.Errorf("%s depends on %s", packages, dependency)
			}
		}
	}
	found := false
	for _, dependency := range dependencies(t, "./cmd/laneway") {
		found = found || isCloudSDK(dependency)
	}
	if !found {
		t.Error("no SDK is recognized among the dependencies of the command")
	}
}

func dependencies(t *testing.T, packages string) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", packages)
	list.Dir = root
	output, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(output))
}

func isCloudSDK(dependency string) bool {
	for _, prefix := range []string{"github.com/aws/", "github.com/Azure/", "google.golang.org/api/", "cloud.google.com/"} {
		if strings.HasPrefix(dependency, prefix) {
			return true
		}
	}
	return false
}
