package process

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// User is whom a process runs as. The zero value is the user of this process.
type User struct {
	Name     string
	UID, GID uint32
	Switch   bool // false: stay who we are
}

// ID is the number of the user.
func (u User) ID() uint32 {
	if u.Switch {
		return u.UID
	}
	return uint32(os.Geteuid())
}

// OwnerOf is the user whose a file is: every file on Linux has one.
func OwnerOf(info os.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }

// IsOurs tells a file that this process' user has, and that has no other name, from what
// somebody else has put in its place.
func IsOurs(info os.FileInfo) bool {
	return info.Mode().IsRegular() && info.Sys().(*syscall.Stat_t).Nlink == 1 && OwnerOf(info) == uint32(os.Geteuid())
}

// AsUser runs f with the user's rights to files. They hold for the thread that
// f runs on, which is used for nothing else after; f must not start goroutines.
func AsUser(user User, f func() error) error {
	if !user.Switch {
		return f()
	}
	return onOwnThread(func() error {
		// The raw system calls, for Go's own change every thread. Without
		// the root user the kernel drops root's rights to override, too.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
			return fmt.Errorf("give up root's groups: %w", errno)
		}
		for _, change := range []struct {
			call uintptr
			id   uint32
		}{{unix.SYS_SETFSGID, user.GID}, {unix.SYS_SETFSUID, user.UID}} {
			_, _, _ = unix.RawSyscall(change.call, uintptr(change.id), 0, 0)
			// It answers with the former id, and tells no error.
			if now, _, _ := unix.RawSyscall(change.call, ^uintptr(0), 0, 0); uint32(now) != change.id {
				return fmt.Errorf("take on the rights of user %s", user.Name)
			}
		}
		return f()
	})
}
