// Package files tells files apart.
package files

import "syscall"

// Stamp tells a file from another at its path, and from itself before it was changed. It is
// zero where there is none.
type Stamp struct {
	device, inode           uint64
	size, modified, changed int64
}

// StampOf looks at what a path leads to.
func StampOf(path string) Stamp {
	var stat syscall.Stat_t
	if path == "" || syscall.Stat(path, &stat) != nil {
		return Stamp{}
	}
	return Stamp{stat.Dev, stat.Ino, stat.Size, stat.Mtim.Nano(), stat.Ctim.Nano()}
}
