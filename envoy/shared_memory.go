package envoy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// sharedMemoryDir is where shm_open(3) has its files.
const sharedMemoryDir = "/dev/shm"

// The base ID is the number under which the generations of an Envoy know each other,
// and which their shared memory is called by. Envoy multiplies it by ten in an int,
// which must not overflow: its sockets would be called otherwise.
const maxBaseID = math.MaxInt32 / 10

// firstBaseID is the one that a working directory asks for first, so that the memory
// of an earlier run is found again.
func firstBaseID(dir string) uint32 {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(dir))
	return hash.Sum32() % maxBaseID
}

// SharedMemory is the path of the file that generations share.
type SharedMemory string

const sharedMemoryName = "envoy_shared_memory_"

func sharedMemoryOf(base uint32) SharedMemory {
	return SharedMemory(filepath.Join(sharedMemoryDir, sharedMemoryName+strconv.Itoa(10*int(base))))
}

// sharedMemoryLink is the name of a link to the memory in the working directory: it
// says which base ID that has.
const sharedMemoryLink = "shared_memory"

// baseIDOf is that of the Envoys with a working directory.
func baseIDOf(dir string) uint32 {
	target, err := os.Readlink(filepath.Join(dir, sharedMemoryLink))
	number, ok := strings.CutPrefix(filepath.Base(target), sharedMemoryName)
	tens, parseErr := strconv.ParseUint(number, 10, 32)
	if err != nil || !ok || parseErr != nil || tens%10 != 0 {
		return firstBaseID(dir) // somebody has taken it away, or put another there
	}
	return uint32(tens / 10)
}

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
		base = (base + 1) % maxBaseID
	}
	return 0, fmt.Errorf("find a base ID for hot restarts: %d in a row from %d are taken in %s; remove what nobody uses there", maxClaims, firstBaseID(run.Dir), sharedMemoryDir)
}

// maxClaims is far more than ever are taken in a row.
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
	if claimer := string(bytes.TrimRight(page[:n], "\x00")); filepath.IsAbs(claimer) {
		_, err := os.Stat(claimer)
		return claimer != dir && err == nil, nil
	}
	return m.inUse()
}

// inUse looks at all processes of the machine, which is needed seldom.
func (m SharedMemory) inUse() (bool, error) {
	pids, err := process.Everything()
	if err != nil {
		return false, err
	}
	for _, pid := range pids {
		args, _ := process.Args(pid) // none of one that is gone
		at := slices.Index(args, baseIDFlag)
		if at < 0 || at+1 == len(args) {
			continue
		}
		if base, err := strconv.ParseUint(args[at+1], 10, 32); err == nil && sharedMemoryOf(uint32(base)) == m {
			return true, nil
		}
	}
	return false, nil
}

// RemoveSharedMemory removes that of the Envoys with a working directory, and is
// content when there is none, or another's.
func RemoveSharedMemory(dir string, user process.User) error {
	memory := sharedMemoryOf(baseIDOf(dir))
	if info, err := os.Lstat(string(memory)); err == nil && user.Switch && !ownedBy(info, user) {
		return nil // the link is the user's word
	}
	return memory.remove()
}

func ownedBy(info os.FileInfo, user process.User) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == user.UID
}

func (m SharedMemory) remove() error {
	if err := os.Remove(string(m)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the memory that Envoys share for hot restarts: %w", err)
	}
	return nil
}

func sharedMemoryError(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("%s is full, and Envoy needs a page of it for hot restarts: %w; remove what nobody uses there, or make it larger", sharedMemoryDir, err)
	}
	return fmt.Errorf("make the memory that Envoys share for hot restarts: %w", err)
}

// The memory as Envoy lays it out (SharedMemory of source/server/
// hot_restart_impl.h, hot restart version 11.104): its size, its version, two
// mutexes, its flags.
const (
	sharedSize        = 104
	sharedVersion     = 11
	sharedVersionAt   = 8
	sharedFlagsAt     = 96
	sharedFlagsLength = 8
)

// ErrUnknownLayout is ClearInitializing's answer when this version of Envoy has
// something else in its memory than is known here.
var ErrUnknownLayout = errors.New("this Envoy lays out the memory for hot restarts in a way that is not known")

// ClearInitializing takes back the word of an Envoy that died while it
// initialized: as long as it stands there, no other is let in. The error is
// ErrUnknownLayout, or says why the memory could not be read or written.
func (m SharedMemory) ClearInitializing() (err error) {
	f, err := os.OpenFile(string(m), os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open the memory that Envoys share for hot restarts: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	memory := make([]byte, sharedSize+1)
	n := 0
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() { // Envoy's user could have put something else there
		n, _ = f.Read(memory) // its length says how that went
	}
	if n != sharedSize || binary.NativeEndian.Uint64(memory) != sharedSize ||
		binary.NativeEndian.Uint64(memory[sharedVersionAt:]) != sharedVersion {
		return ErrUnknownLayout
	}
	_, err = f.WriteAt(make([]byte, sharedFlagsLength), sharedFlagsAt)
	return err
}
