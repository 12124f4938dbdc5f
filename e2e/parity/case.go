package parity

import (
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"
)

// Case is one call of the command, in the world that it finds.
type Case struct {
	Name string

	// Args of the command, separated by spaces, in the directory testdata/files.
	Args string
	Env  []string // "NAME=value", beside CONSUL_HTTP_ADDR

	// Agent is the one that is asked.
	Agent Agent

	// Config is the Proxy.Config of the sidecar "web-sidecar-proxy".
	Config map[string]any

	// AccessLogs are those of proxy-defaults; nil for no such entry.
	AccessLogs *api.AccessLogsConfig

	// Error is a part of what the command complains of; empty for a result.
	Error string

	// Warning is a part of what it says beside its result.
	Warning string

	// Differs is why the two commands do not do the same. What the consul
	// command prints then is refused by Envoy if, and only if, it says "Envoy
	// refuses".
	Differs string

	// Unfit results are refused by the Envoy of today.
	Unfit bool

	// Live cases depend on how the agent is reached, and are not recorded.
	Live bool
}

// Slug names the case's file.
func (c Case) Slug() string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(c.Name)), "-")
}

// Agent is a Consul agent of a kind.
type Agent string

// The agents that cases ask.
const (
	Plain Agent = ""         // gRPC at 8502
	TLS   Agent = "tls"      // gRPC at 8512, with TLS at 8513
	ACL   Agent = "acl"      // nothing is allowed without a token; gRPC at 8522
	Off   Agent = "grpc-off" // no gRPC
	IPv6  Agent = "ipv6"     // bound to ::1, gRPC at 8542
)

// ManagementToken may do everything on the agent ACL, SidecarToken only what
// the sidecar of web needs.
const (
	ManagementToken = "7f3c1f3e-0000-4000-8000-000000000001"
	SidecarToken    = "7f3c1f3e-0000-4000-8000-000000000002"
)

// web is how most cases name their proxy.
const web = "-proxy-id web-sidecar-proxy "

// All are the cases, in the order of the documentation.
func All() []Case {
	return slices.Concat(proxyCases, gatewayCases, agentCases, adminCases, accessLogCases, metricsCases, hatchCases, templateCases, textCases)
}
