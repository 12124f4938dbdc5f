package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

const socketsJob = "../example-jobs/sockets/sockets.nomad.hcl"

// greet sends a line through a socket as a user of the machine. The path is relative to
// the directory of an allocation, as a whole one would be too long.
func greet(ctx context.Context, c *agents.Cluster, alloc *api.Allocation, user, socket string) (string, error) {
	line := fmt.Sprintf("cd %s && echo hello | socat -t 2 - UNIX-CONNECT:%s", filepath.Join(c.Dir, "nomad/data/alloc", alloc.ID, "alloc/tmp", filepath.Dir(socket)), filepath.Base(socket))
	out, err := exec.CommandContext(ctx, "setpriv", "--reuid="+user, "--regid="+user, "--clear-groups", "sh", "-c", line).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("as %s: %w: %s", user, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// A mesh with no port but the public listeners: members of the group reach it, other
// users neither the app nor the upstream.
func TestUnixSockets(t *testing.T) {
	c := cluster(t)
	hcl, err := os.ReadFile(socketsJob)
	must.NoError(t, err)
	_, err = c.Nomad.Run(t.Context(), string(hcl))
	must.NoError(t, err)
	defer tellStory(t, c, "sockets")
	must.NoError(t, c.Nomad.AwaitDeployment(t.Context(), "sockets"))
	server, client := awaitRunning(t, c, "sockets", "server"), awaitRunning(t, c, "sockets", "client")

	greeted := func(ctx context.Context) error {
		answer, err := greet(ctx, c, client, "www-data", "mesh/greet.sock")
		if err == nil && answer != "welcome--hello" {
			err = fmt.Errorf("the answer is %q", answer)
		}
		return err
	}
	eventually(t, 20*time.Second, greeted)
	for alloc, socket := range map[*api.Allocation]string{client: "mesh/greet.sock", server: "app/greet.sock"} {
		_, err := greet(t.Context(), c, alloc, "games", socket)
		must.ErrorContains(t, err, "can't cd to", must.Sprint("the directory lets nobody else pass"))
		info, err := os.Stat(filepath.Join(c.Dir, "nomad/data/alloc", alloc.ID, "alloc/tmp", filepath.Dir(socket)))
		must.NoError(t, err)
		must.Eq(t, fs.ModeSetgid, info.Mode()&fs.ModeSetgid)
		must.Eq(t, 0, info.Mode().Perm()&0o007)
	}
	must.NoError(t, onlyPublicPorts(t.Context(), c))

	// The group keeps the sockets through a hot restart, and a crash of Envoy.
	for _, alloc := range []*api.Allocation{server, client} {
		task := map[string]string{server.ID: "connect-proxy-greet", client.ID: "connect-proxy-guest"}[alloc.ID]
		since := time.Now()
		must.NoError(t, c.Nomad.Client.Allocations().Signal(alloc, nil, task, "SIGHUP"))
		awaitEvent(t, c, alloc, task, since, "Hot restart 1")
	}
	eventually(t, 20*time.Second, greeted)
	must.NoError(t, c.PurgeJobs(t.Context()))
	nothingLeft(t, c)
}

// onlyPublicPorts looks at the sockets of all that runs for jobs of the cluster.
func onlyPublicPorts(ctx context.Context, c *agents.Cluster) error {
	proxies, err := c.Consul.Proxies(ctx)
	if err != nil {
		return err
	}
	public := map[string]bool{}
	for _, p := range proxies {
		public[fmt.Sprintf("%s:%d", p.Address, p.Port)] = true
	}
	if len(public) != 2 {
		return fmt.Errorf("the example has two sidecars, and not %v", public)
	}
	listeners, err := agents.ListenersOf(slices.Concat(c.Processes("envoy"), c.Processes("socat")))
	for _, l := range listeners {
		if l.Network == "tcp" && !public[l.Address] {
			return fmt.Errorf("somebody listens at %s, which is no public listener's", l.Address)
		}
	}
	return err
}
