package driver

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nomad-driver-connect/envoy"
)

// NodeMeta is what the node's meta says of proxies, as Nomad's own Connect heeds it. Nomad
// tells a driver nothing of it, but replaces it in a task's config:
//
//	node_meta {
//	  log_level   = "${meta.connect.log_level}"
//	  concurrency = "${meta.connect.proxy_concurrency}"
//	}
//
// Nomad's client gives it on every node, "info" and "1" where the operator says nothing. So
// the job's block envoy goes before it, and so does the plugin's.
type NodeMeta struct {
	LogLevel    string `codec:"log_level"`
	Concurrency string `codec:"concurrency"`
}

// envoyDefaults hold where neither the job nor the plugin's config says anything.
type envoyDefaults struct {
	workers  int
	logLevel string
}

// nodeDefaults are those of no task in particular.
var nodeDefaults = envoyDefaults{workers: 1, logLevel: defaultLogLevel}

// over puts what the node's meta says over the driver's own defaults. The error is the
// operator's mistake, who may mend it while the task is tried again.
func (m *NodeMeta) over(d envoyDefaults) (envoyDefaults, error) {
	if m == nil {
		return d, nil
	}
	if level := strings.TrimSpace(m.LogLevel); level != "" {
		if level == "warn" { // as Envoy takes it, too
			level = "warning"
		}
		if !slices.Contains(envoy.LogLevels(), level) {
			return d, nodeMetaError("connect.log_level", m.LogLevel, "it is one of "+strings.Join(envoy.LogLevels(), ", "), "info")
		}
		d.logLevel = level
	}
	if text := strings.TrimSpace(m.Concurrency); text != "" {
		workers, err := strconv.Atoi(text)
		if err != nil || workers < 0 {
			return d, nodeMetaError("connect.proxy_concurrency", m.Concurrency, "it is a number of threads", "1")
		}
		d.workers = max(workers, 1) // Envoy, too, runs one for none
	}
	return d, nil
}

func nodeMetaError(key, value, allowed, usual string) error {
	return fmt.Errorf("the node's meta %s is %q, which node_meta of the task's config refers to; %s: have the operator correct it (nomad node meta apply %s=%s)", key, value, allowed, key, usual)
}
