package process

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// User is whom a process runs as. The zero value is the user of this process.
type User struct {
	Name     string
	UID, GID uint32
	Switch   bool // false: stay who we are
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
