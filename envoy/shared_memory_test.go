package envoy

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/process"
)

// Envoy calls its sockets otherwise when ten times the number overflows an int.
func TestFirstBaseID(t *testing.T) {
	for i := range 1000 {
		must.LessEq(t, math.MaxInt32, 10*int(firstBaseID(strconv.Itoa(i)))+9)
	}
}

// claim claims the memory of a run directory for a test.
func claim(t *testing.T, dir string) (uint32, SharedMemory) {
	t.Helper()
	base, err := ClaimSharedMemory(runIn(dir))
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, sharedMemoryOf(base).remove()) })
	must.Eq(t, base, baseIDOf(dir))
	return base, sharedMemoryOf(base)
}

// unlink forgets which base ID a run directory has, as it is before a start.
func unlink(t *testing.T, dir string) {
	t.Helper()
	must.NoError(t, os.Remove(filepath.Join(dir, sharedMemoryLink)))
}

func TestSharedMemory(t *testing.T) {
	dir := t.TempDir()
	base, shared := claim(t, dir)
	must.Eq(t, firstBaseID(dir), base)
	must.ErrorIs(t, shared.ClearInitializing(process.User{}), ErrUnknownLayout)

	memory := make([]byte, sharedSize)
	binary.NativeEndian.PutUint64(memory, sharedSize)
	binary.NativeEndian.PutUint64(memory[sharedVersionAt:], sharedVersion)
	memory[sharedFlagsAt] = 1
	must.NoError(t, os.WriteFile(string(shared), memory, 0o600))
	must.NoError(t, shared.ClearInitializing(process.User{}))
	now, err := os.ReadFile(string(shared))
	must.NoError(t, err)
	memory[sharedFlagsAt] = 0
	must.Eq(t, memory, now)
	must.NoError(t, RemoveSharedMemory(dir, process.User{}))
	must.FileNotExists(t, string(shared))
	must.NoError(t, RemoveSharedMemory(dir, process.User{}), must.Sprint("there is none"))
	must.Error(t, shared.ClearInitializing(process.User{}))
}

// What an earlier run of the same directory left is taken back: claimed only, or
// laid out by an Envoy that is gone.
func TestClaimSharedMemory_again(t *testing.T) {
	dir := t.TempDir()
	first, shared := claim(t, dir)
	unlink(t, dir)
	again, _ := claim(t, dir)
	must.Eq(t, first, again)

	must.NoError(t, os.WriteFile(string(shared), []byte("of an Envoy that is gone"), 0o600))
	unlink(t, dir)
	again, _ = claim(t, dir)
	must.Eq(t, first, again)
}

// Two directories may ask for one base ID. Who has claimed it and not started yet
// keeps it as long as it is there.
func TestClaimSharedMemory_claimed(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	shared := sharedMemoryOf(firstBaseID(dir))
	page := make([]byte, os.Getpagesize())
	copy(page, other)
	must.NoError(t, os.WriteFile(string(shared), page, 0o600))
	t.Cleanup(func() { _ = os.Remove(string(shared)) })
	base, mine := claim(t, dir)
	must.NotEq(t, firstBaseID(dir), base)
	must.NoError(t, RemoveSharedMemory(dir, process.User{}))
	must.FileNotExists(t, string(mine))
	must.FileExists(t, string(shared), must.Sprint("it is the other's"))

	must.NoError(t, os.Remove(other))
	unlink(t, dir)
	base, _ = claim(t, dir)
	must.Eq(t, firstBaseID(dir), base, must.Sprint("who had it is gone"))
}

// An Envoy that runs keeps it, whosever it is.
func TestClaimSharedMemory_used(t *testing.T) {
	dir := t.TempDir()
	first := firstBaseID(dir)
	shared := sharedMemoryOf(first)
	must.NoError(t, os.WriteFile(string(shared), nil, 0o600))
	t.Cleanup(func() { _ = os.Remove(string(shared)) })
	running := exec.CommandContext(t.Context(), fake.Envoy(t, fake.WellBehaved), Options{BaseID: first}.Args()...)
	running.Dir, running.Env = t.TempDir(), fake.EnvoyEnv(t)
	must.NoError(t, running.Start())
	ended := func() { _, _ = running.Process.Kill(), running.Wait() }
	t.Cleanup(ended)
	eventually(t, func() bool { args, _ := process.Args(running.Process.Pid); return len(args) > 1 })

	base, _ := claim(t, dir)
	must.NotEq(t, first, base)
	unlink(t, dir)
	ended()
	must.NoError(t, RemoveSharedMemory(dir, process.User{}))
	base, _ = claim(t, dir)
	must.Eq(t, first, base)
}

// The link is the word of Envoy's user, who could have it lead to another's.
func TestRemoveSharedMemory_anothers(t *testing.T) {
	mustBeRoot(t)
	dir := t.TempDir()
	user := process.User{Name: "x", UID: 70001, GID: 70001, Switch: true}
	run := runIn(dir)
	run.User = user
	_, err := ClaimSharedMemory(run)
	must.ErrorContains(t, err, "somebody has put another in its place")
	must.NoError(t, os.Chown(dir, int(user.UID), int(user.GID)))
	base, err := ClaimSharedMemory(run)
	must.NoError(t, err)
	own := sharedMemoryOf(base)
	t.Cleanup(func() { must.NoError(t, own.remove()) })

	anothers := sharedMemoryOf(base + 1000)
	must.NoError(t, os.WriteFile(string(anothers), nil, 0o600))
	t.Cleanup(func() { must.NoError(t, anothers.remove()) })
	must.NoError(t, os.Chown(string(anothers), 70002, 70002))
	unlink(t, dir)
	must.NoError(t, os.Symlink(string(anothers), filepath.Join(dir, sharedMemoryLink)))
	must.NoError(t, RemoveSharedMemory(dir, user))
	must.FileExists(t, string(anothers))
	must.ErrorContains(t, anothers.ClearInitializing(user), "is user 70002's")

	unlink(t, dir)
	must.NoError(t, os.Symlink(string(own), filepath.Join(dir, sharedMemoryLink)))
	must.NoError(t, RemoveSharedMemory(dir, user))
	must.FileNotExists(t, string(own))
}

// Nobody keeps a base ID from others by naming a directory that is not theirs.
func TestClaimSharedMemory_notClaimed(t *testing.T) {
	mustBeRoot(t)
	dir, other := t.TempDir(), t.TempDir()
	link := filepath.Join(other, "link")
	must.NoError(t, os.Symlink(other, link))
	shared := sharedMemoryOf(firstBaseID(dir))
	for _, named := range []string{other, "/", link} {
		page := make([]byte, os.Getpagesize())
		copy(page, named)
		must.NoError(t, os.WriteFile(string(shared), page, 0o600))
		must.NoError(t, os.Chown(string(shared), 70041, 70041))
		must.NoError(t, os.Lchown(link, 70041, 70041))
		base, _ := claim(t, dir)
		must.Eq(t, firstBaseID(dir), base, must.Sprint(named))
		unlink(t, dir)
		must.NoError(t, shared.remove())
	}
}

// An Envoy that runs says which base ID it has, wherever the link leads by now.
func TestProgram_runningBase(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.Symlink(string(sharedMemoryOf(8)), filepath.Join(dir, sharedMemoryLink)))
	running := exec.CommandContext(t.Context(), fake.Envoy(t, fake.WellBehaved), Options{BaseID: 9}.Args()...)
	running.Dir, running.Env = t.TempDir(), fake.EnvoyEnv(t)
	must.NoError(t, running.Start())
	p := program{World: World{Run: runIn(dir)}}
	at := func() uint32 { return p.runningBase(&process.Process{ID: process.Identity{PID: running.Process.Pid}}) }
	eventually(t, func() bool { return at() == 9 })
	_, _ = running.Process.Kill(), running.Wait()
	must.Eq(t, 8, at())
}

// A link that leads elsewhere says nothing.
func TestBaseIDOf_nonsense(t *testing.T) {
	for _, target := range []string{"/etc/passwd", "/dev/shm/envoy_shared_memory_7", "/dev/shm/envoy_shared_memory_x0", "/dev/shm/envoy_shared_memory_99999999990"} {
		dir := t.TempDir()
		must.NoError(t, os.Symlink(target, filepath.Join(dir, sharedMemoryLink)))
		must.Eq(t, firstBaseID(dir), baseIDOf(dir), must.Sprint(fmt.Sprintf("%q", target)))
	}
}
