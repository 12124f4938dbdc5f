package sidecar

import (
	"os"
	"path/filepath"
)

// The directories of an allocation are open to its tasks, which can put links there: no
// link leads out of the directory below which something is opened.

// OpenBelow opens a path below root.
func OpenBelow(root, path string, flag int) (*os.File, error) {
	r, rel, err := openRoot(root, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return r.OpenFile(rel, flag, 0)
}

// RootBelow opens a directory below root, for what is below it.
func RootBelow(root, dir string) (*os.Root, error) {
	r, rel, err := openRoot(root, dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return r.OpenRoot(rel)
}

// openRoot gives the path as it is from root.
func openRoot(root, path string) (r *os.Root, rel string, err error) {
	if rel, err = filepath.Rel(root, path); err != nil {
		return nil, "", err
	}
	r, err = os.OpenRoot(root)
	return r, rel, err
}
