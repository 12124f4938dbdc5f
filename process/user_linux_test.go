package process

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"github.com/shoenig/test/wait"
	"golang.org/x/sys/unix"
)

// nobody has no rights to anybody's files.
var nobody = User{Name: "nobody", UID: 65534, GID: 65534, Switch: true}

// secret is a file that only root may read, in directories that everybody may search.
func secret(t *testing.T, mode os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		must.NoError(t, os.Chmod(d, 0o755))
	}
	file := filepath.Join(dir, "secret")
	must.NoError(t, os.WriteFile(file, []byte("secret"), mode))
	must.NoError(t, os.Chmod(file, mode)) // whatever the umask is
	return file
}

func readAs(user User, file string) error {
	return AsUser(user, func() error {
		_, err := os.ReadFile(file)
		return err
	})
}

// Root's rights are gone while it lasts: those of the user, of the group and to
// override both.
func TestAsUser_rights(t *testing.T) {
	t.Parallel()
	owner := User{Name: "owner", UID: 81001, GID: 81002, Switch: true}
	for _, tc := range []struct {
		name    string
		mode    os.FileMode
		uid     int
		gid     int
		user    User
		allowed bool
	}{
		{"root's file", 0o600, 0, 0, nobody, false},
		{"root's group", 0o060, 81001, 0, nobody, false},
		{"everybody's file", 0o604, 0, 0, nobody, true},
		{"the user's own file", 0o400, 81001, 0, owner, true},
		{"the group's file", 0o040, 0, 81002, owner, true},
		{"another user's file", 0o600, 81001, 81002, nobody, false},
		{"root's file, without a switch", 0o600, 0, 0, User{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file := secret(t, tc.mode)
			must.NoError(t, os.Chown(file, tc.uid, tc.gid))
			if err := readAs(tc.user, file); tc.allowed {
				must.NoError(t, err)
			} else {
				must.ErrorIs(t, err, fs.ErrPermission)
			}
		})
	}
}

// What is made belongs to the user.
func TestAsUser_makes(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(secret(t, 0o600))
	must.NoError(t, os.Chmod(dir, 0o777))
	file := filepath.Join(dir, "made")
	must.NoError(t, AsUser(nobody, func() error { return os.WriteFile(file, nil, 0o600) }))
	info, err := os.Stat(file)
	must.NoError(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	must.Eq(t, nobody.UID, stat.Uid)
	must.Eq(t, nobody.GID, stat.Gid)
}

// The groups that root is in besides are given up, too. (Not parallel: all threads
// are given a group.)
func TestAsUser_supplementaryGroups(t *testing.T) {
	const group = 81003
	before, err := syscall.Getgroups()
	must.NoError(t, err)
	must.NoError(t, syscall.Setgroups(append(before, group)))
	defer func() { must.NoError(t, syscall.Setgroups(before)) }()
	file := secret(t, 0o040)
	must.NoError(t, os.Chown(file, 0, group))
	var groups []int
	must.NoError(t, AsUser(nobody, func() (err error) {
		groups, err = unix.Getgroups()
		return err
	}))
	must.SliceEmpty(t, groups)
	must.NoError(t, AsUser(User{}, func() (err error) {
		groups, err = unix.Getgroups()
		return err
	}))
	must.SliceContains(t, groups, group, must.Sprint("who does not switch keeps them"))
	must.ErrorIs(t, readAs(nobody, file), fs.ErrPermission)
	here, err := unix.Getgroups()
	must.NoError(t, err)
	must.SliceContains(t, here, group, must.Sprint("they are given up on the other thread only"))
}

// Nobody else is on the thread that changed, neither then nor after.
func TestAsUser_leavesThreads(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, there := unix.Gettid(), 0
	var users []string
	must.NoError(t, AsUser(nobody, func() error {
		there = unix.Gettid()
		users = []string{fileUser(t, here), fileUser(t, there)}
		return nil
	}))
	must.Eq(t, []string{"0", "65534"}, users)
	must.Eq(t, "0", fileUser(t, here))
	_, err := os.ReadFile(secret(t, 0o600))
	must.NoError(t, err)
	must.Wait(t, wait.InitialSuccess(wait.BoolFunc(func() bool { return fileUser(t, there) != "65534" }),
		wait.Timeout(10*time.Second), wait.Gap(5*time.Millisecond)), must.Sprint("the thread has ended"))
}

// fileUser is whose rights to files a thread of this process has; empty for one that
// is not there.
func fileUser(t *testing.T, tid int) string {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc/self/task", strconv.Itoa(tid), "status"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return ""
	}
	must.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
			return strings.Fields(ids)[3]
		}
	}
	return ""
}

// What the function says is handed on, and so is that it could not be called.
func TestAsUser_errors(t *testing.T) {
	t.Parallel()
	trouble := errors.New("trouble")
	for _, user := range []User{nobody, {}} {
		must.ErrorIs(t, AsUser(user, func() error { return trouble }), trouble)
		must.NoError(t, AsUser(user, func() error { return nil }))
	}
	called := false
	invalid := User{Name: "x", UID: ^uint32(0), GID: 65534, Switch: true} // which no user can have
	must.ErrorContains(t, AsUser(invalid, func() error { called = true; return nil }), "take on the rights of user x")
	must.False(t, called)
}
