package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
	"google.golang.org/protobuf/proto"

	"nomad-driver-connect/e2e/agents"
	"nomad-driver-connect/e2e/parity"
)

var update = flag.Bool("update", false, "record the agents' answers and the bootstraps anew")

const parityData = "parity/testdata"

// TestBootstrapParity runs the bootstrap command and `consul connect envoy
// -bootstrap` in every case of package parity, on real agents. Envoy itself
// says whether a result is one. As many cases run at a time as there are processors.
func TestBootstrapParity(t *testing.T) {
	b := newParityBench(t)
	for i, c := range parity.All() {
		t.Run(c.Slug(), func(t *testing.T) {
			if i > 0 { // the others are recorded as what differs from the first
				t.Parallel()
			}
			b.run(t, c, i == 0)
		})
	}
}

// parityBench is what the cases have in common.
type parityBench struct {
	driver, consul, envoy string // absolute paths
	files                 string // where the commands run
	agents                map[parity.Agent]*agents.Consul

	// alone is held by a case that changes what its agent knows, and shared by those
	// that find it as it was.
	alone map[parity.Agent]*sync.RWMutex
}

func newParityBench(t *testing.T) *parityBench {
	bin, err := filepath.Abs(*tools)
	must.NoError(t, err)
	driver, err := filepath.Abs(*plugin)
	must.NoError(t, err)
	b := &parityBench{driver: driver, consul: filepath.Join(bin, "consul"), envoy: filepath.Join(bin, "envoy"), files: t.TempDir()}
	must.NoError(t, os.CopyFS(b.files, os.DirFS(filepath.Join(parityData, "files"))))
	writeCertificates(t, filepath.Join(b.files, "https"))
	b.startAgents(t, bin)
	return b
}

// startAgents starts one of each kind, at the ports that the cases name.
func (b *parityBench) startAgents(t *testing.T, bin string) {
	https := fmt.Sprintf(`
		ports { https = 8511, grpc_tls = 8513 }
		tls { defaults { ca_file = "%[1]s/ca.pem", cert_file = "%[1]s/cert.pem", key_file = "%[1]s/key.pem" } }`, filepath.Join(b.files, "https"))
	all := map[parity.Agent]agents.ConsulOptions{
		parity.Plain: {HTTPPort: 8500, GRPCPort: 8502},
		parity.TLS:   {HTTPPort: 8510, GRPCPort: 8512, Config: https},
		parity.ACL:   {HTTPPort: 8520, GRPCPort: 8522, Token: parity.ManagementToken},
		parity.Off:   {HTTPPort: 8530, NoGRPC: true},
		parity.IPv6:  {HTTPPort: 8540, GRPCPort: 8542, Config: `bind_addr = "::1"`},
	}
	b.agents, b.alone = map[parity.Agent]*agents.Consul{}, map[parity.Agent]*sync.RWMutex{}
	dir := t.TempDir()
	var mu sync.Mutex
	t.Run("agents", func(t *testing.T) {
		for kind, opts := range all {
			t.Run(string(kind), func(t *testing.T) {
				t.Parallel()
				c, err := agents.StartConsul(t.Context(), bin, filepath.Join(dir, string(kind)), opts)
				must.NoError(t, err)
				mu.Lock()
				b.agents[kind], b.alone[kind] = c, &sync.RWMutex{}
				mu.Unlock()
				for _, service := range parity.Services() {
					must.NoError(t, c.Client.Agent().ServiceRegister(service))
				}
			})
		}
	})
	t.Cleanup(func() {
		for _, c := range b.agents {
			must.NoError(t, c.Stop())
		}
	})
	must.False(t, t.Failed())
	b.makeSidecarToken(t)
}

// makeSidecarToken makes the token of a sidecar that may see no more than it needs.
func (b *parityBench) makeSidecarToken(t *testing.T) {
	_, _, err := b.agents[parity.ACL].Client.ACL().TokenCreate(&api.ACLToken{
		SecretID:          parity.SidecarToken,
		ServiceIdentities: []*api.ACLServiceIdentity{{ServiceName: "web"}},
	}, nil)
	must.NoError(t, err)
}

// result is what a command did.
type result struct {
	stdout, stderr []byte
	status         int
}

func (b *parityBench) run(t *testing.T, c parity.Case, first bool) {
	ours, theirs, replies := b.ask(t, c)
	b.compare(t, c, ours, theirs)
	if *update && !c.Live {
		if first {
			must.NoError(t, parity.SaveBase(parityData, ours.stdout))
		}
		must.NoError(t, parity.Save(parityData, c, replies, ours.stdout))
	}
}

// ask runs both commands in the case's world, and gives what the agent answered to ours.
func (b *parityBench) ask(t *testing.T, c parity.Case) (ours, theirs result, replies map[string]parity.Reply) {
	t.Helper()
	defer b.prepare(t, c)()
	agent, words := b.agents[c.Agent], strings.Fields(c.Args)
	theirs = b.command(t, c, agent.HTTP, b.consul, append([]string{"connect", "envoy", "-bootstrap"}, words...))
	registered := b.withdraw(t, agent)
	recorder := parity.Record(agent.HTTP)
	defer recorder.Close()
	ours = b.command(t, c, strings.TrimPrefix(recorder.URL, "http://"), b.driver, append([]string{"bootstrap"}, words...))
	must.Eq(t, registered, b.withdraw(t, agent), must.Sprint("what -register tells Consul"))
	return ours, theirs, recorder.Replies()
}

// compare holds the two results against each other and against the case.
func (b *parityBench) compare(t *testing.T, c parity.Case, ours, theirs result) {
	t.Helper()
	if c.Differs != "" && theirs.status == 0 {
		complaint := b.validate(t, theirs.stdout)
		must.Eq(t, strings.Contains(c.Differs, "Envoy refuses"), complaint != "", must.Sprintf("Envoy on consul's bootstrap: %q\n%s", complaint, theirs.stdout))
	}
	if c.Error != "" {
		must.Eq(t, 1, ours.status)
		must.Eq(t, "", string(ours.stdout), must.Sprint("no result, no output"))
		must.StrContains(t, string(ours.stderr), c.Error)
		must.Eq(t, c.Differs != "", theirs.status == 0, must.Sprintf("consul prints\n%s\nand says\n%s", theirs.stdout, theirs.stderr))
		return
	}
	must.Eq(t, 0, ours.status, must.Sprintf("%s", ours.stderr))
	must.StrContains(t, string(ours.stderr), c.Warning)
	must.Eq(t, c.Warning == "", len(ours.stderr) == 0, must.Sprintf("what is said beside the result: %s", ours.stderr))
	complaint := b.validate(t, ours.stdout)
	must.Eq(t, c.Unfit, complaint != "", must.Sprintf("Envoy on our bootstrap: %q\n%s", complaint, ours.stdout))
	if c.Differs != "" && theirs.status != 0 {
		return
	}
	must.Eq(t, 0, theirs.status, must.Sprintf("consul complains: %s", theirs.stderr))
	want, got := readBootstrap(t, theirs.stdout), readBootstrap(t, ours.stdout)
	must.Eq(t, c.Differs == "", proto.Equal(want, got), must.Sprintf("consul prints\n%s\nwe print\n%s", theirs.stdout, ours.stdout))
}

// prepare brings the agent into the state that the case is about. Its result takes
// that away again.
func (b *parityBench) prepare(t *testing.T, c parity.Case) (restore func()) {
	t.Helper()
	agent, alone := b.agents[c.Agent].Client, b.alone[c.Agent]
	if c.Config == nil && c.AccessLogs == nil && !strings.Contains(c.Args, "-register") {
		alone.RLock()
		return alone.RUnlock
	}
	alone.Lock()
	restore = func() {
		defer alone.Unlock()
		must.NoError(t, agent.Agent().ServiceRegister(parity.Sidecar(nil)))
		_, err := agent.ConfigEntries().Delete(api.ProxyDefaults, api.ProxyConfigGlobal, nil)
		must.NoError(t, err)
	}
	err := agent.Agent().ServiceRegister(parity.Sidecar(c.Config))
	if err == nil && c.AccessLogs != nil {
		_, _, err = agent.ConfigEntries().Set(&api.ProxyConfigEntry{Kind: api.ProxyDefaults, Name: api.ProxyConfigGlobal, AccessLogs: c.AccessLogs}, nil)
	}
	if err != nil {
		restore()
		t.Fatal("prepare the agent:", err)
	}
	return restore
}

// withdraw removes what -register registered, and gives it.
func (b *parityBench) withdraw(t *testing.T, agent *agents.Consul) map[string]any {
	t.Helper()
	known := map[string]bool{}
	for _, service := range parity.Services() {
		known[service.ID] = true
	}
	services, err := agent.Client.Agent().Services()
	must.NoError(t, err)
	checks, err := agent.Client.Agent().Checks()
	must.NoError(t, err)
	found := map[string]any{}
	for id, service := range services {
		if known[id] {
			continue
		}
		service.ContentHash = ""
		text, err := json.Marshal(service)
		must.NoError(t, err)
		found[id] = string(text)
		for _, check := range checks {
			if check.ServiceID == id {
				found[id+"/"+check.CheckID] = fmt.Sprint(check.Name, check.Type, check.Definition)
			}
		}
		must.NoError(t, agent.Client.Agent().ServiceDeregister(id))
	}
	return found
}

// command runs one of the two in the case's environment, and no other.
func (b *parityBench) command(t *testing.T, c parity.Case, address, path string, args []string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = b.files
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.files}, "CONSUL_HTTP_ADDR="+address)
	cmd.Env = append(cmd.Env, c.Env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{stdout.Bytes(), stderr.Bytes(), cmd.ProcessState.ExitCode()}
}

// validate gives Envoy's complaint about a bootstrap; empty for none.
func (b *parityBench) validate(t *testing.T, bootstrap []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bootstrap.json")
	must.NoError(t, os.WriteFile(file, bootstrap, 0o644))
	return envoyComplaint(t.Context(), b.envoy, b.files, file)
}

func envoyComplaint(ctx context.Context, envoy, dir, file string) string {
	cmd := exec.CommandContext(ctx, envoy, "--mode", "validate", "-l", "error", "-c", file)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	return fmt.Sprintf("%v: %s", err, out)
}
