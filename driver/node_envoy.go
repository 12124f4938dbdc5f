package driver

import (
	"context"
	"fmt"
	"time"

	"nomad-driver-connect/envoy"
	"nomad-driver-connect/files"
	"nomad-driver-connect/process"
)

// nodeEnvoy is the Envoy that jobs have when they name none, as it was a moment ago:
// all sidecars of the node look every few seconds whether it has changed. What is
// started is looked for anew.
type nodeEnvoy struct {
	configured string // what the operator says; empty for what is in PATH
	path       string
	binary     files.Stamp
	err        error // there is none
	at         time.Time
}

// momentAgo is how old it may be.
const momentAgo = 2 * time.Second

// nodeEnvoyNow finds it.
func (p *Plugin) nodeEnvoyNow() nodeEnvoy {
	configured := orZero(p.config.Load().Envoy).Path
	if known := p.nodeEnvoy.Load(); known != nil && known.configured == configured && time.Since(known.at) < momentAgo {
		return *known
	}
	found := nodeEnvoy{configured: configured, at: time.Now()}
	if found.path, found.err = envoyPath(configured); found.err == nil {
		found.binary = files.StampOf(found.path)
	}
	p.nodeEnvoy.Store(&found)
	return found
}

// somebody is a user without any rights of its own, as those are that Envoy
// runs as: a binary that only root may execute is of no use.
func somebody(root bool) process.User {
	return process.User{Name: "nobody", UID: 65534, GID: 65534, Switch: root}
}

// envoyProbe is what was learnt of a binary. It holds as long as the file is the
// same.
type envoyProbe struct {
	path    string
	binary  files.Stamp
	version string
}

func (e *envoyProbe) holds(path string) bool {
	return e != nil && path == e.path && e.binary != (files.Stamp{}) && files.StampOf(path) == e.binary
}

// probeEnvoy learns the version of the node's Envoy, once for every binary.
func (p *Plugin) probeEnvoy(ctx context.Context, path string) (string, error) {
	if known := p.envoy.Load(); known.holds(path) {
		return known.version, nil
	}
	binary := files.StampOf(path) // before it is asked: what replaces it meanwhile is another
	version, err := envoy.Binary{Path: path, User: somebody(p.root)}.Version(ctx)
	if err != nil {
		return "", fmt.Errorf("look for Envoy: %w", err)
	}
	p.envoy.Store(&envoyProbe{path: path, binary: binary, version: version})
	return version, nil
}

// knownVersion is that of the Envoy at a path; empty when it must be asked.
func (p *Plugin) knownVersion(path string) string {
	if known := p.envoy.Load(); known.holds(path) {
		return known.version
	}
	return ""
}
