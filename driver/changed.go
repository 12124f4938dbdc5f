package driver

import (
	"errors"
	"hash/fnv"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/files"
)

// stamp tells apart what lies on the node and what the next generation of an Envoy
// would be started with.
type stamp struct {
	files     [4]files.Stamp // of tokens
	tokens    consul.Tokens
	path      string
	binary    files.Stamp
	ca        files.Stamp
	bootstrap uint64
}

// changed implements sidecar.Host. A sidecar that was found again reports a change at
// its first look. Token files are read only when they are others: a thousand sidecars
// look every few seconds. A file that cannot be read counts as unchanged.
func (x *proxy) changed() (bool, error) {
	now, err := x.look()
	if now.files != x.stamp.files || x.tokens.due() {
		if _, tokenErr := x.client.Renew(); tokenErr != nil {
			now.files, err = x.stamp.files, errors.Join(err, tokenErr) // it is tried again
		}
	}
	x.tokens.describe(x.plugin.ctx)
	now.tokens = x.client.Tokens() // they may have been renewed for a question to Consul
	different := now.asItMatters() != x.stamp.asItMatters()
	x.stamp = now
	return different, err
}

// asItMatters leaves out what is no reason to act by itself.
func (s stamp) asItMatters() stamp {
	s.files = [4]files.Stamp{}
	return s
}

// look gives a whole stamp in any case.
func (x *proxy) look() (stamp, error) {
	now, errs := x.stamp, []error{}
	for i, file := range x.plugin.tokenFiles(x.spec, x.config) {
		now.files[i] = files.StampOf(file)
	}
	now.tokens, now.ca = x.client.Tokens(), files.StampOf(x.spec.Consul.GRPCCAFile)
	if x.spec.Envoy.Named {
		now.path, now.binary = x.spec.Envoy.Path, files.StampOf(x.spec.Envoy.Path)
	} else if found := x.plugin.nodeEnvoyNow(); found.err == nil {
		now.path, now.binary = found.path, found.binary
	} else {
		errs = append(errs, found.err)
	}
	if x.spec.External == "" {
		return now, errors.Join(append(errs, hideLeftovers(x.config))...)
	}
	content, err := x.readExternal()
	if err == nil {
		hash := fnv.New64a()
		_, _ = hash.Write(content)
		now.bootstrap = hash.Sum64()
	}
	return now, errors.Join(append(errs, err)...)
}
