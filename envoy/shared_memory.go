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
	"strings"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
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

// RemoveSharedMemory removes that of the Envoys with a working directory, and is
// content when there is none, or another's.
func RemoveSharedMemory(dir string, user process.User) error {
	memory := sharedMemoryOf(baseIDOf(dir))
	if info, err := os.Lstat(string(memory)); err == nil && !isOwn(info, user) {
		return nil // the link is the user's word
	}
	return memory.remove()
}

// isOwn knows what is the user's. Where users are not switched, there is one alone.
func isOwn(info os.FileInfo, user process.User) bool {
	return !user.Switch || process.OwnerOf(info) == user.UID
}

func (m SharedMemory) remove() error {
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
// ErrUnknownLayout, or says why the memory could not be read or written: another
// user's is none of Envoy's.
func (m SharedMemory) ClearInitializing(user process.User) (err error) {
	f, err := os.OpenFile(string(m), os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open the memory that Envoys share for hot restarts: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !isOwn(info, user) {
		return fmt.Errorf("%s, where the Envoys of user %d share memory for hot restarts, is user %d's: somebody has put another in its place; restart the task", m, user.UID, process.OwnerOf(info))
	}
	memory := make([]byte, sharedSize+1)
	n := 0
	if info.Mode().IsRegular() { // Envoy's user could have put something else there
		n, _ = f.Read(memory) // its length says how that went
	}
	if n != sharedSize || binary.NativeEndian.Uint64(memory) != sharedSize ||
		binary.NativeEndian.Uint64(memory[sharedVersionAt:]) != sharedVersion {
		return ErrUnknownLayout
	}
	_, err = f.WriteAt(make([]byte, sharedFlagsLength), sharedFlagsAt)
	return err
}
