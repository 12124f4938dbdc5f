package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// silentDir is on a file system that answers nobody, until answers is called.
func silentDir(t *testing.T) (dir string, answers func()) {
	t.Helper()
	server, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip("it needs FUSE: ", err)
	}
	dir = t.TempDir()
	err = unix.Mount("silent", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", server.Fd()))
	if err != nil {
		_ = server.Close()
		t.Skip("it needs the right to mount: ", err)
	}
	answers = func() { _ = server.Close() }
	t.Cleanup(func() {
		answers() // who waits is told that nobody is there
		must.NoError(t, unix.Unmount(dir, unix.MNT_DETACH))
	})
	return dir, answers
}

// A file system that is away holds nobody up: a start fails with its name. It is not asked
// again before it has answered.
func TestAskFiles_silent(t *testing.T) {
	t.Parallel()
	needsLandlock(t)
	dir, answers := silentDir(t)
	path := filepath.Join(dir, "ca.pem")
	l := Launch{Path: "/bin/true", Dir: openDir(t, "/"), Confinement: &Confinement{Read: []string{path}}}
	_, err := Start(l)
	var silent *SilentError
	must.True(t, errors.As(err, &silent), must.Sprint(err))
	must.Eq(t, path, silent.Path)
	began := time.Now()
	_, err = Start(l)
	must.ErrorContains(t, err, "look what is at "+path)
	must.Less(t, answerTime, time.Since(began))

	answers()
	eventually(t, func() bool {
		_, err := AskFiles(func(at func(string) error) (any, error) {
			if err := at(path); err != nil {
				return nil, err
			}
			_, _, err := FollowLinks(path)
			return nil, err
		})
		return errors.Is(err, unix.ENOTCONN)
	})
}

// AskFiles gives an answer that comes in time, and an error.
func TestAskFiles(t *testing.T) {
	t.Parallel()
	got, err := AskFiles(func(at func(string) error) (string, error) { return "/etc", at("/etc") })
	must.NoError(t, err)
	must.Eq(t, "/etc", got)
	_, err = AskFiles(func(func(string) error) (int, error) { return 0, unix.EIO })
	must.ErrorIs(t, err, unix.EIO)
}
