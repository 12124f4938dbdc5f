package driver

import (
	"cmp"
	"errors"
	"maps"
	"time"

	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"nomad-driver-connect/envoy"
	"nomad-driver-connect/sidecar"
)

// PluginConfig is what an operator sets for a node:
//
//	plugin "nomad-driver-connect" {
//	  config { … }
//	}
//
// All of it is optional. Jobs may set the same blocks for one task, but for hot_restart,
// metrics and allow, and of envoy and consul what allow leaves to them.
type PluginConfig struct {
	Consul     *ConsulConfig     `codec:"consul"`
	Envoy      *EnvoyConfig      `codec:"envoy"`
	Ready      *ReadyConfig      `codec:"ready"`
	Drain      *DrainConfig      `codec:"drain"`
	HotRestart *HotRestartConfig `codec:"hot_restart"`
	Allow      *AllowConfig      `codec:"allow"`
	Metrics    *MetricsConfig    `codec:"metrics"`
	Confine    string            `codec:"confine"` // auto, required, off
}

// ConsulConfig says how to reach the Consul agent of this node. What is not
// set comes from the agent's CONSUL_* environment (never the token).
type ConsulConfig struct {
	Address       string `codec:"address"`    // "127.0.0.1:8500", "https://…", "unix://…"
	TokenFile     string `codec:"token_file"` // file with an ACL token
	Namespace     string `codec:"namespace"`  // Consul Enterprise
	Partition     string `codec:"partition"`  // Consul Enterprise
	CAFile        string `codec:"ca_file"`
	CertFile      string `codec:"cert_file"`
	KeyFile       string `codec:"key_file"`
	TLSServerName string `codec:"tls_server_name"`
	GRPCAddress   string `codec:"grpc_address"` // as CONSUL_GRPC_ADDR
	GRPCCAFile    string `codec:"grpc_ca_file"` // as CONSUL_GRPC_CACERT
	AuthMethod    string `codec:"auth_method"`  // of Consul's, for the workload identities of tasks
}

// TaskConsulConfig is the part of it that a job may say otherwise. Files that
// the plugin would read as root for anybody are not among it; of token_file,
// see taskToken.
type TaskConsulConfig struct {
	Address     string `codec:"address"`
	TokenFile   string `codec:"token_file"`
	Namespace   string `codec:"namespace"`
	Partition   string `codec:"partition"`
	GRPCAddress string `codec:"grpc_address"`
	Identity    string `codec:"identity"`    // name of an identity block of the task
	AuthMethod  string `codec:"auth_method"` // of Consul's, that it is exchanged by
}

// EnvoyConfig says which Envoy runs and how.
type EnvoyConfig struct {
	Path        string   `codec:"path"` // a name is looked up in PATH
	Args        []string `codec:"args"`
	Concurrency int      `codec:"concurrency"` // worker threads
	LogLevel    string   `codec:"log_level"`
	User        string   `codec:"user"`
}

// ReadyConfig bounds the wait for Envoy.
type ReadyConfig struct {
	Timeout string `codec:"timeout"` // duration, "30s"
}

// DrainConfig bounds how long open connections may take to end.
type DrainConfig struct {
	Timeout string `codec:"timeout"` // duration, whole seconds, "30s"
}

// HotRestartConfig says when sidecars take up what has changed for all of a node or a
// mesh.
type HotRestartConfig struct {
	Spread string `codec:"spread"` // duration, "5m", or "never"
}

// defaultSpread keeps a mesh from restarting in one beat.
const defaultSpread = 5 * time.Minute

// spread is how long the sidecars of the node take to take up a change of the central
// configuration, of a CA or of Envoy's binary, each at a moment of its own; never leaves
// it to the next start and to SIGHUP.
func (c PluginConfig) spread() (d time.Duration, never bool, err error) {
	text := orZero(c.HotRestart).Spread
	switch text {
	case "":
		return defaultSpread, false, nil
	case "never":
		return 0, true, nil
	}
	if d, err = time.ParseDuration(text); err != nil || d < 0 {
		return 0, false, sidecar.Invalidf("hot_restart.spread", "%q is neither a duration such as \"5m\" (\"0s\" takes changes up at once) nor \"never\" (at the task's next start, or on SIGHUP)", text)
	}
	return d, false, nil
}

// confine is how the node's proxies are kept to what a proxy needs.
func (c PluginConfig) confine() envoy.Confine {
	return cmp.Or(envoy.Confine(c.Confine), envoy.ConfineAuto)
}

// validate finds what an operator got wrong. That Envoy is missing is not among
// it: the fingerprint says so, and notices when it appears.
func (c PluginConfig) validate() error {
	if _, err := readyTimeout(c.Ready, nil); err != nil {
		return err
	}
	if _, err := drainTimeout(c.Drain, nil); err != nil {
		return err
	}
	if _, _, err := c.spread(); err != nil {
		return err
	}
	if _, err := newAllow(c.Allow, machineAccounts); err != nil {
		return err
	}
	if _, err := c.metricsPorts(); err != nil {
		return err
	}
	if _, err := c.metricsAddress(); err != nil {
		return err
	}
	if err := oneOf("confine", string(c.confine()), envoy.Confines()...); err != nil {
		return err
	}
	_, err := envoySettings(c.Envoy, nil, nodeDefaults)
	var invalid *sidecar.InvalidError
	if errors.As(err, &invalid) {
		return err
	}
	return nil
}

// pluginConfigSpec is the schema of PluginConfig.
func pluginConfigSpec() *hclspec.Spec {
	spec := map[string]*hclspec.Spec{
		"consul": hclspec.NewBlock("consul", false, hclspec.NewObject(map[string]*hclspec.Spec{
			"address":         hclspec.NewAttr("address", "string", false),
			"token_file":      hclspec.NewAttr("token_file", "string", false),
			"namespace":       hclspec.NewAttr("namespace", "string", false),
			"partition":       hclspec.NewAttr("partition", "string", false),
			"ca_file":         hclspec.NewAttr("ca_file", "string", false),
			"cert_file":       hclspec.NewAttr("cert_file", "string", false),
			"key_file":        hclspec.NewAttr("key_file", "string", false),
			"tls_server_name": hclspec.NewAttr("tls_server_name", "string", false),
			"grpc_address":    hclspec.NewAttr("grpc_address", "string", false),
			"grpc_ca_file":    hclspec.NewAttr("grpc_ca_file", "string", false),
			"auth_method":     hclspec.NewAttr("auth_method", "string", false),
		})),
		"confine": hclspec.NewAttr("confine", "string", false),
		"hot_restart": hclspec.NewBlock("hot_restart", false, hclspec.NewObject(map[string]*hclspec.Spec{
			"spread": hclspec.NewAttr("spread", "string", false),
		})),
	}
	spec["allow"] = allowSpec()
	spec["metrics"] = metricsSpec()
	maps.Copy(spec, nodeBlocks())
	return hclspec.NewObject(spec)
}

// allowSpec is the schema of AllowConfig.
func allowSpec() *hclspec.Spec {
	return hclspec.NewBlock("allow", false, hclspec.NewObject(map[string]*hclspec.Spec{
		"envoy_path":       hclspec.NewAttr("envoy_path", "bool", false),
		"envoy_args":       hclspec.NewAttr("envoy_args", "list(string)", false),
		"users":            hclspec.NewAttr("users", "list(string)", false),
		"bootstrap_path":   hclspec.NewAttr("bootstrap_path", "bool", false),
		"consul_address":   hclspec.NewAttr("consul_address", "bool", false),
		"dynamic_user_min": hclspec.NewAttr("dynamic_user_min", "number", false),
		"dynamic_user_max": hclspec.NewAttr("dynamic_user_max", "number", false),
	}))
}

// nodeBlocks are the blocks that operators and job authors share.
func nodeBlocks() map[string]*hclspec.Spec {
	return map[string]*hclspec.Spec{
		"envoy": hclspec.NewBlock("envoy", false, hclspec.NewObject(map[string]*hclspec.Spec{
			"path":        hclspec.NewAttr("path", "string", false),
			"args":        hclspec.NewAttr("args", "list(string)", false),
			"concurrency": hclspec.NewAttr("concurrency", "number", false),
			"log_level":   hclspec.NewAttr("log_level", "string", false),
			"user":        hclspec.NewAttr("user", "string", false),
		})),
		"ready": hclspec.NewBlock("ready", false, hclspec.NewObject(map[string]*hclspec.Spec{
			"timeout": hclspec.NewAttr("timeout", "string", false),
		})),
		"drain": hclspec.NewBlock("drain", false, hclspec.NewObject(map[string]*hclspec.Spec{
			"timeout": hclspec.NewAttr("timeout", "string", false),
		})),
	}
}
