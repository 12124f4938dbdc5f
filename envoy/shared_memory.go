package envoy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
)

// sharedMemoryDir is where shm_open(3) has its files.
const sharedMemoryDir = "/dev/shm"

// baseID is the number under which the generations of an Envoy know each other. It
// follows from their working directory, which no others share, so that a file of
// an earlier run is found again. Envoy multiplies it by ten in an int, which must
// not overflow: its sockets would be called otherwise.
func baseID(dir string) uint32 {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(dir))
	return hash.Sum32() % (math.MaxInt32 / 10)
}

// SharedMemory is the path of the file that generations share.
type SharedMemory string

// SharedMemoryOf is that of the Envoys with a working directory.
func SharedMemoryOf(dir string) SharedMemory {
	return SharedMemory(filepath.Join(sharedMemoryDir, "envoy_shared_memory_"+strconv.Itoa(10*int(baseID(dir)))))
}

// Claim proves that Envoy will find room there, before the first generation: it
// would die of SIGBUS without. Envoy makes the file anew, which its user must be
// able to. The error says what is in the way.
func (m SharedMemory) Claim(user process.User) (err error) {
	if err := m.Remove(); err != nil {
		return err
	}
	f, err := os.OpenFile(string(m), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return sharedMemoryError(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(make([]byte, os.Getpagesize())); err != nil {
		return errors.Join(sharedMemoryError(err), os.Remove(string(m)))
	}
	if user.Switch {
		return f.Chown(int(user.UID), int(user.GID))
	}
	return nil
}

func sharedMemoryError(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("%s is full, and Envoy needs a page of it for hot restarts: %w; remove what nobody uses there, or make it larger", sharedMemoryDir, err)
	}
	return fmt.Errorf("make the memory that Envoys share for hot restarts: %w", err)
}

// Remove removes it, and is content when there is none.
func (m SharedMemory) Remove() error {
	if err := os.Remove(string(m)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the memory that Envoys share for hot restarts: %w", err)
	}
	return nil
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
