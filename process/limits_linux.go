package process

import (
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// setLimits has all that we start open as many files as it could let itself, and leave no
// core: that would hold its secrets. They are our own limits, from which children have
// theirs: to change those of another process takes a right that agents in containers often
// do not have. (Go raises the first one for itself, and gives children the former one
// unless it was set by package syscall.)
var setLimits = sync.OnceValue(func() error {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	files.Cur = files.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("raise the limit of open files to %d: %w", files.Max, err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid cores: %w", err)
	}
	return nil
})
