package sidecar

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
)

// logPipeSize is how much of a log waits for a reader: the most that
// Linux gives to everybody.
const logPipeSize = 1 << 20

// openLog opens where the program's output goes: a FIFO in the allocation's directory,
// or /dev/null. Other tasks can write to that directory, so nothing else is
// opened in its place. The FIFO is opened for reading, too, so that it always
// has a reader and the program never gets EPIPE when Nomad's is away; it never blocks;
// and it holds a megabyte before lines are lost. It is given to the user, who has it open
// anyhow: a program opens it again by the name /dev/stdout.
func openLog(root, path string, user process.User) (*os.File, error) {
	if path == os.DevNull {
		return os.OpenFile(path, os.O_WRONLY, 0)
	}
	f, err := OpenBelow(root, path, os.O_RDWR|unix.O_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open the task's log: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode()&fs.ModeNamedPipe == 0 {
		err = fmt.Errorf("%s is not the FIFO that Nomad made", path)
	}
	if err == nil && user.Switch {
		err = f.Chown(int(user.UID), int(user.GID))
	}
	if err == nil {
		// Less room is no reason to fail.
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, logPipeSize)
		// Fd may have made the description blocking, and the program inherits it.
		err = syscall.SetNonblock(int(f.Fd()), true)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the task's log: %w", err), f.Close())
	}
	return f, nil
}
