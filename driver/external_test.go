package driver

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/mesh"
	"nomad-driver-connect/process"
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
			must.Eq(t, tc.path, spec.External)
			must.Eq(t, tc.network, spec.Life.Run.Network)
			must.Nil(t, spec.Own, must.Sprint("it is registered by Nomad, or by nobody"))
		})
	}
	_, err := specFrom(t, taskOnHost(), "service = \"web\"\nbootstrap {}")
	must.EqError(t, err, "service: goes with sidecar_service only: which service a proxy stands for is in its bootstrap")
}

// What Nomad wrote for the proxy is for nobody else; what others put in its place
// is not touched.
func TestReadExternal(t *testing.T) {
	task := taskOnHost()
	task.AllocDir = t.TempDir()
	secrets := task.TaskDir().SecretsDir
	must.NoError(t, os.MkdirAll(secrets, 0o777))
	path := filepath.Join(secrets, nomadBootstrap)
	_, err := readExternal(path, task, process.User{})
	must.ErrorContains(t, err, "bootstrap.path: none is given, and Nomad has written no bootstrap")

	must.NoError(t, os.WriteFile(path, []byte("{}"), 0o644))
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	must.NoError(t, os.WriteFile(elsewhere, nil, 0o644))
	must.NoError(t, os.Link(elsewhere, filepath.Join(secrets, ".envoy_bootstrap.cmd")))
	content, err := readExternal(path, task, process.User{})
	must.NoError(t, err)
	must.Eq(t, "{}", string(content))
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		must.NoError(t, err)
		return info.Mode()
	}
	must.Eq(t, 0o600, mode(path))
	must.Eq(t, 0o644, mode(elsewhere), must.Sprint("it has two names"))

	jwt := filepath.Join(secrets, "nomad_consul_default.jwt")
	must.NoError(t, os.WriteFile(jwt, nil, 0o644))
	_, err = readExternal(path, task, process.User{})
	must.NoError(t, err)
	must.Eq(t, 0o600, mode(jwt))

	must.NoError(t, os.Remove(path))
	must.NoError(t, os.Symlink(elsewhere, path))
	_, err = readExternal(path, task, process.User{})
	must.ErrorContains(t, err, "make private what Nomad wrote for the proxy")
	must.Eq(t, 0o644, mode(elsewhere))
}

// Who has the proxy in the mesh is in its bootstrap, and so is Nomad's token.
func TestAddMember(t *testing.T) {
	const nomads = "_nomad-task-a1-group-g-web-http-sidecar-proxy"
	with := func(id string) string {
		return `{"node": {"id": "` + id + `"}, "dynamic_resources": {"ads_config": {"grpc_services": {"initial_metadata": [{"key": "x-consul-token", "value": "of Nomad"}]}}}}`
	}
	for _, tc := range []struct {
		name, content, own string // own is the job's token
		want               *mesh.NomadsRegistration
		token              string
	}{
		{"Nomad's", with(nomads), "", &mesh.NomadsRegistration{ID: nomads, OwnUser: true}, "of Nomad"},
		{"Nomad's, with a token of the job's", with(nomads), "own", &mesh.NomadsRegistration{ID: nomads, OwnUser: true}, "own"},
		{"another group's", with("_nomad-task-a2-group-g-web-http-sidecar-proxy"), "", nil, ""},
		{"nobody's", "node: {id: front-proxy}\n", "", nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			task := taskOnHost()
			task.AllocDir = t.TempDir()
			must.NoError(t, os.MkdirAll(task.TaskDir().SecretsDir, 0o777))
			spec := proxySpec{Consul: consul.Config{Token: tc.own}, roles: roles{External: filepath.Join(task.TaskDir().SecretsDir, nomadBootstrap)}}
			spec.Life.Run.User.Name = task.User
			must.NoError(t, os.WriteFile(spec.External, []byte(tc.content), 0o600))
			must.NoError(t, addMember(&spec, task))
			if tc.want != nil {
				tc.want.Source = spec.External
			}
			must.Eq(t, tc.want, spec.Nomads)
			must.Eq(t, tc.token, spec.Consul.Token)
		})
	}
	must.NoError(t, addMember(&proxySpec{}, taskOnHost()), must.Sprint("ours is rendered"))
}
