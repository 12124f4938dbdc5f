package process

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

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

// What we have open ourselves is nobody else's: a path that leads there neither stops a
// start nor gives away what it is. A process opens its own by the same path, a pipe and a
// FIFO that it is given.
func TestConfinement_streams(t *testing.T) {
	t.Parallel()
	needsLandlock(t)
	dir, program := publicDir(t), intruderPath(t)
	hidden, fifo := filepath.Join(dir, "hidden"), filepath.Join(dir, "fifo")
	must.NoError(t, os.WriteFile(hidden, nil, 0o600))
	must.NoError(t, unix.Mkfifo(fifo, 0o600))
	ours, err := os.OpenFile(hidden, os.O_RDWR, 0)
	must.NoError(t, err)
	defer func() { _ = ours.Close() }()
	named := []string{"/dev/stdout", "/dev/stderr", "/dev/fd/1", fmt.Sprintf("/proc/self/fd/%d", ours.Fd())}
	reader, writer, err := os.Pipe()
	must.NoError(t, err)
	both, err := os.OpenFile(fifo, os.O_RDWR, 0)
	must.NoError(t, err)
	for _, stdout := range []struct{ reader, writer *os.File }{{reader, writer}, {both, both}} {
		for _, f := range []*os.File{ours, stdout.writer} { // its user may open it
			must.NoError(t, f.Chown(int(somebody.UID), int(somebody.GID)))
		}
		for attempt, want := range map[string]string{"write:/dev/stdout": "xwrite:/dev/stdout done\n", "write:/proc/self/fd/1": "xwrite:/proc/self/fd/1 done\n", "write:" + hidden: "write:" + hidden + " EACCES\n"} {
			p, err := Start(Launch{Path: program, Args: []string{attempt}, Env: []string{role + "=intruder"}, Dir: openDir(t, dir), User: somebody,
				Files: []*os.File{nil, stdout.writer, stdout.writer}, Confinement: &Confinement{Write: append(named, fifo)}})
			must.NoError(t, err)
			<-p.Done()
			got := make([]byte, 4096)
			n, err := stdout.reader.Read(got)
			must.NoError(t, err)
			must.Eq(t, want, string(got[:n]))
		}
		_, _ = stdout.reader.Close(), stdout.writer.Close()
	}
}

// A path in a script is opened only when it is known to be a file.
func TestExecutes_opensNoOther(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(publicDir(t), "fifo")
	must.NoError(t, unix.Mkfifo(fifo, 0o600))
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	must.NoError(t, err)
	defer func() { _ = unix.Close(watch) }()
	_, err = unix.InotifyAddWatch(watch, fifo, unix.IN_OPEN)
	must.NoError(t, err)
	executes(script(t, "exec "+fifo))
	_, err = unix.Read(watch, make([]byte, 4096))
	must.ErrorIs(t, err, unix.EAGAIN, must.Sprint("it was opened"))
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
		"trace:" + pid:                            "ENOSYS",
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

// A script starts the programs that it names, wherever they are, and no others there.
func TestConfinement_script(t *testing.T) {
	t.Parallel()
	needsLandlock(t)
	named, other := intruderPath(t), intruderPath(t)
	for path, want := range map[string]string{
		script(t, fmt.Sprintf("exec %q read:/etc/hosts", named)):                                "read:/etc/hosts done\n",
		script(t, fmt.Sprintf("cd %q && exec ./intruder read:/etc/hosts", filepath.Dir(other))): "",
	} {
		l := Launch{Path: path, Dir: openDir(t, "/"), Env: []string{role + "=intruder"}, User: somebody, Confinement: &Confinement{}}
		got, err := Run(t.Context(), l, ample)
		must.NoError(t, err)
		must.Eq(t, want, string(got.Stdout), must.Sprint(string(got.Stderr)))
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
			l := shell(t, Cgroup{}, script)
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
