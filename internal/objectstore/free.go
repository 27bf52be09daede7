package objectstore

import "golang.org/x/sys/unix"

// freeSpace returns how many bytes the file system of a folder has left for
// processes without privileges.
func freeSpace(folder string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(folder, &stat); err != nil {
		return 0, err
	}
	return int64(stat.Bavail) * int64(stat.Bsize), nil
}
