package command

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"

	"github.com/hashicorp/cli"
	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-hclog"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/consul"
)

type bootstrapCommand struct {
	ui     cli.Ui
	stderr io.Writer
}

func (*bootstrapCommand) Synopsis() string { return "Prints the bootstrap of an Envoy" }

func (*bootstrapCommand) Help() string {
	_, fs := newBootstrapFlags()
	return `Usage: ` + binary + ` bootstrap [options]

  Prints the JSON that Envoy starts from as a proxy of Consul's service mesh,
  as "consul connect envoy -bootstrap" does, without the consul binary. Options,
  environment variables and exit status are the same; the result is on stdout,
  everything else on stderr.

  The bootstrap of the sidecar that is registered for the service "web":

      $ ` + binary + ` bootstrap -sidecar-for web > envoy.json

Options:

` + helpOf(fs)
}

// Run implements cli.Command.
func (c *bootstrapCommand) Run(args []string) int {
	text, err := c.run(context.Background(), args)
	if err != nil {
		c.ui.Error(err.Error())
		return 1
	}
	c.ui.Output(text)
	return 0
}

func (c *bootstrapCommand) run(ctx context.Context, args []string) (string, error) {
	o, err := parseBootstrapFlags(args)
	if err != nil {
		return "", err
	}
	level := hclog.Off
	if o.logging {
		level = hclog.Debug
	}
	log := hclog.New(&hclog.LoggerOptions{Level: level, Output: c.stderr})
	client, err := consul.NewFromAPI(o.consul)
	if err != nil {
		return "", err
	}
	defer client.Close()
	if o.adminAccessLog != bootstrap.DefaultAdminAccessLog {
		c.ui.Warn("-admin-access-log-path is deprecated; set AccessLogs in proxy-defaults instead.")
	}
	log.Debug("asking Consul", "address", client.Address())
	a, err := o.fetch(ctx, client)
	if err != nil {
		return "", err
	}
	log.Debug("rendering", "proxy", a.proxy.ID)
	in, err := o.inputs(a, c.ui.Warn)
	if err != nil {
		return "", err
	}
	return render(in)
}

// inputs joins what the flags say with what Consul knows.
func (o *bootstrapOptions) inputs(a answers, warn func(string)) (bootstrap.Inputs, error) {
	in := bootstrap.Inputs{
		Proxy: a.proxy, NodeName: o.nodeName, Cluster: o.cluster(a),
		Namespace: o.consul.Namespace, Partition: o.consul.Partition,
		AccessLogs: a.accessLogs, AdminAccessLogPath: o.adminAccessLog,
		Ready: o.ready, Prometheus: o.prometheus, Token: o.consul.Token,
		OmitDeprecatedTags: o.omitDeprecatedTags, NoCentralConfig: o.noCentralConfig,
		Env: bootstrap.Environ(os.Environ()),
	}
	var guessed bool
	var err error
	if in.Agent, guessed, err = o.xds(a); err != nil {
		return in, err
	}
	if guessed {
		warn("The agent does not tell where it serves gRPC (a token with agent:read may be missing); taking " + in.Agent.String() + ". -grpc-addr says otherwise.")
	}
	if a.tokenMissing {
		warn("Consul has ACLs, and no token is given; Envoy will probably not be served. -token-file or -token gives one.")
	}
	if a.accessLogs != nil && a.accessLogs.Enabled && o.adminAccessLog != bootstrap.DefaultAdminAccessLog {
		warn("-admin-access-log-path is ignored, as proxy-defaults has AccessLogs.")
	}
	in.Admin = o.adminAPI(a)
	if !in.Ready.IsValid() && o.isIngress(a) {
		in.Ready, err = o.address.ready()
	}
	return in, err
}

// cluster is the name of the service, as far as the flags know it.
func (o *bootstrapOptions) cluster(a answers) string {
	switch {
	case o.sidecarFor != "":
		return o.sidecarFor
	case o.gateway != "" && o.proxyID == "" && !o.register:
		return a.proxy.Service
	case o.gateway != "":
		return o.service
	}
	return ""
}

// isIngress takes the flags' word for a gateway of the local agent, and the
// catalog's for one of another node.
func (o *bootstrapOptions) isIngress(a answers) bool {
	if o.nodeName != "" {
		return a.proxy.Kind == api.ServiceKindIngressGateway
	}
	return o.kind == api.ServiceKindIngressGateway
}

func render(in bootstrap.Inputs) (string, error) {
	message, err := bootstrap.Render(in)
	if err != nil {
		return "", err
	}
	text, err := bootstrap.Marshal(message)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = json.Indent(&out, text, "", "  ")
	return out.String(), err
}
