package driver

import (
	"errors"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/sidecar"
)

// What a node's meta says of proxies, in the order of who is heard.
func TestNodeMeta(t *testing.T) {
	t.Parallel()
	own := envoyDefaults{workers: 4, logLevel: "info"}
	meta := &NodeMeta{LogLevel: "debug", Concurrency: "2"}
	for name, tc := range map[string]struct {
		meta          *NodeMeta
		operator, job *EnvoyConfig
		workers       int
		logLevel      string
	}{
		"not referred to":     {nil, nil, nil, 4, "info"},
		"nothing in it":       {&NodeMeta{}, nil, nil, 4, "info"},
		"it":                  {meta, nil, nil, 2, "debug"},
		"as Envoy takes it":   {&NodeMeta{LogLevel: "warn"}, nil, nil, 4, "warning"},
		"no threads":          {&NodeMeta{Concurrency: "0"}, nil, nil, 1, "info"},
		"the plugin's config": {meta, &EnvoyConfig{Concurrency: 3}, nil, 3, "debug"},
		"the job":             {meta, &EnvoyConfig{Concurrency: 3, LogLevel: "error"}, &EnvoyConfig{Concurrency: 5, LogLevel: "trace"}, 5, "trace"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defaults, err := tc.meta.over(own)
			must.NoError(t, err)
			settings, err := envoySettings(withPath(tc.operator), tc.job, defaults)
			must.NoError(t, err)
			must.Eq(t, tc.workers, settings.Concurrency)
			must.Eq(t, tc.logLevel, settings.LogLevel)
		})
	}
}

func withPath(c *EnvoyConfig) *EnvoyConfig {
	with := orZero(c)
	with.Path = "/bin/sh"
	return &with
}

// A mistake in it is the operator's: the job may be tried again.
func TestNodeMeta_wrong(t *testing.T) {
	t.Parallel()
	for want, meta := range map[string]NodeMeta{
		`the node's meta connect.log_level is "loud", which node_meta of the task's config refers to; it is one of trace`: {LogLevel: "loud"},
		`have the operator correct it (nomad node meta apply connect.proxy_concurrency=1)`:                                {Concurrency: "all"},
		`connect.proxy_concurrency is "-1"`: {Concurrency: "-1"},
	} {
		_, err := meta.over(envoyDefaults{})
		must.ErrorContains(t, err, want)
		var invalid *sidecar.InvalidError
		must.False(t, errors.As(err, &invalid))
	}
}
