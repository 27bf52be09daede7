package deployment

import (
	"encoding/json"
	"os"
	"path/filepath"

	"laneway.dev/internal/objectstore"
	"laneway.dev/test/s3server"
)

// storeVariable is the environment variable that chooses the object store of every deployment
// whose options name none. With "s3", the store is a bucket of an S3 server that is started for
// the deployment. Without a value, it is a folder.
const storeVariable = "LANEWAY_TEST_STORE"

// chooseStore determines where the object store is, and starts its server if it needs one.
func (d *Deployment) chooseStore() {
	d.t.Helper()
	switch chosen := os.Getenv(storeVariable); {
	case d.Kind == Running:
	case d.options.Store != "":
		d.Store = d.options.Store
	case chosen == "":
		d.objects = filepath.Join(d.folder, "objects")
		d.Store = "file://" + d.objects
	case chosen == "s3":
		d.s3 = s3server.Start(d.t)
		d.objects = filepath.Join(d.s3.Folder, "objects")
		d.Store = d.s3.Location("objects")
	default:
		d.t.Fatalf("%s is %q; it can be s3, or empty for a folder", storeVariable, chosen)
	}
}

// StoreBeside returns the location of another store of the same kind.
func (d *Deployment) StoreBeside(name string) string {
	if d.s3 != nil {
		return d.s3.Location(name)
	}
	return filepath.Join(d.folder, name)
}

// Objects returns the folder in which the key of an object is the path of its file. The S3
// server keeps a file for each object as well, so tests can damage what it serves. It is for
// deployments whose options name no store.
func (d *Deployment) Objects() string {
	d.t.Helper()
	if d.s3 == nil {
		return d.objects
	}
	// In a bucket, the keys of each cluster are below its id.
	var marker struct{ Cluster string }
	content, err := os.ReadFile(filepath.Join(d.objects, objectstore.MarkerName))
	if err == nil {
		err = json.Unmarshal(content, &marker)
	}
	if err != nil || marker.Cluster == "" {
		d.t.Fatalf("the marker of the store names no cluster: %q, %v", content, err)
	}
	return filepath.Join(d.objects, marker.Cluster)
}
