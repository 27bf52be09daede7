package machine

import (
	"errors"
	"os"
	"path/filepath"
)

// Root returns the folder of the repository.
func Root() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "cmd", "laneway", "main.go")); err == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("this is not run within the repository of Laneway")
		}
		folder = parent
	}
}

// Binary returns the path of a binary in bin: laneway, nats, nats-server or versitygw.
func Binary(name string) string {
	root, err := Root()
	if err != nil {
		panic(err) // nothing could have been built
	}
	return filepath.Join(root, "bin", name)
}
