package envoy

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
)

// secretFile gives a file that lies nowhere: it is memory of the processes
// that have it open, and the user's alone.
func secretFile(name string, content []byte, user process.User) (*os.File, error) {
	fd, err := memfd(name)
	if err != nil {
		return nil, fmt.Errorf("make a memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := fillSecret(f, content, user); err != nil {
		return nil, errors.Join(fmt.Errorf("write the bootstrap to memory: %w", err), f.Close())
	}
	return f, nil
}

// memfd makes one that nobody can execute, where the kernel knows how (Linux 6.3): some
// machines have it make no other.
func memfd(name string) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		return unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	return fd, err
}

func fillSecret(f *os.File, content []byte, user process.User) error {
	if err := f.Chmod(0o400); err != nil {
		return err
	}
	if user.Switch {
		if err := f.Chown(int(user.UID), int(user.GID)); err != nil {
			return err
		}
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	_, err := f.Seek(0, 0)
	return err
}
