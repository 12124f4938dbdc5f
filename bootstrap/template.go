package bootstrap

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/proto"
)

// templateArgs is what envoy_bootstrap_json_tpl may use. Users' templates name
// these fields; they are those of Consul's documentation and default template.
// Fields that end in JSON hold what build made, in the shape of the keys of
// Proxy.Config: objects separated by commas, or one object.
type templateArgs struct {
	GRPC

	ProxyCluster          string
	ProxyID               string
	NodeName              string
	ProxySourceService    string
	AgentCAPEM            string // with \n for its line ends
	AdminAccessLogConfig  []string
	AdminAccessLogPath    string
	AdminBindAddress      string
	AdminBindPort         string
	LocalAgentClusterName string
	Token                 string
	StaticClustersJSON    string
	StaticListenersJSON   string
	StatsSinksJSON        string
	StatsConfigJSON       string
	StaticSecretsJSON     string
	StatsFlushInterval    string
	TracingConfigJSON     string
	Namespace             string
	Partition             string
	Datacenter            string
	PrometheusBackendPort string
	PrometheusScrapePath  string
	PrometheusCAFile      string
	PrometheusCAPath      string
	PrometheusCertFile    string
	PrometheusKeyFile     string
}

// GRPC is the part of templateArgs that says where the Consul agent is; it has
// a name of its own because templates may use that, too.
type GRPC struct {
	AgentAddress string
	AgentPort    string
	AgentTLS     bool
	AgentSocket  string
}

// fromTemplate renders the user's own template in the place of the default
// one. Envoy's admin API stays ours when it is a socket: the sidecar is
// supervised through it.
func fromTemplate(in Inputs, cfg proxyConfig, built *bootstrapv3.Bootstrap) (*bootstrapv3.Bootstrap, error) {
	t, err := parseTemplate(cfg.template)
	if err != nil {
		return nil, err
	}
	args, err := newTemplateArgs(in, cfg, built)
	if err != nil {
		return nil, err
	}
	var text limitedText
	if err := t.Execute(&text, args); err != nil {
		return nil, fmt.Errorf("render it: %w", err)
	}
	b := &bootstrapv3.Bootstrap{}
	if err := readObject(text.String(), b); err != nil {
		return nil, withoutToken(fmt.Errorf("what it renders is no bootstrap: %w", err), in.Token)
	}
	if in.Admin.Socket != "" {
		if b.Admin == nil {
			b.Admin = &bootstrapv3.Admin{}
		}
		b.Admin.Address = in.Admin.address()
	}
	return b, nil
}

// withoutToken takes the token out of a sentence that quotes what was rendered.
func withoutToken(err error, token string) error {
	if token == "" || !strings.Contains(err.Error(), token) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), token, "<the ACL token>"))
}

// limitedText keeps a template from filling the memory.
type limitedText struct{ text strings.Builder }

func (t *limitedText) Write(p []byte) (int, error) {
	if t.text.Len()+len(p) > maxTemplate {
		return 0, errors.New("it renders more than 1 MiB")
	}
	return t.text.Write(p)
}

func (t *limitedText) String() string { return t.text.String() }

func newTemplateArgs(in Inputs, cfg proxyConfig, built *bootstrapv3.Bootstrap) (args templateArgs, err error) {
	admin := netip.AddrPortFrom(in.adminHost(), in.Admin.AddrPort.Port())
	args = templateArgs{
		ProxyCluster:          in.cluster(),
		ProxyID:               in.Proxy.ID,
		NodeName:              in.NodeName,
		ProxySourceService:    in.sourceService(),
		AgentCAPEM:            strings.ReplaceAll(in.Agent.CAPEM, "\n", `\n`),
		AdminAccessLogPath:    cmp.Or(in.AdminAccessLogPath, DefaultAdminAccessLog),
		AdminBindAddress:      admin.Addr().String(),
		AdminBindPort:         portText(admin.Port()),
		LocalAgentClusterName: localAgentName,
		Token:                 in.Token,
		StatsFlushInterval:    cfg.flushInterval,
		TracingConfigJSON:     cfg.tracing,
		Namespace:             cmp.Or(in.Proxy.Namespace, in.Namespace),
		Partition:             cmp.Or(in.Proxy.Partition, in.Partition),
		Datacenter:            in.Proxy.Datacenter,
		PrometheusScrapePath:  cmp.Or(in.Prometheus.ScrapePath, DefaultScrapePath),
		PrometheusCAFile:      in.Prometheus.CAFile,
		PrometheusCAPath:      in.Prometheus.CAPath,
		PrometheusCertFile:    in.Prometheus.CertFile,
		PrometheusKeyFile:     in.Prometheus.KeyFile,
	}
	args.GRPC = GRPC{AgentTLS: in.Agent.TLS, AgentSocket: in.Agent.Socket}
	if in.Agent.Socket == "" {
		args.AgentAddress, args.AgentPort = in.Agent.AddrPort.Addr().String(), portText(in.Agent.AddrPort.Port())
	}
	if in.Prometheus.BackendPort != 0 {
		args.PrometheusBackendPort = portText(in.Prometheus.BackendPort)
	}
	if cfg.flushInterval == "" && built.GetStatsFlushInterval() != nil {
		args.StatsFlushInterval = fmt.Sprintf("%gs", built.GetStatsFlushInterval().AsDuration().Seconds())
	}
	return args, args.marshal(in, built)
}

// marshal fills the fields that hold JSON.
func (args *templateArgs) marshal(in Inputs, built *bootstrapv3.Bootstrap) error {
	static := built.GetStaticResources()
	if in.AccessLogs != nil && in.AccessLogs.Enabled {
		for _, log := range built.GetAdmin().GetAccessLog() {
			text, err := marshal(log)
			if err != nil {
				return err
			}
			args.AdminAccessLogConfig = append(args.AdminAccessLogConfig, string(text))
		}
	}
	var errs [5]error
	args.StaticClustersJSON, errs[0] = objects(static.GetClusters()[1:]) // the first is the template's own
	args.StaticListenersJSON, errs[1] = objects(static.GetListeners())
	args.StaticSecretsJSON, errs[2] = objects(static.GetSecrets())
	args.StatsSinksJSON, errs[3] = objects(built.GetStatsSinks())
	args.StatsConfigJSON, errs[4] = objects([]proto.Message{built.GetStatsConfig()})
	return errors.Join(errs[:]...)
}

// objects is JSON of messages, separated by commas.
func objects[M proto.Message](list []M) (string, error) {
	texts := make([]string, 0, len(list))
	for _, m := range list {
		text, err := marshal(m)
		if err != nil {
			return "", err
		}
		texts = append(texts, string(text))
	}
	return strings.Join(texts, ",\n"), nil
}

func portText(port uint16) string { return strconv.Itoa(int(port)) }
