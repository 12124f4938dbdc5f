package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-connect/e2e/agents"
)

const echoJob = "../example-jobs/echo/echo.nomad.hcl"

// mesh is the echo job, running.
type mesh struct {
	*agents.Cluster
	t       *testing.T
	client  *api.Allocation
	servers []*api.Allocation
	addr    string // where the client's app finds echo
}

// awaitRunning waits for the only allocation of a group to run.
func awaitRunning(t *testing.T, c *agents.Cluster, job, group string) *api.Allocation {
	t.Helper()
	var alloc *api.Allocation
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		running, err := c.Nomad.Running(ctx, job, group)
		if err != nil || len(running) != 1 {
			return errors.Join(fmt.Errorf("%d allocations of %s run", len(running), job), err)
		}
		alloc = running[0]
		return nil
	})
	return alloc
}

func runEcho(t *testing.T) *mesh {
	t.Helper()
	return runEchoOn(t, cluster(t))
}

func runEchoOn(t *testing.T, c *agents.Cluster) *mesh {
	t.Helper()
	m := &mesh{Cluster: c, t: t}
	hcl, err := os.ReadFile(echoJob)
	must.NoError(t, err)
	_, err = m.Nomad.Run(t.Context(), string(hcl))
	must.NoError(t, err)
	must.NoError(t, m.Nomad.AwaitDeployment(t.Context(), "echo"))
	m.refresh()
	m.addr, err = agents.Port(m.client, "up_echo")
	must.NoError(t, err)
	return m
}

func (m *mesh) refresh() {
	m.t.Helper()
	clients, err := m.Nomad.Running(m.t.Context(), "echo", "client")
	must.NoError(m.t, err)
	must.Len(m.t, 1, clients)
	m.servers, err = m.Nomad.Running(m.t.Context(), "echo", "server")
	must.NoError(m.t, err)
	must.Len(m.t, 2, m.servers)
	m.client = clients[0]
}

// say sends a line through both sidecars and gives the instance that answered.
func (m *mesh) say(ctx context.Context, line string) (string, error) {
	answer, err := agents.SendLine(ctx, "tcp", m.addr, line)
	if err != nil {
		return "", err
	}
	instance, back, _ := strings.Cut(answer, "--")
	if back != line {
		return "", fmt.Errorf("sent %q, got %q back", line, answer)
	}
	return instance, nil
}

// bothAnswer sends lines until two instances have answered.
func (m *mesh) bothAnswer(ctx context.Context) error {
	seen := map[string]bool{}
	for i := range 20 {
		instance, err := m.say(ctx, "hello "+strconv.Itoa(i))
		if err != nil {
			return err
		}
		seen[instance] = true
	}
	if len(seen) != 2 {
		return fmt.Errorf("%v answered of two instances", seen)
	}
	return nil
}

func (m *mesh) sidecarEvents(alloc *api.Allocation, task string) string {
	m.t.Helper()
	fresh, _, err := m.Nomad.Client.Allocations().Info(alloc.ID, nil)
	must.NoError(m.t, err)
	return strings.Join(agents.Events(fresh, task), "\n")
}

// awaitEvent waits until `nomad alloc status` shows a sentence.
func (m *mesh) awaitEvent(alloc *api.Allocation, task, sentence string) {
	m.t.Helper()
	eventually(m.t, 20*time.Second, func(context.Context) error {
		if events := m.sidecarEvents(alloc, task); !strings.Contains(events, sentence) {
			return fmt.Errorf("no event says %q:\n%s", sentence, events)
		}
		return nil
	})
}

// proxyOf is the registration of an allocation's sidecar.
func (m *mesh) proxyOf(ctx context.Context, alloc *api.Allocation) (*consul.AgentService, error) {
	proxies, err := m.Consul.Proxies(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range proxies {
		if p.Meta["nomad-alloc-id"] == alloc.ID {
			return p, nil
		}
	}
	return nil, fmt.Errorf("allocation %s has no sidecar in Consul", alloc.ID)
}

// envoyOf is the process of an allocation's sidecar, by its registration.
func (m *mesh) envoyOf(alloc *api.Allocation) int {
	m.t.Helper()
	proxy, err := m.proxyOf(m.t.Context(), alloc)
	must.NoError(m.t, err)
	pid, err := strconv.Atoi(proxy.Meta["proxy-pid"])
	must.NoError(m.t, err)
	must.SliceContains(m.t, m.Processes("envoy"), pid)
	return pid
}

// nothingLeft waits until no sidecar is registered, runs or has files.
func nothingLeft(t *testing.T, c *agents.Cluster) {
	t.Helper()
	nothingLeftOn(t, &c.Node)
	memory, err := filepath.Glob(filepath.Join(sharedMemory, "envoy_*"))
	must.NoError(t, err)
	must.SliceEmpty(t, memory, must.Sprint("no shared memory is left"))
}

func nothingLeftOn(t *testing.T, n *agents.Node) {
	t.Helper()
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		proxies, err := n.Consul.Proxies(ctx)
		if err != nil {
			return err
		}
		if len(proxies) > 0 {
			return fmt.Errorf("%d registrations are left", len(proxies))
		}
		if pids := n.Processes("envoy"); len(pids) > 0 {
			return fmt.Errorf("the Envoys %v are left", pids)
		}
		if dirs := n.RunDirs(); len(dirs) > 0 {
			return fmt.Errorf("the directories %v are left", dirs)
		}
		return nil
	})
}

func TestEcho(t *testing.T) {
	m := runEcho(t)

	t.Run("both instances answer on dynamic ports", func(t *testing.T) {
		eventually(t, 20*time.Second, m.bothAnswer)
		listeners := map[int]bool{}
		for _, alloc := range append(m.servers, m.client) {
			proxy, err := m.proxyOf(t.Context(), alloc)
			must.NoError(t, err)
			must.Between(t, 20000, proxy.Port, 32000)
			listeners[proxy.Port] = true
		}
		must.Eq(t, 3, len(listeners))
	})

	t.Run("events tell the story", func(t *testing.T) {
		events := m.sidecarEvents(m.servers[0], "connect-proxy-echo")
		for _, sentence := range []string{"Registered echo-sidecar-proxy in Consul", "Rendered the bootstrap, xDS from http://127.0.0.1:", "Envoy 1.36.", "is ready in", "Serving: the local service accepts connections at"} {
			must.StrContains(t, events, sentence)
		}
	})

	t.Run("only the mesh gets in", func(t *testing.T) {
		proxy, err := m.proxyOf(t.Context(), m.servers[0])
		must.NoError(t, err)
		_, err = agents.SendLine(t.Context(), "tcp", fmt.Sprintf("%s:%d", proxy.Address, proxy.Port), "no certificate")
		must.Error(t, err)
	})

	t.Run("an intention denies and heals", func(t *testing.T) {
		entries := m.Consul.Client.ConfigEntries()
		_, _, err := entries.Set(&consul.ServiceIntentionsConfigEntry{
			Kind: consul.ServiceIntentions, Name: "echo",
			Sources: []*consul.SourceIntention{{Name: "echo-client", Action: consul.IntentionActionDeny}},
		}, nil)
		must.NoError(t, err)
		eventually(t, 20*time.Second, func(ctx context.Context) error {
			if _, err := m.say(ctx, "denied?"); err == nil {
				return errors.New("the denied connection works")
			}
			return nil
		})
		_, err = entries.Delete(consul.ServiceIntentions, "echo", nil)
		must.NoError(t, err)
		eventually(t, 20*time.Second, m.bothAnswer)
	})

	t.Run("the bootstrap is the one that consul prints", func(t *testing.T) {
		bootstrapEqual(t, m, m.client)
		bootstrapEqual(t, m, m.servers[0])
	})
	t.Run("the proxy is nobody's but its own", func(t *testing.T) { confined(t, m) })
	t.Run("logs, exec, signal, stats", func(t *testing.T) { taskCommands(t, m) })
	t.Run("Envoy is killed", func(t *testing.T) { envoyKilled(t, m) })
	t.Run("the plugin is killed", func(t *testing.T) { pluginKilled(t, m) })
	t.Run("the Nomad agent is stopped and killed", func(t *testing.T) { agentGone(t, m) })

	t.Run("the job is stopped", func(t *testing.T) {
		must.NoError(t, m.Nomad.Purge(t.Context(), "echo"))
		nothingLeft(t, m.Cluster)
	})
}

// confined looks at the process: its user, its privileges, its secrets.
func confined(t *testing.T, m *mesh) {
	pid := m.envoyOf(m.client)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must.NoError(t, err)
	must.StrContains(t, string(status), "NoNewPrivs:\t1")
	must.StrNotContains(t, string(status), "Uid:\t0")
	must.StrContains(t, string(status), "CapEff:\t0000000000000000")
	must.StrContains(t, string(status), "CapBnd:\t0000000000000000")
	must.StrContains(t, string(status), "Seccomp:\t2")

	dir, err := os.Stat(fmt.Sprintf("/proc/%d/cwd/.", pid))
	must.NoError(t, err)
	must.Eq(t, os.FileMode(0o700), dir.Mode().Perm())
	socket, err := os.Stat(fmt.Sprintf("/proc/%d/cwd/admin.sock", pid))
	must.NoError(t, err)
	must.Eq(t, os.FileMode(0o600), socket.Mode().Perm())
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/cwd/.", pid))
	must.NoError(t, err)
	for _, entry := range entries { // sockets of the admin API, and between generations, and where their memory is
		if entry.Name() == ".run-dir" { // whose the directory is
			continue
		}
		if entry.Type() == os.ModeSymlink {
			must.Eq(t, "shared_memory", entry.Name())
			continue
		}
		must.Eq(t, os.ModeSocket, entry.Type(), must.Sprintf("%s is a file, and the bootstrap lies in none", entry.Name()))
	}
}

func taskCommands(t *testing.T, m *mesh) {
	ctx := t.Context()
	const task = "connect-proxy-client"

	logs := m.readLogs(ctx, task)
	must.StrContains(t, logs, "starting workers")

	var stdout, stderr bytes.Buffer
	code, err := m.Nomad.Client.Allocations().Exec(ctx, m.client, task, false,
		[]string{"sh", "-c", `read line; echo "$line $NOMAD_TASK_NAME $(id -u)"; echo oops >&2; exit 7`},
		io.NopCloser(strings.NewReader("hi\n")), &stdout, &stderr, nil, nil)
	must.NoError(t, err)
	must.Eq(t, 7, code)
	must.StrHasPrefix(t, "hi "+task+" ", stdout.String())
	must.StrNotHasPrefix(t, "hi "+task+" 0\n", stdout.String(), must.Sprint("commands run as the proxy's user"))
	must.Eq(t, "oops\n", stderr.String())

	stdout.Reset()
	code, err = m.Nomad.Client.Allocations().Exec(ctx, m.client, task, true,
		[]string{"sh", "-c", "test -t 0 && echo terminal"}, io.NopCloser(strings.NewReader("")), &stdout, &stderr, nil, nil)
	must.NoError(t, err)
	must.Eq(t, 0, code)
	must.StrContains(t, stdout.String(), "terminal")

	// Envoy reopens its logs on SIGUSR1 and says so at debug level only; that
	// the signal arrives is seen by one that ends it.
	must.NoError(t, m.Nomad.Client.Allocations().Signal(m.client, nil, task, "SIGUSR1"))
	must.ErrorContains(t, m.Nomad.Client.Allocations().Signal(m.client, nil, task, "SIGNONE"), "not a signal")
	before := m.envoyOf(m.client)
	must.NoError(t, m.Nomad.Client.Allocations().Signal(m.client, nil, task, "SIGTERM"))
	m.awaitEvent(m.client, task, "Envoy exited with status 0")
	eventually(t, 20*time.Second, m.bothAnswer)
	must.NotEq(t, before, m.envoyOf(m.client))

	eventually(t, 20*time.Second, func(context.Context) error {
		stats, err := m.Nomad.Client.Allocations().Stats(m.client, nil)
		if err != nil {
			return err
		}
		usage, ok := stats.Tasks[task]
		if !ok || usage.ResourceUsage.MemoryStats.RSS < 10<<20 {
			return fmt.Errorf("no stats of the sidecar's memory: %+v", usage)
		}
		return nil
	})
}

func (m *mesh) readLogs(ctx context.Context, task string) string {
	m.t.Helper()
	cancel := make(chan struct{})
	defer close(cancel)
	frames, errs := m.Nomad.Client.AllocFS().Logs(m.client, false, task, "stderr", "start", 0, cancel, nil)
	var logs strings.Builder
	for {
		select {
		case frame, ok := <-frames:
			if !ok {
				return logs.String()
			}
			logs.Write(frame.Data)
		case err := <-errs:
			if errors.Is(err, io.EOF) {
				return logs.String()
			}
			must.NoError(m.t, err)
		case <-ctx.Done():
			m.t.Fatal(ctx.Err())
		}
	}
}

// envoyKilled: an event with the signal, another Envoy on the same ports.
func envoyKilled(t *testing.T, m *mesh) {
	server := m.servers[0]
	before, err := m.proxyOf(t.Context(), server)
	must.NoError(t, err)
	killed := time.Now()
	must.NoError(t, syscall.Kill(m.envoyOf(server), syscall.SIGKILL))
	// An earlier kill left the same sentences.
	eventually(t, 20*time.Second, func(context.Context) error {
		alloc, _, err := m.Nomad.Client.Allocations().Info(server.ID, nil)
		if err != nil {
			return err
		}
		events := strings.Join(agents.EventsSince(alloc, "connect-proxy-echo", killed), "\n")
		if strings.Contains(events, "Envoy exited while unobserved") && kernelBefore(t, 6, 15) {
			return nil // it had another parent, and the kernel does not tell
		}
		const sentence = "Envoy was killed by signal 9 (SIGKILL)"
		if !strings.Contains(events, sentence) {
			return fmt.Errorf("no new event says %q:\n%s", sentence, events)
		}
		return nil
	})
	eventually(t, 45*time.Second, func(ctx context.Context) error { // the second within a minute is Nomad's business, which waits for 15 s
		after, err := m.proxyOf(ctx, server)
		if err != nil {
			return err
		}
		if after.Meta["proxy-pid"] == before.Meta["proxy-pid"] || after.Meta["proxy-pid"] == "" {
			return errors.New("Envoy has not been restarted")
		}
		if after.Port != before.Port {
			return fmt.Errorf("restarted on port %d, not on %d", after.Port, before.Port)
		}
		return m.bothAnswer(ctx)
	})
}

func kernelBefore(t *testing.T, major, minor int) bool {
	t.Helper()
	var name unix.Utsname
	must.NoError(t, unix.Uname(&name))
	var a, b int
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &a, &b)
	must.NoError(t, err)
	return a < major || (a == major && b < minor)
}

// pluginKilled: Envoy goes on serving, the task is found again and obeys.
func pluginKilled(t *testing.T, m *mesh) {
	envoys := m.envoys()
	old := m.Plugins()
	must.Len(t, 1, old)
	must.NoError(t, syscall.Kill(old[0], syscall.SIGKILL))
	must.NoError(t, m.bothAnswer(t.Context()))
	eventually(t, 30*time.Second, func(context.Context) error {
		if now := m.Plugins(); len(now) != 1 || now[0] == old[0] {
			return fmt.Errorf("plugins: %v", now)
		}
		return nil
	})
	m.awaitObedience(m.servers[0], "connect-proxy-echo")
	must.Eq(t, envoys, m.envoys())
	// An Envoy that the new plugin is not the parent of: its end is seen all the same.
	envoyKilled(t, m)
}

// agentGone: what a restart of Nomad's client does to the sidecars is nothing.
func agentGone(t *testing.T, m *mesh) {
	for name, end := range map[string]func() error{"stopped": m.Nomad.Stop, "killed": m.Nomad.Kill} {
		envoys := m.envoys()
		must.NoError(t, end())
		must.NoError(t, m.bothAnswer(t.Context()), must.Sprint(name))
		must.NoError(t, m.Nomad.Start())
		m.awaitObedience(m.client, "connect-proxy-client")
		m.awaitObedience(m.servers[0], "connect-proxy-echo")
		m.awaitObedience(m.servers[1], "connect-proxy-echo")
		must.NoError(t, m.bothAnswer(t.Context()), must.Sprint(name))
		must.Eq(t, envoys, m.envoys(), must.Sprint(name))
	}
	m.refresh()
	envoyKilled(t, m)
}

// awaitObedience waits until Nomad and the driver have found a task again: a
// signal reaches it.
func (m *mesh) awaitObedience(alloc *api.Allocation, task string) {
	m.t.Helper()
	eventually(m.t, 30*time.Second, func(context.Context) error {
		return m.Nomad.Client.Allocations().Signal(alloc, nil, task, "SIGUSR1")
	})
}

func (m *mesh) envoys() []int {
	pids := m.Processes("envoy")
	slices.Sort(pids)
	return pids
}
