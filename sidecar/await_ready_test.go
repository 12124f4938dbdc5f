package sidecar

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestWithoutHosts(t *testing.T) {
	clusters := map[string]int{
		"db.default.dc1.internal.x.consul":    0,
		"api.default.dc1.internal.x.consul":   1,
		"v2.split.default.dc1.internal.x":     0,
		"split.default.dc1.internal.x.consul": 0,
		"split.default.dc2.internal.x.consul": 2,
		"local_app":                           1,
	}
	must.Eq(t, []string{"db"}, withoutHosts([]string{"db", "api", "split", "elsewhere"}, clusters))
	must.Len(t, 0, withoutHosts([]string{"db"}, nil), must.Sprint("Envoy did not say"))
}
