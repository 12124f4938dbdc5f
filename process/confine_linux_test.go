package process

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// The intruder is this very binary, which has been taken over: it tries one thing after the
// other, each an argument "what:with", and prints what came of it.
var attempts = map[string]func(with string) error{
	"read": func(path string) error {
		_, err := os.ReadFile(path)
		return err
	},
	"list": func(path string) error {
		_, err := os.ReadDir(path)
		return err
	},
	"write":  func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
	"remove": os.Remove,
	"mknod":  func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o600, 1<<8|3) },
	"socket": func(path string) error {
		l, err := net.Listen("unix", path)
		return errors.Join(err, closeIf(l))
	},
	"exec": func(path string) error { // the way of one who does not come back: no fork is in the way
		return unix.Exec(path, []string{path}, nil)
	},
	"listen": func(address string) error {
		l, err := net.Listen("tcp", address)
		return errors.Join(err, closeIf(l))
	},
	"connect": func(address string) error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return err
	},
	"addresses": func(string) error {
		_, err := net.InterfaceAddrs()
		return err
	},
	"family": func(family string) error {
		number, _ := strconv.Atoi(family)
		fd, err := unix.Socket(number, unix.SOCK_RAW, unix.NETLINK_NETFILTER)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	},
	"trace": func(pid string) error {
		number, _ := strconv.Atoi(pid)
		return unix.PtraceAttach(number)
	},
	"peek": func(pid string) error { // as readers of memory and environments do
		_, err := os.ReadFile("/proc/" + pid + "/environ")
		return err
	},
	"unshare": func(string) error { return unix.Unshare(unix.CLONE_NEWUSER) },
	"namespace": func(string) error {
		_, _, errno := unix.RawSyscall(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD), 0, 0)
		return orNil(errno)
	},
	"clone3": func(string) error {
		var args [11]uint64
		_, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), 1, 0)
		return orNil(errno)
	},
	"memfd": func(string) error {
		_, err := unix.MemfdCreate("x", 0)
		return err
	},
	"mount": func(path string) error { return unix.Mount("none", path, "tmpfs", 0, "") },
	"keys":  func(string) error { _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_USER_KEYRING, true); return err },
	"bpf": func(string) error {
		_, _, errno := unix.Syscall(unix.SYS_BPF, 0, 0, 0)
		return orNil(errno)
	},
	"uring": func(string) error {
		_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)
		return orNil(errno)
	},
	"setuid": func(string) error { return unix.Setuid(0) },
}

func closeIf(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

func orNil(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

func beIntruder() int {
	for _, attempt := range os.Args[1:] {
		what, with, _ := strings.Cut(attempt, ":")
		err := attempts[what](with)
		var errno unix.Errno
		switch {
		case err == nil:
			fmt.Println(attempt, "done")
		case errors.As(err, &errno):
			fmt.Println(attempt, unix.ErrnoName(errno))
		default:
			fmt.Println(attempt, err)
		}
	}
	return 0
}

// intrude lets the intruder try all of it, and gives what came of each attempt.
func intrude(t *testing.T, l Launch, attempts ...string) map[string]string {
	t.Helper()
	l.Path, l.Args, l.Env = intruderPath(t), attempts, []string{role + "=intruder"}
	if l.Dir == nil {
		l.Dir = openDir(t, filepath.Dir(l.Path))
	}
	got, err := Run(t.Context(), l, Limit{Time: time.Minute, Output: 64 << 10})
	must.NoError(t, err)
	must.Eq(t, 0, got.Exit.Code, must.Sprint(string(got.Stderr)))
	results := map[string]string{}
	for line := range strings.Lines(string(got.Stdout)) {
		at := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		results[line[:at]] = strings.TrimSpace(line[at:])
	}
	return results
}

func openDir(t *testing.T, path string) *os.File {
	t.Helper()
	dir, err := os.Open(path)
	must.NoError(t, err)
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

// intruderPath is where every user finds this binary.
func intruderPath(t *testing.T) string {
	t.Helper()
	path := filepath.Join(publicDir(t), "intruder")
	self, err := os.Executable()
	must.NoError(t, err)
	if os.Link(self, path) != nil {
		content, err := os.ReadFile(self)
		must.NoError(t, err)
		must.NoError(t, os.WriteFile(path, content, 0o755))
	}
	return path
}

// publicDir is one that every user may search.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		must.NoError(t, os.Chmod(d, 0o755))
	}
	return dir
}

// somebody is a user who owns what the intruder tries: it is not kept from it by other means.
var somebody = User{Name: "somebody", UID: 81007, GID: 81007, Switch: true}

func needsLandlock(t *testing.T) {
	t.Helper()
	if Confines().Landlock == 0 {
		t.Skip("this kernel has no Landlock")
	}
}

// One who has taken a process over opens what the process needs, and nothing else that its
// user may.
func TestConfinement_files(t *testing.T) {
	t.Parallel()
	needsLandlock(t)
	dir := publicDir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"own", "shown", "hidden"} {
		must.NoError(t, os.Mkdir(at(name), 0o755))
		must.NoError(t, os.WriteFile(at(name+"/file"), []byte("x"), 0o644))
		must.NoError(t, os.Chown(at(name), int(somebody.UID), int(somebody.GID)))
		must.NoError(t, os.Chown(at(name+"/file"), int(somebody.UID), int(somebody.GID)))
	}
	must.NoError(t, os.Symlink(at("hidden"), at("way in")))
	must.NoError(t, os.Symlink(at("hidden/file"), at("own/link")))
	must.NoError(t, os.WriteFile(at("granted"), []byte("x"), 0o644))
	must.NoError(t, os.Symlink(at("granted"), at("link")))
	want := map[string]string{
		"read:" + at("own/file"):              "done",
		"write:" + at("own/file"):             "done",
		"write:" + at("own/new"):              "done",
		"remove:" + at("own/new"):             "done",
		"socket:" + at("own/socket"):          "done",
		"mknod:" + at("own/null"):             "ENOSYS",
		"read:" + at("own/link"):              "EACCES",
		"read:" + at("shown/file"):            "done",
		"list:" + at("shown"):                 "done",
		"write:" + at("shown/file"):           "EACCES",
		"write:" + at("shown/new"):            "EACCES",
		"remove:" + at("shown/file"):          "EACCES",
		"read:" + at("hidden/file"):           "EACCES",
		"list:" + at("hidden"):                "EACCES",
		"write:" + at("hidden/new"):           "EACCES",
		"socket:" + at("hidden/socket"):       "EACCES",
		"read:" + at("way in/file"):           "EACCES",
		"read:" + at("link"):                  "done",
		"read:/etc/hosts":                     "done",
		"read:/proc/self/maps":                "done",
		"read:/sys/devices/system/cpu/online": "done",
		"read:/dev/urandom_":                  "ENOENT",
		"list:/":                              "EACCES",
		"list:/dev":                           "EACCES",
		"exec:/bin/true":                      "EACCES",
		"exec:" + at("own/file"):              "EACCES",
	}
	launch := Launch{User: somebody, Confinement: &Confinement{
		Read:  []string{at("shown"), at("link"), at("not there")},
		Write: []string{at("own")},
	}}
	must.MapEq(t, want, intrude(t, launch, keys(want)...))
	if landlockABI() > 0 { // who is not confined may
		launch.Confinement = nil
		got := intrude(t, launch, "read:"+at("hidden/file"), "write:"+at("hidden/new"), "list:/dev")
		must.MapEq(t, map[string]string{"read:" + at("hidden/file"): "done", "write:" + at("hidden/new"): "done", "list:/dev": "done"}, got)
	}
}

// keys are those of a map, with what writes before what removes.
func keys(m map[string]string) []string {
	all := slices.Sorted(maps.Keys(m))
	slices.Reverse(all)
	return all
}

// What a proxy needs of the kernel it has; what an intruder would try is unknown to it.
func TestConfinement_calls(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	defer func() { _ = l.Close() }()
	neighbour := startShell(t, "exec sleep 300")
	pid := strconv.Itoa(neighbour.ID.PID)
	want := map[string]string{
		"listen:127.0.0.1:0":                      "done",
		"connect:" + l.Addr().String():            "done",
		"addresses:":                              "done",
		"family:" + strconv.Itoa(unix.AF_NETLINK): "EAFNOSUPPORT",
		"family:" + strconv.Itoa(unix.AF_PACKET):  "EAFNOSUPPORT",
		"family:" + strconv.Itoa(unix.AF_ALG):     "EAFNOSUPPORT",
		"trace:" + pid:                            "EPERM",
		"unshare:":                                "ENOSYS",
		"namespace:":                              "EPERM",
		"clone3:":                                 "ENOSYS",
		"memfd:":                                  "ENOSYS",
		"mount:/tmp":                              "ENOSYS",
		"keys:":                                   "ENOSYS",
		"bpf:":                                    "ENOSYS",
		"uring:":                                  "ENOSYS",
		"setuid:":                                 "EPERM",
	}
	must.MapEq(t, want, intrude(t, Launch{User: somebody, Confinement: &Confinement{}}, keys(want)...))
}

// A neighbour of the same user is out of sight, too: another program of the task, say.
func TestConfinement_neighbour(t *testing.T) {
	t.Parallel()
	needsLandlock(t)
	l := shell(t, Cgroup{}, "exec sleep 300")
	l.User, l.Dir = somebody, openDir(t, "/")
	l.Files = []*os.File{nil, nil, nil}
	neighbour, err := Start(l)
	must.NoError(t, err)
	t.Cleanup(func() { _ = neighbour.KillGroup() })
	pid := strconv.Itoa(neighbour.ID.PID)
	peek := "peek:" + pid
	must.Eq(t, "done", intrude(t, Launch{User: somebody}, peek)[peek])
	must.Eq(t, "EACCES", intrude(t, Launch{User: somebody, Confinement: &Confinement{}}, peek)[peek])
}

// A confined process is born in its cgroup all the same, with cgroups v2 as well, where
// it cannot be made in it: what it starts at once is there.
func TestConfinement_cgroup(t *testing.T) {
	t.Parallel()
	for name, group := range map[string]func(*testing.T) Cgroup{"machine": machineGroup, "v2": unifiedGroup} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := group(t)
			for range 5 {
				l := shell(t, c, "setsid sleep 300 & cat /proc/self/cgroup")
				l.User, l.Dir, l.Confinement = somebody, openDir(t, "/"), &Confinement{Read: []string{"/bin", "/usr"}}
				l.Path = script(t, l.Args[1])
				l.Args = nil
				got, err := Run(t.Context(), l, ample)
				must.NoError(t, err)
				must.Eq(t, "exited with status 0", got.Exit.String(), must.Sprint(string(got.Stderr)))
				must.StrContains(t, string(got.Stdout), "/"+filepath.Base(c.tasks())+"/"+cellPrefix)
				pids, err := c.Processes()
				must.NoError(t, err)
				must.SliceEmpty(t, pids)
			}
		})
	}
}

// script is a program that starts others.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(publicDir(t), "script")
	must.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	return path
}

// A process that is traced for a moment ends as any other.
func TestConfinement_exit(t *testing.T) {
	t.Parallel()
	c := unifiedGroup(t)
	l := Launch{Path: script(t, "exit 7"), Dir: openDir(t, "/"), User: somebody, Cgroup: c, Confinement: &Confinement{}}
	got, err := Run(t.Context(), l, ample)
	must.NoError(t, err)
	must.Eq(t, "exited with status 7", got.Exit.String())
	l.Path = filepath.Join(publicDir(t), "nowhere")
	_, err = Run(t.Context(), l, ample)
	must.ErrorIs(t, err, os.ErrNotExist)
}

// A user of no rights listens on a port of root's when a field asks for it, and only then.
func TestLaunch_lowPorts(t *testing.T) {
	t.Parallel()
	network := newNetwork(t)
	const low, high = "listen:127.0.0.1:80", "listen:127.0.0.1:8080"
	for _, confinement := range []*Confinement{nil, {}} {
		got := intrude(t, Launch{User: somebody, Network: network, Confinement: confinement}, low, high)
		must.MapEq(t, map[string]string{low: "EACCES", high: "done"}, got)
		got = intrude(t, Launch{User: somebody, Network: network, LowPorts: true, Confinement: confinement}, low, high, "setuid:")
		must.MapEq(t, map[string]string{low: "done", high: "done", "setuid:": "EPERM"}, got)
	}
}

// Nothing starts with more than it is to have, whoever starts it.
func TestLaunch_gives(t *testing.T) {
	t.Parallel()
	const script = "grep -E '^(Cap|NoNew)' /proc/self/status; ulimit -Sn; ulimit -Hn; ulimit -c"
	for name, tc := range map[string]struct {
		user     User
		lowPorts bool
		caps     [5]string // CapInh, CapPrm, CapEff, CapBnd, CapAmb
	}{
		"nothing":    {somebody, false, [5]string{"0", "0", "0", "0", "0"}},
		"root":       {User{}, false, [5]string{"0", "0", "0", "0", "0"}},
		"a low port": {somebody, true, [5]string{"400", "400", "400", "400", "400"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := shell(t, Cgroup{}, "sleep 0.1; "+script)
			l.User, l.LowPorts, l.Dir = tc.user, tc.lowPorts, openDir(t, "/")
			got, err := Run(t.Context(), l, ample)
			must.NoError(t, err)
			fields := strings.Fields(string(got.Stdout))
			must.Len(t, 15, fields, must.Sprint(string(got.Stdout)))
			for i, want := range tc.caps {
				must.Eq(t, want, strings.TrimLeft(fields[2*i+1][:15], "0")+fields[2*i+1][15:])
			}
			must.Eq(t, "1", fields[11], must.Sprint("no_new_privs"))
			must.Eq(t, fields[13], fields[12], must.Sprint("open files"))
			must.Eq(t, "0", fields[14], must.Sprint("core"))
		})
	}
}

func TestKernel_lacks(t *testing.T) {
	t.Parallel()
	must.Eq(t, "", Kernel{Landlock: 1, Seccomp: true}.Lacks())
	must.StrContains(t, Kernel{Seccomp: true}.Lacks(), "no Landlock")
	must.StrContains(t, Kernel{Landlock: 1}.Lacks(), "no seccomp")
	must.StrContains(t, Kernel{}.Lacks(), "no Landlock")
}

// Older kernels know fewer rights.
func TestKnownBy(t *testing.T) {
	t.Parallel()
	must.Eq(t, 0x1fff, knownBy(1))
	must.Eq(t, 0x3fff, knownBy(2))
	must.Eq(t, 0x7fff, knownBy(3))
	must.Eq(t, 0x7fff, knownBy(4))
	must.Eq(t, 0xffff, knownBy(5))
	must.Eq(t, 0xffff, knownBy(99))
}
