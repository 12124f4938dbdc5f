package envoy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	capi "github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

func TestBootstrapFiles(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, content string
		read, write   []string
	}{
		{"nothing", `{}`, nil, nil},
		{"no JSON", `x`, nil, nil},
		{"a certificate", `{"a": [{"tls_certificates": {"private_key": {"filename": "/k"}}}]}`, []string{"/k"}, nil},
		{"directories that are watched", `{"watchedDirectory": {"path": "/w"}, "path_config_source": {"path": "/c"}}`, []string{"/c", "/w"}, nil},
		{"lists of listeners and clusters", `{"dynamic_resources": {"lds_config": {"path": "/lds"}}, "rds": {"config_source": {"path": "/rds"}}}`, []string{"/lds", "/rds"}, nil},
		{"runtime", `{"disk_layer": {"symlinkRoot": "/r"}}`, []string{"/r"}, nil},
		{"an access log", `{"access_log": [{"typed_config": {"@type": "x/FileAccessLog", "path": "/log"}}]}`, nil, []string{"/log"}},
		{"that of the admin API", `{"admin": {"accessLogPath": "/log"}}`, nil, []string{"/log"}},
		{"a tap", `{"file_per_tap": {"path_prefix": "/taps/x"}}`, nil, []string{"/taps/x"}},
		{"a socket to listen on", `{"listeners": [{"address": {"pipe": {"path": "/s"}}}]}`, nil, []string{"/s"}},
		{"a socket to connect to", `{"clusters": [{"load_assignment": {"endpoints": [{"endpoint": {"address": {"pipe": {"path": "/s"}}}}]}}]}`, nil, nil},
		{"a route", `{"match": {"path": "/", "prefix": "/x"}, "redirect": {"path_redirect": "/y"}}`, nil, nil},
		{"JSON in JSON", `{"envoy_public_listener_json": "{\"tls\": {\"filename\": \"/k\"}}"}`, []string{"/k"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := bootstrapFiles([]byte(tc.content))
			slices.Sort(got.read)
			must.Eq(t, tc.read, got.read)
			must.Eq(t, tc.write, got.write)
		})
	}
}

// The registration and the entries name the files that Envoy hears of only over xDS.
func TestEntryFiles(t *testing.T) {
	t.Parallel()
	got := entryFiles(bootstrap.Inputs{
		AccessLogs: &capi.AccessLogsConfig{Path: "/var/log/mesh.log"},
		Proxy: &capi.AgentService{Proxy: &capi.AgentServiceConnectProxyConfig{
			Config: map[string]any{"envoy_public_listener_json": `{"filename": "/key"}`},
			EnvoyExtensions: []capi.EnvoyExtension{{Name: "builtin/wasm", Arguments: map[string]any{
				"Plugin": map[string]any{"VmConfig": map[string]any{"Code": map[string]any{"Local": map[string]any{"Filename": "/filter.wasm"}}}},
			}}},
			Upstreams: []capi.Upstream{
				{LocalBindSocketPath: "/sockets/web"},
				{Config: map[string]any{"envoy_cluster_json": `{"filename": "/ca"}`}},
			},
		}},
	})
	must.Eq(t, []string{"/key", "/filter.wasm", "/ca"}, got.read)
	must.Eq(t, []string{"/var/log/mesh.log", "/sockets/web", ""}, got.write)
	must.Eq(t, namedFiles{}, entryFiles(bootstrap.Inputs{Proxy: &capi.AgentService{}}))
}

// A socket in the allocation is named from the directory that Envoy works in.
func TestNamedFiles_from(t *testing.T) {
	t.Parallel()
	got := namedFiles{read: []string{"/ca", "ca"}, write: []string{"../../../alloc/tmp/web.sock", ""}}.from("/a/task/secrets/connect")
	must.Eq(t, namedFiles{read: []string{"/ca", "/a/task/secrets/connect/ca"}, write: []string{"/a/alloc/tmp/web.sock", ""}}, got)
}

// A file is granted with what it is replaced in; directories of everybody are not.
func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dir, err := filepath.EvalSymlinks(dir)
	must.NoError(t, err)
	at := func(name string) string { return filepath.Join(dir, name) }
	must.NoError(t, os.MkdirAll(at("certs/real"), 0o755))
	must.NoError(t, os.WriteFile(at("certs/real/ca.pem"), nil, 0o600))
	must.NoError(t, os.Mkdir(at("links"), 0o755))
	must.NoError(t, os.Symlink(at("certs/real/ca.pem"), at("links/ca.pem")))
	must.NoError(t, os.Symlink("/dev/stdout", at("links/stdout")))
	for _, tc := range []struct {
		file string
		want []string
	}{
		{at("certs/real/ca.pem"), []string{at("certs/real"), at("certs/real/ca.pem")}},
		{at("links/ca.pem"), []string{at("certs/real"), at("links"), at("links/ca.pem")}},
		{at("certs"), []string{at("certs")}},
		{at("not/there/yet.log"), []string{dir, at("not/there/yet.log")}},
		{"/yet.log", []string{"/yet.log"}},
		{"/", nil},
		{"/dev/stdout", nil},
		{"/dev/fd/1", nil},
		{"/proc/self/fd/1", nil},
		{at("links/stdout"), nil},
		{"relative.log", nil},
		{"", nil},
	} {
		t.Run(tc.file, func(t *testing.T) {
			t.Parallel()
			got, err := find(namedFiles{read: []string{tc.file}}, sidecar.Run{})
			must.NoError(t, err)
			must.Eq(t, tc.want, got.read)
		})
	}
}

// Lists of listeners and clusters name files, and lists that do. Only those that Envoy may
// read itself are looked at.
func TestFind_lists(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must.NoError(t, err)
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, content := range map[string]string{
		"lds.yaml":    "resources: [{tls_certificates: [{private_key: {filename: /no/key.pem}}]}]",
		"cds.json":    `{"resources": [{"eds_config": {"path_config_source": {"path": "lists/eds.json"}}}]}`,
		"eds.json":    `{"filename": "/no/ca.pem"}`,
		"loop.json":   `{"lds_config": {"path": "lists/loop.json"}}`,
		"broken.json": `{`,
		"hidden.json": `{"filename": "/no/hidden.pem"}`,
	} {
		must.NoError(t, os.MkdirAll(at("lists"), 0o755))
		must.NoError(t, os.WriteFile(at("lists/"+name), []byte(content), 0o644))
	}
	run := sidecar.Run{Dir: dir}
	if os.Geteuid() == 0 {
		run.User = process.User{Name: "envoy", UID: 81009, GID: 81009, Switch: true}
		for _, d := range []string{filepath.Dir(dir), dir} {
			must.NoError(t, os.Chmod(d, 0o755))
		}
	}
	must.NoError(t, os.Chmod(at("lists/hidden.json"), 0))
	var files namedFiles
	for _, list := range []string{"lds.yaml", "cds.json", "loop.json", "broken.json", "hidden.json", "none.json"} {
		files = files.with(bootstrapFiles(fmt.Appendf(nil, `{"lds_config": {"path": %q}}`, at("lists/"+list))))
	}
	found, err := find(files, run)
	must.NoError(t, err)
	must.SliceContains(t, found.read, at("lists"))
	must.SliceContains(t, found.read, "/no/key.pem")
	must.SliceContains(t, found.read, "/no/ca.pem")
	must.SliceNotContains(t, found.read, "/no/hidden.pem")
}

// Nobody knows what Envoy hears of from the management server of a bootstrap that is given:
// it has the directories of its task.
func TestExternal_files(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must.NoError(t, err)
	dirs := File{AllocDir: dir + "/alloc", LocalDir: dir + "/local", SecretsDir: dir + "/secrets"}
	for _, d := range []string{dirs.AllocDir, dirs.LocalDir, dirs.SecretsDir} {
		must.NoError(t, os.Mkdir(d, 0o755))
	}
	dirs.Read = func() ([]byte, error) {
		return []byte(`{"node": {"id": "x"}, "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 19000}}}}`), nil
	}
	e := NewExternal(World{Run: sidecar.Run{Dir: dir}, Emit: func(string) {}, Settings: func() (Settings, error) { return Settings{Path: "/envoy"}, nil }}, dirs)
	next, err := e.Next(t.Context(), sidecar.Place{}, 0)
	must.NoError(t, err)
	must.SliceContainsSubset(t, next.Confinement.Write, []string{dirs.AllocDir, dirs.LocalDir})
	must.SliceContains(t, next.Confinement.Read, dirs.SecretsDir)
}

func TestArgFiles(t *testing.T) {
	t.Parallel()
	got := argFiles([]string{"--log-path", "/var/log/envoy.log", "--x=/y", "--concurrency", "2"})
	must.Eq(t, namedFiles{write: []string{"/var/log/envoy.log", "/y"}}, got)
}

func TestProgram_confine(t *testing.T) {
	t.Parallel()
	p := program{World: World{Run: sidecar.Run{Dir: "/run", Stdout: "/out", Stderr: "/err"}}}
	got, err := p.confine(Settings{Confine: ConfineOff}, namedFiles{})
	must.NoError(t, err)
	must.Nil(t, got)
	for confine, required := range map[Confine]bool{"": false, ConfineAuto: false, ConfineRequired: true} {
		got, err := p.confine(Settings{Confine: confine}, namedFiles{})
		must.NoError(t, err)
		must.Eq(t, &process.Confinement{Write: []string{"/run", "/out", "/err", "/dev/shm"}, Required: required}, got)
	}
}

// One event says what the kernel lacks, unless confine is off. With "required" no Envoy starts.
func TestProgram_judgeNode(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		confine    Confine
		kernel     process.Kernel
		event, err string
	}{
		{ConfineAuto, process.Kernel{Landlock: 1, Seccomp: true}, "", ""},
		{ConfineRequired, process.Kernel{Landlock: 1, Seccomp: true}, "", ""},
		{ConfineAuto, process.Kernel{Seccomp: true}, "as far as this node can: the kernel has no Landlock", ""},
		{ConfineRequired, process.Kernel{Landlock: 1}, "", "cannot be confined as confine = \"required\""},
		{ConfineOff, process.Kernel{}, "", ""},
	} {
		var events string
		p := program{World: World{Emit: func(event string) { events += event }}}
		err := p.judgeNode(tc.confine, tc.kernel)
		if tc.err != "" {
			must.ErrorContains(t, err, tc.err)
		} else {
			must.NoError(t, err)
		}
		must.StrContains(t, events, tc.event)
		must.Eq(t, tc.event == "", events == "")
	}
}
