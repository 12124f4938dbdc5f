package bootstrap

import (
	"testing"

	"github.com/shoenig/test/must"
)

// The consul command writes one gRPC service, and no list of them.
func TestToken(t *testing.T) {
	for content, want := range map[string]string{
		`{"dynamic_resources": {"ads_config": {"grpc_services": [{"initial_metadata": [{"key": "x-consul-token", "value": "t"}]}]}}}`: "t",
		`{"dynamic_resources": {"ads_config": {"grpc_services": {"initial_metadata": [{"key": "x-consul-token", "value": "t"}]}}}}`:   "t",
		`{"dynamic_resources": {"ads_config": {"grpc_services": {"initial_metadata": [{"key": "other", "value": "t"}]}}}}`:            "",
		`{"dynamic_resources": {"ads_config": {"grpc_services": null}}}`:                                                              "",
		`{"dynamic_resources": {"ads_config": {"grpc_services": 7}}}`:                                                                 "",
		`{}`: "",
		`-`:  "",
	} {
		must.Eq(t, want, Token([]byte(content)), must.Sprint(content))
	}
}
