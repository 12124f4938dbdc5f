package driver

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

func TestTaskSpec_bootstrap(t *testing.T) {
	inNetwork := taskOnHost()
	inNetwork.NetworkIsolation = &drivers.NetworkIsolationSpec{Mode: drivers.NetIsolationModeGroup, Path: "/var/run/netns/a1"}
	for _, tc := range []struct {
		name, hcl string
		task      *drivers.TaskConfig
		path      string
		network   process.Network
	}{
		{"Nomad's", "bootstrap {}", inNetwork, "/data/alloc/a1/proxy/secrets/envoy_bootstrap.json", "/var/run/netns/a1"},
		{"nothing said", "", taskOnHost(), "/data/alloc/a1/proxy/secrets/envoy_bootstrap.json", ""},
		{"below the task's directory", "bootstrap {\n path = \"local/../local/envoy.yaml\"\n}", taskOnHost(), "/data/alloc/a1/proxy/local/envoy.yaml", ""},
		{"anywhere", "bootstrap {\n path = \"/etc/envoy.yaml\"\n}", taskOnHost(), "/etc/envoy.yaml", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec, err := specFrom(t, tc.task, tc.hcl)
			must.NoError(t, err)
			must.Eq(t, tc.path, spec.BootstrapPath)
			must.Eq(t, tc.network, spec.Run.Network)
			must.Eq(t, &sidecar.Parent{IDPrefix: "_nomad-task-a1-group-g-"}, spec.Parent)
			must.Eq(t, "/data/alloc/a1/alloc", spec.Run.AllocDir)
		})
	}
	_, err := specFrom(t, taskOnHost(), "service = \"web\"\nbootstrap {}")
	must.EqError(t, err, "service: goes with sidecar_service only: which service a proxy stands for is in its bootstrap")
}

// What Nomad wrote for the proxy is for nobody else; what others put in its place
// is not touched.
func TestAddBootstrap(t *testing.T) {
	task := taskOnHost()
	task.AllocDir = t.TempDir()
	secrets := task.TaskDir().SecretsDir
	must.NoError(t, os.MkdirAll(secrets, 0o777))
	spec := sidecar.Spec{BootstrapPath: filepath.Join(secrets, nomadBootstrap)}
	must.ErrorContains(t, addBootstrap(&spec, task), "bootstrap.path: none is given, and Nomad has written no bootstrap")

	must.NoError(t, os.WriteFile(spec.BootstrapPath, []byte("{}"), 0o644))
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	must.NoError(t, os.WriteFile(elsewhere, nil, 0o644))
	must.NoError(t, os.Link(elsewhere, filepath.Join(secrets, ".envoy_bootstrap.cmd")))
	must.NoError(t, addBootstrap(&spec, task))
	must.Eq(t, "{}", string(spec.Bootstrap))
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		must.NoError(t, err)
		return info.Mode()
	}
	must.Eq(t, 0o600, mode(spec.BootstrapPath))
	must.Eq(t, 0o644, mode(elsewhere), must.Sprint("it has two names"))

	must.NoError(t, os.Remove(spec.BootstrapPath))
	must.NoError(t, os.Symlink(elsewhere, spec.BootstrapPath))
	must.ErrorContains(t, addBootstrap(&spec, task), "make private what Nomad wrote for the proxy")
	must.Eq(t, 0o644, mode(elsewhere))
}
