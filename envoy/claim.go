package envoy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// ClaimSharedMemory finds a base ID that no other Envoys of the machine have, and
// proves that there will be room for the memory, before the first generation: it
// would die of SIGBUS without. Envoy makes the file anew, which its user must be
// able to. The error says what is in the way.
func ClaimSharedMemory(run sidecar.Run) (base uint32, err error) {
	base = firstBaseID(run.Dir)
	for range maxClaims {
		memory := sharedMemoryOf(base)
		err := memory.claim(run.Dir, run.User)
		if err == nil {
			return base, run.Link(string(memory), sharedMemoryLink)
		}
		if !errors.Is(err, errTaken) {
			return 0, err
		}
		base = (base + 1 + rand.Uint32N(maxBaseID-1)) % maxBaseID // nobody takes all that could be next
	}
	return 0, fmt.Errorf("find a base ID for hot restarts: %d and %d others are taken in %s; remove what nobody uses there", firstBaseID(run.Dir), maxClaims-1, sharedMemoryDir)
}

// maxClaims is far more than ever are needed.
const maxClaims = 64

// errTaken says that other Envoys use the memory.
var errTaken = errors.New("it is used by other Envoys")

func (m SharedMemory) claim(dir string, user process.User) (err error) {
	f, err := os.OpenFile(string(m), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if taken, err := m.isTaken(dir); taken || err != nil {
			return errors.Join(err, errTaken)
		}
		if err := m.remove(); err != nil {
			return err
		}
		f, err = os.OpenFile(string(m), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return errTaken // meanwhile
		}
	}
	if err != nil {
		return sharedMemoryError(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	page := make([]byte, os.Getpagesize())
	copy(page, dir) // whose it is, until Envoy makes it anew
	if _, err := f.Write(page); err != nil {
		return errors.Join(sharedMemoryError(err), os.Remove(string(m)))
	}
	if user.Switch {
		return f.Chown(int(user.UID), int(user.GID))
	}
	return nil
}

// isTaken tells whether others than those of dir use the memory: they have claimed
// it and not started yet, or run.
func (m SharedMemory) isTaken(dir string) (bool, error) {
	f, err := os.OpenFile(string(m), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, nil // it is gone, or no file: removing it will say so
	}
	defer func() { _ = f.Close() }()
	page := make([]byte, os.Getpagesize())
	n, _ := io.ReadFull(f, page)
	if claimer := string(bytes.TrimRight(page[:n], "\x00")); isClaim(f, claimer) {
		return claimer != dir, nil
	}
	return m.inUse()
}

// isClaim believes whoever owns the directory that is named, and the driver, whose the file
// is until it is given away: anybody may make files there.
func isClaim(f *os.File, claimer string) bool {
	if !filepath.IsAbs(claimer) {
		return false
	}
	named, err := os.Lstat(claimer)
	if err != nil || !named.IsDir() {
		return false
	}
	info, err := f.Stat()
	return err == nil && (process.OwnerOf(info) == process.OwnerOf(named) || process.OwnerOf(info) == uint32(os.Geteuid()))
}

// inUse looks at all processes of the machine, which is needed seldom.
func (m SharedMemory) inUse() (bool, error) {
	pids, err := process.Everything()
	if err != nil {
		return false, err
	}
	for _, pid := range pids {
		args, _ := process.Args(pid) // none of one that is gone
		if base, ok := baseIDIn(args); ok && sharedMemoryOf(base) == m {
			return true, nil
		}
	}
	return false, nil
}

func sharedMemoryError(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("%s is full, and Envoy needs a page of it for hot restarts: %w; remove what nobody uses there, or make it larger", sharedMemoryDir, err)
	}
	return fmt.Errorf("make the memory that Envoys share for hot restarts: %w", err)
}
