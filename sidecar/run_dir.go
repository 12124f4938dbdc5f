package sidecar

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
)

// The run directory lies in one that is open to all tasks of the allocation: they can move
// it away, and put another or a link in its place. Whoever uses it opens it here.

// OpenDir opens the run directory: the user's, below the directory of the allocation.
func (r Run) OpenDir() (*os.File, error) {
	d, err := OpenBelow(r.Root, r.Dir, os.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, fmt.Errorf("open the run directory: %w", err)
	}
	if owner, err := ownerOf(d); err != nil || owner != r.User.ID() {
		return nil, errors.Join(fmt.Errorf("%s is the directory of user %d, and that of the proxy was user %d's: somebody has put another in its place; stop the allocation, and see which of its tasks does that", r.Dir, owner, r.User.ID()), err, d.Close())
	}
	return d, nil
}

func ownerOf(f *os.File) (uint32, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return process.OwnerOf(info), nil
}

// Link makes a symbolic link in the run directory.
func (r Run) Link(target, name string) (err error) {
	d, err := r.OpenDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := unix.Symlinkat(target, int(d.Fd()), name); err != nil {
		return &os.LinkError{Op: "symlink", Old: target, New: filepath.Join(r.Dir, name), Err: err}
	}
	return nil
}

// around opens the directory that the run directory is in.
func (r Run) around() (*os.Root, error) {
	return RootBelow(r.Root, filepath.Dir(r.Dir))
}

// makeDir makes the run directory: nobody else may look into it.
func (r Run) makeDir() error {
	around, err := r.around()
	if err != nil {
		return fmt.Errorf("make the run directory: %w", err)
	}
	defer func() { _ = around.Close() }()
	name := filepath.Base(r.Dir)
	// What an earlier run of this very task left behind goes first.
	if err := around.RemoveAll(name); err != nil {
		return fmt.Errorf("clear the run directory: %w", err)
	}
	if err := around.Mkdir(name, 0o700); err != nil {
		return fmt.Errorf("make the run directory: %w", err)
	}
	if err := r.give(around, name); err != nil {
		return errors.Join(fmt.Errorf("give the run directory to %s: %w", r.User.Name, err), around.RemoveAll(name))
	}
	return nil
}

// give gives the user the directory that was just made, and no other: one that somebody
// has put in its place is not ours, or not empty.
func (r Run) give(around *os.Root, name string) (err error) {
	d, err := around.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	owner, err := ownerOf(d)
	if err != nil {
		return err
	}
	if _, err := d.Readdirnames(1); owner != uint32(os.Geteuid()) || !errors.Is(err, io.EOF) {
		return fmt.Errorf("somebody has put another directory (of user %d) in the place of %s; see which of the allocation's tasks does that", owner, r.Dir)
	}
	if err := r.sign(d); err != nil || !r.User.Switch {
		return err
	}
	return d.Chown(int(r.User.UID), int(r.User.GID))
}

// signature is the file by which a run directory is known. Its user can remove it, but
// cannot make one: it is the plugin's, and says where it belongs.
const signature = ".run-dir"

func (r Run) sign(d *os.File) error {
	fd, err := unix.Openat(int(d.Fd()), signature, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o400)
	if err != nil {
		return fmt.Errorf("sign it: %w", err)
	}
	f := os.NewFile(uintptr(fd), signature)
	_, err = f.WriteString(r.Dir)
	return errors.Join(err, f.Close())
}

// RemoveDir removes the run directory, whatever has become of it.
func (r Run) RemoveDir() error {
	around, err := r.around()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove the run directory: %w", err)
	}
	defer func() { _ = around.Close() }()
	return around.RemoveAll(filepath.Base(r.Dir))
}

// ErrForeign says that a directory is none that a sidecar has made for itself.
var ErrForeign = errors.New("it is not the directory of a sidecar of this driver")

// FindRun finds a run of which only the directory is left, below that of its allocation:
// the directory tells whose it is. The error is ErrForeign for one that nobody has signed.
func FindRun(root, dir string, switches bool) (r Run, err error) {
	r = Run{Root: root, Dir: dir, User: process.User{Switch: switches}}
	d, err := OpenBelow(root, dir, os.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if r.User.UID, err = ownerOf(d); err != nil {
		return r, err
	}
	return r, r.isSigned(d)
}

func (r Run) isSigned(d *os.File) error {
	fd, err := unix.Openat(int(d.Fd()), signature, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return ErrForeign
	}
	f := os.NewFile(uintptr(fd), signature)
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !process.IsOurs(info) {
		return ErrForeign
	}
	var says strings.Builder
	if _, err := io.Copy(&says, io.LimitReader(f, unix.PathMax)); err != nil || says.String() != r.Dir {
		return errors.Join(ErrForeign, err)
	}
	return nil
}
