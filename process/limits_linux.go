package process

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// setLimits lets a process open as many files as it could let itself, and leave no core:
// that would hold its secrets. It does not matter when the process is gone by now.
func setLimits(pid int) error {
	var files unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &files); err != nil {
		return tolerated("read its limit of open files", err)
	}
	files.Cur = files.Max
	return errors.Join(
		tolerated("raise its limit of open files", unix.Prlimit(pid, unix.RLIMIT_NOFILE, &files, nil)),
		tolerated("forbid it to leave a core", unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)),
	)
}

func tolerated(doing string, err error) error {
	if err == nil || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EPERM) { // EPERM: an agent without CAP_SYS_RESOURCE
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
