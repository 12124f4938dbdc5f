package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// webJob serves lines as "web"; its app listens only after some seconds. What
// the proxy's user needs beside it is added to the sidecar's config.
func webJob(delay int, extra string) string {
	return fmt.Sprintf(`
job "web" {
  update {
    min_healthy_time = "1s"
  }
  group "web" {
    network {
      mode = "host"
      port "app" {
        host_network = "loopback"
      }
      port "mesh" {}
      port "metrics" {
        host_network = "loopback"
      }
    }
    service {
      name = "web"
      port = "app"
    }
    task "app" {
      driver = "raw_exec"
      config {
        command = "sh"
        args    = ["-c", "sleep %d; exec socat TCP-LISTEN:$NOMAD_PORT_app,bind=127.0.0.1,fork,reuseaddr EXEC:cat"]
      }
      resources {
        cpu    = 20
        memory = 16
      }
    }
%s
  }
}`, delay, proxyTask(webSidecar+extra))
}

const webSidecar = `
        service = "web"
        sidecar_service {
          port = "mesh"
          proxy {
            config = {
              envoy_prometheus_bind_addr = "${NOMAD_ADDR_metrics}"
              envoy_stats_tags           = ["team=shop"]
            }
          }
        }
`

// socketJob is a client that finds "web" at a unix socket in its allocation.
var socketJob = fmt.Sprintf(`
job "client" {
  update {
    min_healthy_time = "1s"
  }
  group "client" {
    network {
      mode = "host"
      port "mesh" {}
    }%s%s
  }
}`, idleApp, proxyTask(`
        service = "client"
        sidecar_service {
          port       = "mesh"
          standalone = true
          proxy {
            upstreams {
              destination_name       = "web"
              local_bind_socket_path = "${NOMAD_ALLOC_DIR}/tmp/web.sock"
              local_bind_socket_mode = "0606"
            }
          }
        }`))

// Nobody is routed to a sidecar before its app accepts connections, and
// everybody soon after; its metrics are where the job says; an upstream on a
// unix socket works.
func TestSlowAppAndSocketUpstream(t *testing.T) {
	c := cluster(t)
	for _, job := range []string{webJob(4, ""), socketJob} {
		_, err := c.Nomad.Run(t.Context(), job)
		must.NoError(t, err)
	}
	health := func(ctx context.Context) (string, error) {
		entries, _, err := c.Consul.Client.Health().Service("web-sidecar-proxy", "", false, (&consul.QueryOptions{}).WithContext(ctx))
		if err != nil || len(entries) != 1 {
			return "", errors.Join(fmt.Errorf("%d sidecars", len(entries)), err)
		}
		return entries[0].Checks.AggregatedStatus(), nil
	}
	eventually(t, 20*time.Second, func(ctx context.Context) error {
		_, err := health(ctx)
		return err
	})
	alloc := awaitRunning(t, c, "web", "web")
	status, err := health(t.Context())
	must.NoError(t, err)
	must.Eq(t, "critical", status, must.Sprint("the app is asleep"))

	eventually(t, 20*time.Second, func(ctx context.Context) error {
		if status, err := health(ctx); err != nil || status != "passing" {
			return errors.Join(fmt.Errorf("the sidecar is %q", status), err)
		}
		return nil
	})
	// The app has only just begun to listen: Consul's own check, which runs
	// every ten seconds, had no part in it.
	app, err := agents.Port(alloc, "app")
	must.NoError(t, err)
	_, err = agents.SendLine(t.Context(), "tcp", app, "up")
	must.NoError(t, err)

	metrics, err := agents.Port(alloc, "metrics")
	must.NoError(t, err)
	resp, err := http.Get("http://" + metrics + "/metrics")
	must.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	exposed, err := io.ReadAll(resp.Body)
	must.NoError(t, err)
	must.RegexMatch(t, regexp.MustCompile(`envoy_server_live\{.*team="shop".*\} 1`), string(exposed))

	client := awaitRunning(t, c, "client", "client")
	socket := filepath.Join(c.Dir, "nomad/data/alloc", client.ID, "alloc/tmp/web.sock")
	eventually(t, 20*time.Second, func(ctx context.Context) error {
		answer, err := agents.SendLine(ctx, "unix", socket, "hello")
		if err == nil && answer != "hello" {
			err = fmt.Errorf("got %q back", answer)
		}
		return err
	})
	info, err := os.Stat(socket)
	must.NoError(t, err)
	must.Eq(t, fs.FileMode(0o606), info.Mode().Perm())
}

// With ACLs: the sidecar acts with the token of its task, and the token is
// nowhere that another user, or a backup of the agent's disk, could find it.
func TestToken(t *testing.T) {
	const manager = "8e9d6a3c-0d2b-4a7e-9f54-1f3d5b6c7e01"
	c := newCluster(t, agents.Options{Consul: agents.ConsulOptions{Token: manager}})
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})

	t.Run("without one", func(t *testing.T) {
		_, err := c.Nomad.Run(t.Context(), webJob(0, "ready {\n timeout = \"15s\"\n}"))
		must.NoError(t, err)
		eventually(t, 30*time.Second, func(ctx context.Context) error {
			allocs, err := c.Nomad.Allocs(ctx, "web")
			for _, alloc := range allocs {
				if events := strings.Join(agents.Events(alloc, "proxy"), "\n"); strings.Contains(events, `no ACL token is given, and who has none may not write service "web", write service "web-sidecar-proxy"`) {
					return nil
				}
			}
			return errors.Join(errors.New("no event says that no token is given"), err)
		})
		must.NoError(t, c.Nomad.Purge(t.Context(), "web"))
		nothingLeft(t, c)
	})

	t.Run("with a file that is not for it", func(t *testing.T) {
		_, err := c.Nomad.Run(t.Context(), webJob(0, fmt.Sprintf("consul {\n token_file = %q\n}", c.TokenFile())))
		must.NoError(t, err)
		eventually(t, 30*time.Second, func(ctx context.Context) error {
			allocs, err := c.Nomad.Allocs(ctx, "web")
			for _, alloc := range allocs {
				if events := strings.Join(agents.Events(alloc, "proxy"), "\n"); strings.Contains(events, "read the Consul ACL token: open "+c.TokenFile()+": permission denied") {
					return nil
				}
			}
			return errors.Join(errors.New("no event says that the file may not be read"), err)
		})
		must.NoError(t, c.Nomad.Purge(t.Context(), "web"))
		nothingLeft(t, c)
	})

	t.Run("with one", func(t *testing.T) {
		token, _, err := c.Consul.Client.ACL().TokenCreate(&consul.ACLToken{
			ServiceIdentities: []*consul.ACLServiceIdentity{{ServiceName: "web"}},
		}, nil)
		must.NoError(t, err)
		file := filepath.Join(c.Dir, "web.token")
		must.NoError(t, os.WriteFile(file, []byte(token.SecretID), 0o644))
		_, err = c.Nomad.Run(t.Context(), webJob(0, fmt.Sprintf("consul {\n token_file = %q\n}", file)))
		must.NoError(t, err)
		must.NoError(t, c.Nomad.AwaitDeployment(t.Context(), "web"))

		pids := c.Processes("envoy")
		must.Len(t, 1, pids)
		for _, secret := range []string{token.SecretID, manager} {
			for _, name := range []string{"cmdline", "environ"} {
				content, err := os.ReadFile("/proc/" + strconv.Itoa(pids[0]) + "/" + name)
				must.NoError(t, err)
				must.StrNotContains(t, string(content), secret, must.Sprint(name))
			}
		}
		must.StrContains(t, string(runningBootstrap(t, pids[0])), token.SecretID, must.Sprint("Envoy itself has it"))
		for _, place := range []string{c.Nomad.Log, filepath.Join(c.Dir, "nomad/data")} {
			must.SliceEmpty(t, filesWith(t, place, token.SecretID))
		}
		must.NoError(t, c.Nomad.Purge(t.Context(), "web"))
		nothingLeft(t, c)
	})
}

// filesWith are the regular files at or below a place that hold a text.
func filesWith(t *testing.T, place, text string) []string {
	t.Helper()
	var found []string
	must.NoError(t, filepath.WalkDir(place, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // gone meanwhile, or a directory that Nomad is unmounting
		}
		content, err := os.ReadFile(path)
		if err == nil && bytes.Contains(content, []byte(text)) {
			found = append(found, path)
		}
		return nil
	}))
	return found
}
