package mesh

import (
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

var (
	closed = entry{status: api.HealthCritical}
	open   = entry{admitted: true, reaped: true, status: api.HealthPassing}

	serviceWeb = &api.AgentService{ID: "_nomad-task-a1-group-g-web-http", Service: "web", Address: "127.0.0.1", Port: 8080}
	parentWeb  = &ParentService{ID: serviceWeb.ID, Address: serviceWeb.Address, Port: serviceWeb.Port}
)

func regWeb() Registration {
	return Registration{
		Service:      "web",
		Parent:       &Parent{IDPrefix: "_nomad-task-a1-group-g-"},
		StandaloneID: "connect-a1-g-web-sidecar-proxy",
		Listener:     sidecar.Port{Label: "mesh", Address: "10.0.0.1", Number: 21000},
		Meta:         map[string]string{"nomad-job": "shop"},
	}
}

func TestRegistration(t *testing.T) {
	t.Parallel()
	running := sidecar.Standing{Process: process.Identity{PID: 7, StartTime: 9, BootID: "b"}}

	t.Run("before it is ready", func(t *testing.T) {
		reg := regWeb().agentService(parentWeb, sidecar.Standing{}, closed)
		must.Eq(t, "_nomad-task-a1-group-g-web-http-sidecar-proxy", reg.ID)
		must.Eq(t, "web-sidecar-proxy", reg.Name)
		must.Eq(t, api.ServiceKindConnectProxy, reg.Kind)
		must.Eq(t, "10.0.0.1", reg.Address)
		must.Eq(t, warmingPort, reg.Port)
		must.Eq(t, api.AgentServiceConnectProxyConfig{
			DestinationServiceName: "web", DestinationServiceID: parentWeb.ID,
			LocalServiceAddress: "127.0.0.1", LocalServicePort: 8080,
			Config: map[string]any{"bind_port": 21000},
		}, *reg.Proxy)
		must.Eq(t, api.AgentServiceChecks{readyCheck(reg.ID, closed)}, reg.Checks)
		must.Eq(t, api.HealthCritical, reg.Checks[0].Status)
		must.Eq(t, map[string]string{"nomad-job": "shop"}, reg.Meta)
	})
	t.Run("when it serves", func(t *testing.T) {
		spec := regWeb()
		spec.Proxy.Config = map[string]any{"protocol": "http"}
		reg := spec.agentService(parentWeb, running, open)
		must.Eq(t, 21000, reg.Port)
		must.Eq(t, map[string]any{"protocol": "http", "bind_port": 21000}, reg.Proxy.Config)
		must.Eq(t, map[string]any{"protocol": "http"}, spec.Proxy.Config)
		must.Eq(t, api.AgentServiceChecks{readyCheck(reg.ID, open)}, reg.Checks)
		must.Eq(t, api.HealthPassing, reg.Checks[0].Status)
		must.Eq(t, "1h0m0s", reg.Checks[0].TTL)
		must.Eq(t, map[string]string{"nomad-job": "shop", "proxy-pid": "7", "proxy-start-time": "9", "proxy-boot-id": "b"}, reg.Meta)
		must.Eq(t, map[string]string{"nomad-job": "shop"}, regWeb().Meta)
	})
	t.Run("standalone", func(t *testing.T) {
		reg := regWeb().agentService(nil, running, open)
		must.Eq(t, "connect-a1-g-web-sidecar-proxy", reg.ID)
		must.Eq(t, "", reg.Proxy.DestinationServiceID)
		must.Eq(t, api.AgentServiceChecks{readyCheck(reg.ID, open)}, reg.Checks)
	})
	t.Run("what the parent says of itself", func(t *testing.T) {
		parent := *parentWeb
		parent.Tags, parent.Meta = []string{"canary"}, map[string]string{"version": "2", "nomad-job": "theirs"}
		parent.Weights = api.AgentWeights{Passing: 10, Warning: 3}
		reg := regWeb().agentService(&parent, sidecar.Standing{}, open)
		must.Eq(t, []string{"canary"}, reg.Tags)
		must.Eq(t, map[string]string{"version": "2", "nomad-job": "shop"}, reg.Meta)
		must.Eq(t, parent.Weights, *reg.Weights)
		spec := regWeb()
		spec.Tags = []string{"own"}
		must.Eq(t, []string{"own"}, spec.agentService(&parent, sidecar.Standing{}, open).Tags)
	})
	t.Run("local service elsewhere", func(t *testing.T) {
		spec := regWeb()
		spec.Proxy.LocalServicePort = 9999
		must.Eq(t, 9999, spec.agentService(parentWeb, running, open).Proxy.LocalServicePort)
		spec = regWeb()
		spec.Proxy.LocalServiceSocketPath = "/run/web.sock"
		proxy := spec.agentService(parentWeb, running, open).Proxy
		must.Eq(t, 0, proxy.LocalServicePort)
		must.Eq(t, "", proxy.LocalServiceAddress)
	})
}

func TestChooseParent(t *testing.T) {
	t.Parallel()
	admin := &api.AgentService{ID: "_nomad-task-a1-group-g-web-admin", Service: "web"}
	db := &api.AgentService{ID: "_nomad-task-a1-group-g-db-db", Service: "db"}
	for _, tc := range []struct {
		name  string
		label string
		group []*api.AgentService
		want  string // the ID
		err   string
	}{
		{"the only one", "", []*api.AgentService{db, serviceWeb}, serviceWeb.ID, ""},
		{"none yet", "", nil, "", ""},
		{"only others", "", []*api.AgentService{db}, "", ""},
		{"two of the name", "", []*api.AgentService{admin, serviceWeb}, "", `service: the group has 2 services named "web"; say with service_port which one is meant: "admin", "http"`},
		{"two, decided", "admin", []*api.AgentService{serviceWeb, admin}, admin.ID, ""},
		{"no such label", "grpc", []*api.AgentService{serviceWeb, admin}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := regWeb()
			spec.Parent.PortLabel = tc.label
			got, err := spec.chooseParent(tc.group)
			if tc.err != "" {
				must.EqError(t, err, tc.err)
				return
			}
			must.NoError(t, err)
			if tc.want == "" {
				must.Nil(t, got)
				return
			}
			must.Eq(t, tc.want, got.ID)
		})
	}
}

// A port label that is gone decides nothing any more.
func TestSuccessor(t *testing.T) {
	t.Parallel()
	admin := &api.AgentService{ID: "_nomad-task-a1-group-g-web-admin", Service: "web"}
	db := &api.AgentService{ID: "_nomad-task-a1-group-g-db-db", Service: "db"}
	for _, tc := range []struct {
		name, label string
		group       []*api.AgentService
		want        string
	}{
		{"the only one of the name", "", []*api.AgentService{db, admin}, admin.ID},
		{"its label is there", "admin", []*api.AgentService{serviceWeb, admin}, admin.ID},
		{"its label is gone", "grpc", []*api.AgentService{admin, db}, admin.ID},
		{"its label is gone, and two are left", "grpc", []*api.AgentService{admin, serviceWeb}, ""},
		{"two, and no label", "", []*api.AgentService{admin, serviceWeb}, ""},
		{"other names only", "", []*api.AgentService{db}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := regWeb()
			spec.Parent.PortLabel = tc.label
			next := spec.successor(tc.group)
			if tc.want == "" {
				must.Nil(t, next)
				return
			}
			must.Eq(t, tc.want, next.ID)
		})
	}
}

func TestPlaceOf(t *testing.T) {
	t.Parallel()
	reg := regWeb()
	reg.Proxy = api.AgentServiceConnectProxyConfig{
		Config:    map[string]any{"bind_address": "127.0.0.2"},
		Upstreams: []api.Upstream{{DestinationName: "db", LocalBindPort: 9191}, {DestinationName: "mail", LocalBindSocketPath: "mail.sock"}},
		Expose:    api.ExposeConfig{Paths: []api.ExposePath{{Path: "/health", ListenerPort: 21001}}},
	}
	at := placeOf("id", reg.Service, reg.Listener, reg.proxy(parentWeb))
	must.Eq(t, sidecar.Place{
		ID: "id", Service: "web",
		Public: sidecar.Port{Label: "mesh", Address: "127.0.0.2", Number: 21000},
		Ports: []sidecar.Port{
			{Label: "mesh", Address: "127.0.0.2", Number: 21000},
			{Label: "expose /health", Address: "127.0.0.2", Number: 21001},
			{Label: "upstream db", Address: "127.0.0.1", Number: 9191},
		},
		App:       sidecar.Address{Network: "tcp", Address: "127.0.0.1:8080"},
		Upstreams: []string{"db", "mail"}, Outbound: true,
	}, at)
	must.Eq(t, sidecar.Address{}, placeOf("id", reg.Service, reg.Listener, reg.proxy(nil)).App, must.Sprint("standalone"))
}
