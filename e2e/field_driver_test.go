package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// field is a job like those that people have, on a cluster.
type field struct {
	*agents.Cluster
	t   *testing.T
	job string
}

// fieldApp accepts connections.
var fieldApp = strings.NewReplacer(`"sleep"`, `"sh"`, `["300"]`, `["-c", "exec socat TCP-LISTEN:$NOMAD_PORT_http,bind=127.0.0.1,fork,reuseaddr EXEC:cat"]`).Replace(idleApp)

// group has a service of its name before which a sidecar stands.
func (f *field) group(name, more, ports, proxy, config string) string {
	return fmt.Sprintf(`
  group %[1]q {
    %[2]s%[3]s
    network {
      mode = "host"
      port "http" {
        host_network = "loopback"
      }
      port "mesh" {}
      %[4]s
    }
    service {
      name = "%[5]s-%[1]s"
      port = "http"
    }%[6]s%[7]s
  }`, name, more, restartSoon, ports, f.job, fieldApp, proxyTask(fmt.Sprintf(`
        service = "%s-%s"
        sidecar_service {
          port = "mesh"
          proxy {
            %s
          }
        }
        %s`, f.job, name, proxy, config+quickDrain)))
}

func (f *field) run(groups ...string) {
	f.t.Helper()
	_, err := f.Nomad.Run(f.t.Context(), fmt.Sprintf("job %q {\n  update {\n    min_healthy_time = \"1s\"\n  }\n%s\n}", f.job, strings.Join(groups, "")))
	must.NoError(f.t, err)
	job := f.job
	f.t.Cleanup(func() { tellStory(f.t, f.Cluster, job) })
}

// proxyDefaults writes the config entry; nil removes it.
func (f *field) proxyDefaults(config map[string]any) {
	f.t.Helper()
	entries := f.Consul.Client.ConfigEntries()
	var err error
	if config == nil {
		_, err = entries.Delete(consul.ProxyDefaults, consul.ProxyConfigGlobal, nil)
	} else {
		_, _, err = entries.Set(&consul.ProxyConfigEntry{Kind: consul.ProxyDefaults, Name: consul.ProxyConfigGlobal, Config: config}, nil)
	}
	must.NoError(f.t, err)
}

// meta is that of a group's sidecar in Consul.
func (f *field) meta(ctx context.Context, group string) (map[string]string, error) {
	proxies, err := f.Consul.Proxies(ctx)
	for _, proxy := range proxies {
		if proxy.Service == f.job+"-"+group+"-sidecar-proxy" {
			return proxy.Meta, err
		}
	}
	return nil, errors.Join(fmt.Errorf("%s has no sidecar in Consul", group), err)
}

// scraped waits until a group's sidecar is scraped where its meta says, and gives the port.
func (f *field) scraped(group string) (port string) {
	f.t.Helper()
	eventually(f.t, 30*time.Second, func(ctx context.Context) error {
		meta, err := f.meta(ctx, group)
		if err != nil {
			return err
		}
		if port = meta["envoy_metrics_port"]; port == "" || !strings.HasSuffix(meta["metrics-address"], ":"+port) {
			return fmt.Errorf("the meta of %s is %v", group, meta)
		}
		return scrape(ctx, "http://"+meta["metrics-address"]+"/metrics", `local_cluster="`+f.job+"-"+group+`"`)
	})
	return port
}

// unscraped waits until a group's sidecar says nothing of a port.
func (f *field) unscraped(group string) {
	f.t.Helper()
	eventually(f.t, 30*time.Second, func(ctx context.Context) error {
		meta, err := f.meta(ctx, group)
		if err == nil && (meta["envoy_metrics_port"] != "" || meta["metrics-address"] != "") {
			err = fmt.Errorf("the meta of %s is %v", group, meta)
		}
		return err
	})
}

func scrape(ctx context.Context, url, want string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err == nil && !strings.Contains(string(body), want) {
		err = fmt.Errorf("%s answers %s without %s", url, answer.Status, want)
	}
	return err
}

// listeners are the names of those that a group's Envoy has.
func (f *field) listeners(group string) string {
	f.t.Helper()
	found := generations(f.t, f.Cluster, awaitRunning(f.t, f.Cluster, f.job, group))
	for _, pid := range found {
		body, err := agents.AskEnvoy(f.t.Context(), pid, "/listeners")
		must.NoError(f.t, err)
		return string(body)
	}
	f.t.Fatal("no Envoy runs for " + group)
	return ""
}

// restarted has a group's sidecar hot restarted.
func (f *field) restarted(group string) {
	f.t.Helper()
	alloc, since := awaitRunning(f.t, f.Cluster, f.job, group), time.Now()
	eventually(f.t, 30*time.Second, func(context.Context) error { // the plugin may be another, which looks for it first
		return f.Nomad.Client.Allocations().Signal(alloc, nil, "proxy", "SIGHUP")
	})
	awaitEvent(f.t, f.Cluster, alloc, "proxy", since, "(SIGHUP): Envoy")
}

// Of a node's sidecars each is scraped at a port of its own, whatever one port proxy-defaults
// gives all of them, and whenever; a job may say another, or none.
func TestField_metricsOfProxyDefaults(t *testing.T) {
	f := &field{Cluster: cluster(t), t: t, job: "pd"}
	all := map[string]any{"envoy_prometheus_bind_addr": "0.0.0.0:9102"}
	f.proxyDefaults(all)
	t.Cleanup(func() { f.proxyDefaults(nil) })
	f.run(
		f.group("a", "", "", "", ""), f.group("b", "", "", "", ""),
		f.group("off", "", "", `config = { envoy_prometheus_bind_addr = "" }`, ""),
		f.group("own", "", "port \"metrics\" {\n host_network = \"loopback\"\n}", `config = { envoy_prometheus_bind_addr = "${NOMAD_ADDR_metrics}" }`, ""))
	must.NoError(t, f.Nomad.AwaitDeployment(t.Context(), f.job))

	a, b := f.scraped("a"), f.scraped("b")
	must.NotEq(t, a, b)
	must.StrNotContains(t, f.listeners("off"), "prometheus")
	f.unscraped("off")
	f.unscraped("own")
	own, err := agents.Port(awaitRunning(t, f.Cluster, f.job, "own"), "metrics")
	must.NoError(t, err)
	must.NoError(t, scrape(t.Context(), "http://"+own+"/metrics", "envoy_server_live"))

	f.restarted("a")
	must.Eq(t, a, f.scraped("a"))
	must.NoError(t, syscall.Kill(f.Plugins()[0], syscall.SIGKILL))
	f.restarted("b")
	must.Eq(t, b, f.scraped("b"), must.Sprint("it was found again"))

	f.proxyDefaults(nil)
	f.unscraped("a")
	f.unscraped("b")
	f.proxyDefaults(all)
	must.Eq(t, a, f.scraped("a"))
	must.Eq(t, b, f.scraped("b"))
	for _, group := range []string{"a", "b", "off", "own"} {
		alloc, _, err := f.Nomad.Client.Allocations().Info(awaitRunning(t, f.Cluster, f.job, group).ID, nil)
		must.NoError(t, err)
		must.StrNotContains(t, strings.Join(agents.Events(alloc, "proxy"), "\n"), "failed")
	}
	must.NoError(t, f.Nomad.Purge(t.Context(), f.job))
	nothingLeft(t, f.Cluster)
}

// said waits until an event of a sidecar of a job says something.
func (f *field) said(group, part string) {
	f.t.Helper()
	var events []string
	eventually(f.t, 45*time.Second, func(ctx context.Context) error {
		allocs, err := f.Nomad.Allocs(ctx, f.job)
		events = nil
		for _, alloc := range allocs {
			if alloc.TaskGroup == group {
				events = append(events, agents.Events(alloc, "proxy")...)
			}
		}
		if slices.ContainsFunc(events, func(event string) bool { return strings.Contains(event, part) }) {
			return err
		}
		return errors.Join(fmt.Errorf("no event of %s says %q, but:\n%s", group, part, strings.Join(events, "\n")), err)
	})
}

// extraListener is one at an address, in Envoy's own JSON.
func extraListener(address string) string {
	return `{"name": "x", "address": {` + address + `}, "filter_chains": [{"filters": [{"name": "tcp", "typed_config": {
		"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "x", "cluster": "local_agent"}}]}]}`
}

// A port of the bootstrap that somebody has is told of with what gives it and what to do,
// and what Envoy alone finds out, in its words.
func TestField_takenListeners(t *testing.T) {
	f := &field{Cluster: cluster(t), t: t, job: "taken"}
	f.run(
		f.group("two", "count = 2", "", `config = { envoy_prometheus_bind_addr = "127.0.0.1:9102" }`, ""),
		f.group("nowhere", "", "", `config = { envoy_stats_bind_addr = "192.0.2.1:9103" }`, ""),
		f.group("pipe", "", "", fmt.Sprintf("config = { envoy_extra_static_listeners_json = %q }", extraListener(`"pipe": {"path": "/nowhere/x.sock"}`)), ""))
	f.said("two", `the port 127.0.0.1:9102 (envoy_prometheus_bind_addr of the job's proxy.config) is already in use by another process; give it a port that Nomad chooses: port "metrics" {} in the group's network block`)
	f.said("nowhere", "the address of port 192.0.2.1:9103 (envoy_stats_bind_addr of the job's proxy.config) does not belong to this machine")
	f.said("pipe", "(its last words: ")
	f.said("pipe", "cannot bind '/nowhere/x.sock'")
	must.NoError(t, f.Nomad.Purge(t.Context(), f.job))

	f.job = "entry"
	f.proxyDefaults(map[string]any{"envoy_extra_static_listeners_json": extraListener(`"socket_address": {"address": "127.0.0.1", "port_value": 9104}`)})
	t.Cleanup(func() { f.proxyDefaults(nil) })
	f.run(
		f.group("two", "count = 2", "", "", ""),
		f.group("off", "", "", `config = { envoy_extra_static_listeners_json = "" }`, ""))
	f.said("two", "the port 127.0.0.1:9104 (envoy_extra_static_listeners_json of Consul's config entry proxy-defaults) is already in use by another process; the entry has every sidecar of the node listen there")
	f.said("off", " is ready in ")
	must.NoError(t, f.Nomad.Purge(t.Context(), f.job))
	nothingLeft(t, f.Cluster)
}

// What the node's meta says of proxies holds, unless the job says otherwise.
func TestField_nodeMeta(t *testing.T) {
	f := &field{Cluster: cluster(t), t: t, job: "meta"}
	f.nodeMeta("debug", "2")
	t.Cleanup(func() { f.nodeMeta("info", "1") }) // as Nomad's client has them; to unset them leaves no job anything to refer to
	const refer = "node_meta {\n log_level = \"${meta.connect.log_level}\"\n concurrency = \"${meta.connect.proxy_concurrency}\"\n}\n"
	groups := []string{
		f.group("refers", "", "", "", refer),
		f.group("direct", "", "", "", "envoy {\n log_level = \"${meta.connect.log_level}\"\n concurrency = \"${meta.connect.proxy_concurrency}\"\n}\n"),
		f.group("says", "", "", "", refer+"envoy {\n log_level = \"error\"\n concurrency = 3\n}\n"),
		f.group("silent", "", "", "", ""),
	}
	f.run(groups...)
	must.NoError(t, f.Nomad.AwaitDeployment(t.Context(), f.job))
	for group, want := range map[string][2]string{"refers": {"debug", "2"}, "direct": {"debug", "2"}, "says": {"error", "3"}, "silent": {"info", "1"}} {
		alloc := awaitRunning(t, f.Cluster, f.job, group)
		for _, pid := range generations(t, f.Cluster, alloc) {
			args := agents.CommandLine(pid)
			must.Eq(t, want, [2]string{args[slices.Index(args, "--log-level")+1], args[slices.Index(args, "--concurrency")+1]}, must.Sprint(group))
		}
	}
	must.NoError(t, f.Nomad.Purge(t.Context(), f.job))

	f.nodeMeta("debug", "all")
	f.job = "wrong"
	f.run(f.group("refers", "", "", "", refer))
	f.said("refers", `the node's meta connect.proxy_concurrency is "all"`)
	f.nodeMeta("debug", "2")
	f.said("refers", " is ready in ")
	must.NoError(t, f.Nomad.Purge(t.Context(), f.job))
	nothingLeft(t, f.Cluster)
}

// nodeMeta changes what the node's meta says of proxies, as `nomad node meta apply` does.
func (f *field) nodeMeta(level, concurrency string) {
	f.t.Helper()
	node, err := f.Nomad.Node(context.WithoutCancel(f.t.Context()))
	must.NoError(f.t, err)
	_, err = f.Nomad.Client.Nodes().Meta().Apply(&api.NodeMetaApplyRequest{
		NodeID: node.ID, Meta: map[string]*string{"connect.log_level": &level, "connect.proxy_concurrency": &concurrency},
	}, nil)
	must.NoError(f.t, err)
}

// A token that Consul does not know for a while is told of, another in its file is taken
// whenever it comes, and a stop withdraws with what is there then.
func TestField_tokenThatWasGone(t *testing.T) {
	const manager = "5f0d1c92-6a3b-4f0e-8a55-3a1c6b7d2e04"
	c := newCluster(t, agents.Options{Consul: agents.ConsulOptions{Token: manager, Config: "acl {\n token_ttl = \"1s\"\n}\n"}})
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	file, acl := filepath.Join(c.Dir, "web.token"), c.Consul.Client.ACL()
	create := func() *consul.ACLToken {
		token, _, err := acl.TokenCreate(&consul.ACLToken{ServiceIdentities: []*consul.ACLServiceIdentity{{ServiceName: "web"}}}, nil)
		must.NoError(t, err)
		must.NoError(t, os.WriteFile(file+".new", []byte(token.SecretID), 0o644))
		must.NoError(t, os.Rename(file+".new", file))
		return token
	}
	gone := func(alloc *api.Allocation, token *consul.ACLToken) {
		since := time.Now()
		_, err := acl.TokenDelete(token.AccessorID, nil)
		must.NoError(t, err)
		awaitEvent(t, c, alloc, "proxy", since, "any more: it was deleted, or has ended; Envoy serves on with what it has, and another is taken as soon as it lies there")
	}
	token := create()
	_, err := c.Nomad.Run(t.Context(), webJob(0, fmt.Sprintf("consul {\n token_file = %q\n}\n%s", file, quickDrain)))
	must.NoError(t, err)
	must.NoError(t, c.Nomad.AwaitDeployment(t.Context(), "web"))
	alloc := awaitRunning(t, c, "web", "web")

	gone(alloc, token)
	downFor(t, 20*time.Second) // every question meanwhile is refused
	since := time.Now()
	token = create()
	awaitEvent(t, c, alloc, "proxy", since, "(its token has changed): Envoy")
	gone(alloc, token)
	create()
	must.NoError(t, c.Nomad.Purge(t.Context(), "web"))
	log, err := os.ReadFile(c.Nomad.Log)
	must.NoError(t, err)
	must.StrNotContains(t, string(log), "could not withdraw")
	nothingLeft(t, c)
}
