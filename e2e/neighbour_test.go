package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

const (
	// searched is how many sidecars the node has, and searchedByHand how many of those
	// that people write by hand, which are much the same.
	searched, searchedByHand = 20, 2

	consulManager = "0d3f7f0e-6f0b-4b0a-8f57-3a9e5d1c2b41"
	nomadManager  = "c1f0a7d2-2f7e-4d0c-9b7c-5e0f3a6b8d92"
)

// Somebody else with an account on a node with twenty sidecars finds no secret of theirs,
// and no way in: not in processes, files and sockets, nor by asking the agents. With what
// people write by hand he finds both.
func TestNeighbour(t *testing.T) {
	c := newCluster(t, agents.Options{Identities: true, NomadToken: nomadManager, Allow: "consul_address = true", Consul: agents.ConsulOptions{Token: consulManager}})
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	out, err := c.Shell(t.Context(), "nomad setup consul -y -jwks-url http://"+c.Nomad.HTTP+"/.well-known/jwks.json").CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))

	ours := searchNode(t, c, ways[0], searched, func(job string, _ side) string { return job })
	for what, found := range map[string][]string{"tokens": ours.Secrets, "admin APIs": ours.Admins, "sockets": ours.Sockets, "cores": ours.Cores} {
		must.SliceEmpty(t, found, must.Sprintf("%s: %v", what, found))
	}
	must.Eq(t, []string{"/v1/agent/connect/ca/leaf/app-0", "/v1/metrics"}, pathsOf(ours.Answers), must.Sprint("docs/security.md says what these tell, and to whom"))
	t.Run("a Consul of an author's", func(t *testing.T) { asksWithoutToken(t, c) })

	recipes := searchNode(t, c, ways[1], searchedByHand, func(job string, s side) string { return withRecipeToken(t, c, job, s) })
	must.SliceNotEmpty(t, recipes.Secrets, must.Sprint("else the search is not worth much"))
	must.SliceNotEmpty(t, recipes.Admins)

	t.Logf("%-34s| %-12s| %s\n%-34s| %-12d| %d\n%-34s| %-12d| %d\n%-34s| %-12d| %d\n%-34s| %-12d| %d\nfor example: %s",
		"", fmt.Sprintf("%d of ours", searched), fmt.Sprintf("%d of the recipe's", searchedByHand),
		"places searched", ours.Looked, recipes.Looked,
		"places with a token", len(ours.Secrets), len(recipes.Secrets),
		"Envoys that take commands", len(ours.Admins), len(recipes.Admins),
		"Envoys that would leave a core", len(ours.Cores), len(recipes.Cores),
		strings.Join(recipes.Secrets, ", "))
}

// asksWithoutToken points a job to a Consul of its author's, where the operator allows that.
// It is asked, and not with the plugin's token.
func asksWithoutToken(t *testing.T, c *agents.Cluster) {
	t.Helper()
	var mu sync.Mutex
	var tokens []string
	theirs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		tokens = append(tokens, r.Header.Get("X-Consul-Token"))
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer theirs.Close()
	_, err := c.Nomad.Run(t.Context(), mistakeJob("fake", "", withSidecar("", fmt.Sprintf("consul {\n address = %q\n}", strings.TrimPrefix(theirs.URL, "http://")))))
	must.NoError(t, err)
	awaitEnd(t, c, "fake")
	must.NoError(t, c.Nomad.Purge(t.Context(), "fake"))
	mu.Lock()
	defer mu.Unlock()
	must.SliceNotEmpty(t, tokens)
	must.SliceNotContains(t, tokens, consulManager)
}

// searchNode has somebody search a node with some sidecars.
func searchNode(t *testing.T, c *agents.Cluster, w way, count int, edit func(string, side) string) spoils {
	t.Helper()
	for i := range count {
		s := side{number: i}
		job, err := w.job(c, s)
		must.NoError(t, err)
		if w.plugin { // Nomad gives it the token of its service
			job = strings.Replace(job, "task \"proxy\" {", fmt.Sprintf("task \"proxy\" {\n kind = \"connect-native:%s\"", s.name()), 1)
		}
		_, err = c.Nomad.Run(t.Context(), edit(job, s))
		must.NoError(t, err)
	}
	m := &machine{Cluster: c}
	defer tellStory(t, c, side{}.name())
	eventually(t, time.Minute, func(ctx context.Context) error { return m.serve(ctx, count) })
	found := searchAs(t, c, "games", search{
		Secrets: secretsOf(t, c),
		Dirs:    []string{c.Dir, sharedMemory, "/tmp/nomad-driver-connect"},
		APIs:    apis(t, c),
	})
	for i := range count {
		must.NoError(t, w.end(t.Context(), c, side{number: i}))
	}
	return found
}

// serve tells whether so many sidecars are in the mesh, and listen. (A registration without
// a check is passing before there is an Envoy.)
func (m *machine) serve(ctx context.Context, count int) error {
	listeners, err := agents.ListenersOf(m.Processes("envoy"))
	if err != nil {
		return err
	}
	for i := range count {
		port := fmt.Sprintf(":%d", side{number: i}.meshPort())
		if !slices.ContainsFunc(listeners, func(l agents.Listener) bool { return strings.HasSuffix(l.Address, port) }) {
			return fmt.Errorf("no Envoy listens at port %s of app-%d yet", port, i)
		}
		proxies, _, err := m.Consul.Client.Health().Connect(side{number: i}.name(), "", true, (&consul.QueryOptions{}).WithContext(ctx))
		if err != nil || len(proxies) != 1 {
			return errors.Join(fmt.Errorf("app-%d has %d sidecars", i, len(proxies)), err)
		}
	}
	if envoys := m.Processes("envoy"); len(envoys) != count {
		return fmt.Errorf("%d Envoys run", len(envoys))
	}
	return nil
}

// withRecipeToken puts a token of the sidecar's own into its environment, as people do.
func withRecipeToken(t *testing.T, c *agents.Cluster, job string, s side) string {
	t.Helper()
	rules := fmt.Sprintf("service %q {\n policy = \"write\"\n}", recipeID(s))
	policy, _, err := c.Consul.Client.ACL().PolicyCreate(&consul.ACLPolicy{Name: recipeID(s), Rules: rules}, nil)
	must.NoError(t, err)
	token, _, err := c.Consul.Client.ACL().TokenCreate(&consul.ACLToken{
		ServiceIdentities: []*consul.ACLServiceIdentity{{ServiceName: s.name()}},
		Policies:          []*consul.ACLLink{{ID: policy.ID}},
	}, nil)
	must.NoError(t, err)
	return strings.Replace(job, "        CONSUL_HTTP_ADDR =", fmt.Sprintf("        CONSUL_HTTP_TOKEN = %q\n        CONSUL_HTTP_ADDR =", token.SecretID), 1)
}

// secretsOf are all tokens that there are.
func secretsOf(t *testing.T, c *agents.Cluster) []string {
	t.Helper()
	secrets := []string{consulManager, nomadManager}
	tokens, _, err := c.Consul.Client.ACL().TokenList(nil)
	must.NoError(t, err)
	for _, entry := range tokens {
		token, _, err := c.Consul.Client.ACL().TokenRead(entry.AccessorID, nil)
		must.NoError(t, err)
		if token.SecretID != "anonymous" {
			secrets = append(secrets, token.SecretID)
		}
	}
	must.Greater(t, 3, len(secrets), must.Sprint("the sidecars have tokens"))
	return secrets
}

// apis are what could tell of the sidecars.
func apis(t *testing.T, c *agents.Cluster) []string {
	t.Helper()
	var urls []string
	for _, path := range []string{
		"agent/self", "agent/services", "agent/checks", "agent/metrics", "agent/host", "catalog/services", "catalog/nodes", "health/connect/app-0",
		"kv/?recurse", "acl/tokens", "acl/policies", "acl/auth-methods", "agent/connect/ca/leaf/app-0", "config/proxy-defaults", "internal/ui/services", "connect/intentions",
	} {
		urls = append(urls, "http://"+c.Consul.HTTP+"/v1/"+path)
	}
	allocs, err := c.Nomad.Allocs(t.Context(), side{}.name())
	must.NoError(t, err)
	must.SliceNotEmpty(t, allocs)
	id := allocs[0].ID
	for _, path := range []string{
		"jobs", "job/app-0", "allocations", "allocation/" + id, "nodes", "agent/self", "agent/members", "acl/tokens", "vars", "metrics",
		"client/fs/ls/" + id + "?path=/", "client/fs/cat/" + id + "?path=/proxy/secrets/si_token", "client/fs/logs/" + id + "?task=proxy&type=stderr", "client/allocation/" + id + "/stats",
	} {
		urls = append(urls, "http://"+c.Nomad.HTTP+"/v1/"+path)
	}
	return urls
}

// pathsOf are URLs without the agents.
func pathsOf(urls []string) []string {
	paths := make([]string, 0, len(urls))
	for _, u := range urls {
		_, path, _ := strings.Cut(strings.TrimPrefix(u, "http://"), "/")
		paths = append(paths, "/"+path)
	}
	slices.Sort(paths)
	return paths
}

// searchAs runs the search as a user of the machine.
func searchAs(t *testing.T, c *agents.Cluster, name string, what search) spoils {
	t.Helper()
	account, err := exec.Command("id", "-u", name).Output()
	must.NoError(t, err)
	var uid uint32
	_, err = fmt.Sscan(string(account), &uid)
	must.NoError(t, err)
	program := filepath.Join(c.Dir, "bin", "search") // Go keeps the test's binary where only root gets
	content, err := os.ReadFile("/proc/self/exe")
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(program, content, 0o755))
	input, err := json.Marshal(what)
	must.NoError(t, err)

	cmd := exec.CommandContext(t.Context(), program)
	cmd.Dir = "/"
	cmd.Env = []string{asSearcher + "=1", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	must.NoError(t, err, must.Sprint(stderr.String()))
	var found spoils
	must.NoError(t, json.Unmarshal(out, &found))
	for _, list := range [][]string{found.Secrets, found.Admins, found.Sockets, found.Answers, found.Cores} {
		slices.Sort(list)
	}
	return found
}
