package driver

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/process"
)

// jobFiles is a task's directory with files in it and elsewhere.
type jobFiles struct {
	t    *testing.T
	task *drivers.TaskConfig
	dir  map[string]string // "secrets", "local", "alloc", and "elsewhere", which everybody may search
}

func newJobFiles(t *testing.T) *jobFiles {
	t.Helper()
	task := taskOnHost()
	// Nomad's data directory is one that only root may search, as this is.
	task.AllocDir = filepath.Join(t.TempDir(), "a1")
	dirs := task.TaskDir()
	elsewhere := t.TempDir()
	f := &jobFiles{t: t, task: task, dir: map[string]string{
		"secrets": dirs.SecretsDir, "local": dirs.LocalDir, "alloc": dirs.SharedAllocDir, "elsewhere": filepath.Join(elsewhere, "public"),
	}}
	for _, dir := range f.dir {
		must.NoError(t, os.MkdirAll(dir, 0o777))
		must.NoError(t, os.Chmod(dir, 0o777))
	}
	return f
}

// publish lets everybody search the way to elsewhere, and with it that to the
// allocation.
func (f *jobFiles) publish() {
	f.t.Helper()
	above := filepath.Dir(f.dir["elsewhere"])
	for _, d := range []string{above, filepath.Dir(above)} {
		must.NoError(f.t, os.Chmod(d, 0o755))
	}
}

// write makes a file that root has.
func (f *jobFiles) write(in, name string, mode os.FileMode) string {
	f.t.Helper()
	path := filepath.Join(f.dir[in], name)
	must.NoError(f.t, os.WriteFile(path, []byte(in+" "+name), mode))
	must.NoError(f.t, os.Chmod(path, mode))
	return path
}

func (f *jobFiles) link(to, in, name string) string {
	f.t.Helper()
	path := filepath.Join(f.dir[in], name)
	must.NoError(f.t, os.Symlink(to, path))
	return path
}

// read reads a file as the driver does for a proxy that has no rights of its own.
func (f *jobFiles) read(path string) (string, error) {
	content, err := readJobFile(f.task, path, process.User{Name: "nobody", UID: 65534, GID: 65534, Switch: true})
	return string(content), err
}

// What is in the task's directories is read, whoever may search the way to them.
func TestReadJobFile(t *testing.T) {
	t.Parallel()
	f := newJobFiles(t)
	inside := f.write("local", "target", 0o644)
	for _, tc := range []struct{ path, want string }{
		{f.write("secrets", "token", 0o600), "secrets token"}, // of root, whom Nomad writes as
		{inside, "local target"},
		{f.write("alloc", "token", 0o644), "alloc token"},
		{f.link(filepath.Base(inside), "local", "link"), "local target"},
		{f.dir["local"] + "/../local/target", "local target"},
	} {
		got, err := f.read(tc.path)
		must.NoError(t, err)
		must.Eq(t, tc.want, got)
	}
	_, err := f.read(filepath.Join(f.dir["secrets"], "nothing"))
	must.ErrorIs(t, err, fs.ErrNotExist)
}

// Beyond them, what the proxy's user may read is read, and nothing else.
func TestReadJobFile_elsewhere(t *testing.T) {
	t.Parallel()
	f := newJobFiles(t)
	public, private := f.write("elsewhere", "public", 0o644), f.write("elsewhere", "private", 0o600)
	_, err := f.read(public)
	must.ErrorIs(t, err, fs.ErrPermission, must.Sprint("the way is not open"))
	f.publish()
	got, err := f.read(public)
	must.NoError(t, err)
	must.Eq(t, "elsewhere public", got)
	_, err = f.read(private)
	must.ErrorIs(t, err, fs.ErrPermission)
	for _, dir := range []string{"local", "alloc"} { // other tasks write there
		_, err = f.read(f.write(dir, "private", 0o600))
		must.ErrorIs(t, err, fs.ErrPermission)
	}
	_, err = f.read(f.link(private, "elsewhere", "link"))
	must.ErrorIs(t, err, fs.ErrPermission)
}

// A link does not lead out of the task's directories, not even to what everybody
// may read.
func TestReadJobFile_links(t *testing.T) {
	t.Parallel()
	f := newJobFiles(t)
	f.publish()
	public := f.write("elsewhere", "public", 0o644)
	for _, dir := range []string{"secrets", "local", "alloc"} {
		far, err := filepath.Rel(f.dir[dir], public)
		must.NoError(t, err)
		f.link(f.dir["elsewhere"], dir, "directory")
		for _, path := range []string{
			f.link(public, dir, "absolute"), f.link(far, dir, "relative"), filepath.Join(f.dir[dir], "directory", "public"),
		} {
			got, err := f.read(path)
			must.Error(t, err, must.Sprint(path))
			must.Eq(t, "", got)
		}
	}
}

// Nothing of /proc is read: there the plugin itself is seen, with the directories that it
// holds open.
func TestReadJobFile_proc(t *testing.T) {
	t.Parallel()
	f := newJobFiles(t)
	f.write("alloc", "of others", 0o644)
	open, err := os.Open(f.dir["alloc"]) // the way to it is not open
	must.NoError(t, err)
	defer func() { _ = open.Close() }()
	held := fmt.Sprintf("fd/%d/of others", open.Fd())
	f.publish()
	for _, path := range []string{
		"/proc/self/" + held, fmt.Sprintf("/proc/%d/%s", os.Getpid(), held), "/dev/" + held, "/proc/self/root" + f.dir["elsewhere"],
		f.link("/proc/self/"+held, "elsewhere", "link"), "/proc/version", "/proc/thread-self/status", "of others",
	} {
		got, err := f.read(path)
		var unfit *unfitFileError
		must.ErrorAs(t, err, &unfit, must.Sprint(path))
		must.Eq(t, "", got)
	}
}

// Another task has put a link in the place of one of the task's directories.
func TestReadJobFile_moved(t *testing.T) {
	t.Parallel()
	f := newJobFiles(t)
	f.write("elsewhere", "of others", 0o644) // the way to it is not open
	for _, dir := range []string{"secrets", "local"} {
		must.NoError(t, os.Remove(f.dir[dir]))
		must.NoError(t, os.Symlink(f.dir["elsewhere"], f.dir[dir]))
		got, err := f.read(filepath.Join(f.dir[dir], "of others"))
		must.ErrorContains(t, err, "escapes from parent")
		must.Eq(t, "", got)
	}
}

// What is no file, or more than any file should be, is refused at once.
func TestReadJobFile_unfit(t *testing.T) {
	t.Parallel()
	f := newJobFiles(t)
	f.publish()
	for _, dir := range []string{"secrets", "local", "alloc", "elsewhere"} {
		fifo, below := filepath.Join(f.dir[dir], "fifo"), filepath.Join(f.dir[dir], "below")
		must.NoError(t, syscall.Mkfifo(fifo, 0o644))
		must.NoError(t, os.Chmod(fifo, 0o644))
		must.NoError(t, os.Mkdir(below, 0o755))
		large := f.write(dir, "large", 0o644)
		must.NoError(t, os.Truncate(large, maxJobFile+1))
		for _, path := range []string{fifo, below, large} {
			_, err := f.read(path)
			var unfit *unfitFileError
			must.ErrorAs(t, err, &unfit, must.Sprint(path))
			must.StrContains(t, err.Error(), "is no file of at most 4 MiB")
		}
		must.NoError(t, os.Truncate(large, maxJobFile))
		got, err := f.read(large)
		must.NoError(t, err)
		must.Eq(t, maxJobFile, len(got))
		must.True(t, strings.HasPrefix(got, dir))
	}
	_, err := f.read("/dev/zero")
	must.ErrorContains(t, err, "is no file of at most 4 MiB")
}
