package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-connect/e2e/agents"
)

// marker is in the command line of all that hostile jobs start.
const marker = "86399.75"

// marked are the processes that have it, and how they were called.
func marked() (left []string) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		line, _ := os.ReadFile(file)
		if bytes.Contains(line, []byte(marker)) {
			left = append(left, string(bytes.ReplaceAll(line, []byte{0}, []byte(" "))))
		}
	}
	return left
}

// traps are files that no attempt may read, change or wait for, and a socket that none
// may speak with.
type traps struct {
	dir                              string
	secret, link, fifo, huge, device string
	socket                           string // root's alone
	connections                      atomic.Int32
	directories                      []string
}

const trapContent = "what only root reads"

// setTraps lays them where every user may go.
func setTraps(t *testing.T, c *agents.Cluster) *traps {
	t.Helper()
	dir := filepath.Join(c.Dir, "traps")
	must.NoError(t, os.Mkdir(dir, 0o755))
	t.Cleanup(func() { must.NoError(t, os.RemoveAll(dir)) })
	at := func(name string) string { return filepath.Join(dir, name) }
	traps := &traps{dir: dir, secret: at("secret"), link: at("link"), fifo: at("fifo"), huge: at("huge"), device: "/dev/zero", socket: at("docker.sock")}
	must.NoError(t, os.WriteFile(traps.secret, []byte(trapContent), 0o600))
	must.NoError(t, os.Symlink(traps.secret, traps.link))
	must.NoError(t, unix.Mkfifo(traps.fifo, 0o666))
	must.NoError(t, os.Chmod(traps.fifo, 0o666))
	must.NoError(t, os.WriteFile(traps.huge, nil, 0o644))
	must.NoError(t, os.Truncate(traps.huge, 10<<30)) // it takes no room
	traps.listen(t)
	return traps
}

// listen counts who comes to the socket.
func (s *traps) listen(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("unix", s.socket)
	must.NoError(t, err)
	must.NoError(t, os.Chmod(s.socket, 0o600))
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.connections.Add(1)
			_ = conn.Close()
		}
	}()
}

// leased is a program that the kernel is kept from executing, as its owner can do.
func (s *traps) leased(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(s.dir, "leased")
	must.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nexec sleep "+marker+"\n"), 0o755))
	f, err := os.Open(path)
	must.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	must.NoError(t, err)
	return path
}

// addDir is a directory that must stay.
func (s *traps) addDir(t *testing.T, dir string) {
	t.Helper()
	must.NoError(t, os.Mkdir(dir, 0o755))
	must.NoError(t, os.WriteFile(filepath.Join(dir, "kept"), []byte(trapContent), 0o644))
	s.directories = append(s.directories, dir)
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // it looks like a sidecar's
}

// trap is a file as an attempt names it.
type trap struct{ name, path, by, said string }

// files are what a job could have the plugin read.
func (s *traps) files() []trap {
	const user, kind = "the proxy's own user", "the look at the file"
	return []trap{
		{"/etc/shadow", "/etc/shadow", user, "permission denied"},
		{"root's file", s.secret, user, "permission denied"},
		{"a link to root's file", s.link, user, "permission denied"},
		{"a FIFO", s.fifo, kind, "is no file of at most"},
		{"a device", s.device, kind, "is no file of at most"},
		{"what the kernel tells the plugin of itself", "/proc/self/status", kind, "is in /proc"},
		{"ten gigabytes", s.huge, kind, "is no file of at most"},
	}
}

// untouched makes sure that all is as it was.
func (s *traps) untouched(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(s.secret)
	must.NoError(t, err)
	must.Eq(t, trapContent, string(content))
	for _, dir := range s.directories {
		content, err := os.ReadFile(filepath.Join(dir, "kept"))
		must.NoError(t, err, must.Sprint("a directory was removed on somebody's word"))
		must.Eq(t, trapContent, string(content))
	}
	must.Eq(t, 0, s.connections.Load(), must.Sprint("nobody speaks with root's socket"))
	info, err := os.Stat(s.socket)
	must.NoError(t, err)
	must.Eq(t, os.ModeSocket|0o600, info.Mode())
}

// taskDir is the directory of a task.
func taskDir(c *agents.Cluster, alloc *api.Allocation, task string) string {
	return filepath.Join(c.Dir, "nomad/data/alloc", alloc.ID, task)
}

var peakLine = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// peakMemory is the most that a process ever had in memory, in bytes.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must.NoError(t, err)
	match := peakLine.FindSubmatch(status)
	must.Len(t, 2, match)
	kib, err := strconv.Atoi(string(match[1]))
	must.NoError(t, err)
	return kib << 10
}

// executeIn runs a command line beside a proxy, as `nomad alloc exec` does.
func executeIn(t *testing.T, c *agents.Cluster, alloc *api.Allocation, task, line string) (status int, printed string) {
	t.Helper()
	var out bytes.Buffer
	status, err := c.Nomad.Client.Allocations().Exec(t.Context(), alloc, task, false, []string{"sh", "-c", line},
		io.NopCloser(strings.NewReader("")), &out, &out, nil, nil)
	must.NoError(t, err)
	return status, out.String()
}

// shellReachesNothing is somebody who may use `nomad alloc exec` on a sidecar, or whom a
// bug in Envoy gives its rights: the neighbours are as far away as from any user.
func shellReachesNothing(t *testing.T, c *agents.Cluster, victim *shop, traps *traps) {
	neighbour, envoy := victim.proxied(t)
	own := awaitRunning(t, c, "shopper", "shopper")
	status, out := executeIn(t, c, own, "proxy", "id -u; grep NoNewPrivs /proc/self/status; grep CapEff /proc/self/status")
	must.Zero(t, status)
	must.StrContains(t, out, "NoNewPrivs:\t1")
	must.StrContains(t, out, "CapEff:\t0000000000000000")
	must.StrNotHasPrefix(t, "0\n", out)
	for name, line := range map[string]string{
		"environment of a neighbour": fmt.Sprintf("cat /proc/%d/environ", envoy),
		"memory of a neighbour":      fmt.Sprintf("dd if=/proc/%d/mem bs=1 count=1", envoy),
		"maps of a neighbour":        fmt.Sprintf("cat /proc/%d/maps", envoy),
		"open files of a neighbour":  fmt.Sprintf("ls /proc/%d/fd", envoy),
		"bootstrap of a neighbour":   fmt.Sprintf("cat /proc/%d/fd/3", envoy),
		"directory of a neighbour":   fmt.Sprintf("ls /proc/%d/cwd/", envoy),
		"admin API of a neighbour":   fmt.Sprintf("cd %s/secrets/connect && echo | socat - UNIX-CONNECT:admin.sock", taskDir(c, neighbour, "proxy")),
		"death of a neighbour":       fmt.Sprintf("kill -9 %d", envoy),
		"death of the plugin":        fmt.Sprintf("kill -9 %d", c.Plugins()[0]),
		"/etc/shadow":                "cat /etc/shadow",
		"root's file":                "cat " + traps.link,
		"root's socket":              "echo | socat - UNIX-CONNECT:" + traps.socket,
		"a file system of its own":   "mount -t tmpfs none /tmp",
		"cgroup of another":          "echo $$ > /sys/fs/cgroup/cgroup.procs",
		"token of the operator":      fmt.Sprintf("cat %s/nomad/data/client/client-id", c.Dir),
		"namespaces of a neighbour":  fmt.Sprintf("nsenter -t %d -n true", envoy),
		"another user":               "setpriv --reuid=33 true",
	} {
		t.Run(name, func(t *testing.T) {
			status, out := executeIn(t, c, own, "proxy", line)
			must.NotEq(t, 0, status, must.Sprintf("$ %s\n%s", line, out))
		})
	}
	must.NoError(t, victim.alive(t.Context()))
}

// programsOfItsOwn are attempts of an author who may name the program.
func programsOfItsOwn(t *testing.T, c *agents.Cluster, traps *traps) []attempt {
	t.Helper()
	const answers = "#!/bin/sh\ncase $1 in --version) echo 'envoy  version: 0000/1.36.4/Clean/RELEASE/BoringSSL'; "
	program := func(name, text string) string {
		path := filepath.Join(traps.dir, name)
		must.NoError(t, os.WriteFile(path, []byte(text), 0o755))
		return withSidecar("", fmt.Sprintf("ready {\n timeout = \"5s\"\n}\nenvoy {\n path = %q\n}", path))
	}
	named := func(path string) string { return withSidecar("", fmt.Sprintf("envoy {\n path = %q\n}", path)) }
	args := func(args string) string {
		return withSidecar("", fmt.Sprintf("ready {\n timeout = \"5s\"\n}\nenvoy {\n args = [%s]\n}", args))
	}
	const kind = "the look at the file"
	return []attempt{
		{name: "a program that prints without an end", by: "64 KB, the time a start has", config: program("yes", "#!/bin/sh\nexec yes "+marker+"\n"), event: "was not started within ready.timeout, 5s"},
		{name: "a program that hangs", by: "10 s", config: program("hangs", "#!/bin/sh\nexec sleep "+marker+"\n"), event: "--version"},
		{name: "a program that leaves its session", by: "a cgroup of its own",
			config: program("daemon", "#!/bin/sh\n(setsid sh -c 'sleep "+marker+" &' &)\n"), event: "is not an Envoy"},
		{name: "a program that is no Envoy later", by: "the time a proxy has",
			config: program("later", answers+"exit;; esac\n(setsid sh -c 'sleep "+marker+" &' &)\nexec sleep "+marker+"\n"), event: "Envoy"},
		{name: "a program that is held by a lease", by: "the time the kernel has", config: withSidecar("", fmt.Sprintf("envoy {\n path = %q\n}", traps.leased(t))), event: "the kernel did not execute it within 10s, and it was killed"},
		{name: "a FIFO", by: kind, config: named(traps.fifo), event: "is not an executable file"},
		{name: "a device", by: kind, config: named(traps.device), event: "is not an executable file"},
		{name: "a directory", by: kind, config: named(traps.dir), event: "there is no Envoy at"},
		{name: "ten gigabytes", by: kind, config: named(traps.huge), event: "is not an executable file"},
		{name: "a program that becomes root", by: "no_new_privs", config: named("/usr/bin/passwd"), event: "is not an Envoy"},
		{name: "a log in root's place", by: "the proxy's own user", config: args(fmt.Sprintf("\"--log-path\", %q", traps.secret)), event: "Envoy"},
		{name: "another bootstrap", by: "the driver", config: args(`"--config-path", "/etc/x"`), event: `"--config-path" cannot be given`},
		{name: "another bootstrap in YAML", by: "the driver", config: args(`"--config-yaml", "{}"`), event: `"--config-yaml" cannot be given`},
		{name: "a wrapper of Envoy", by: "nobody: it is one", config: program("wrapper", "#!/bin/sh\nexec "+c.Envoy()+" \"$@\"\n")},
	}
}
